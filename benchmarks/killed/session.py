"""Runs inside Ganga (``ganga session.py PLAN``). PLAN is json: what ("submit", "live", "last" or
"read"), folder, subjobs, seed, rate, out.

Ganga puts its names (Job, jobs, Executable, ...) into this file's globals.
"""

# ruff: noqa: F821
# mypy: ignore-errors

import json
import os
import sys
import threading
import time
from pathlib import Path

import GangaCore.Core
from GangaCore.GPIDev.Base.Proxy import stripProxy
from GangaCore.Lib.Localhost.Localhost import Localhost

from benchmarks.killed.story import Story
from gangamon.client import JobUpdate, MasterFinal
from gangamon.domain.status import JobStatus
from gangamon.testing.scripted import ScriptedClient, use

with open(sys.argv[1]) as file:
    plan = json.load(file)
story = Story(plan["subjobs"], plan["seed"])
folder = Path(plan["folder"])
TOLD, FLUSHED, LIVE = folder / "told", folder / "flushed", folder / "live"
CHUNK = 5


def write(path, text):
    """There whole or not at all."""
    path.with_suffix(".part").write_text(text)
    os.replace(path.with_suffix(".part"), path)


def submit():
    def at_once(self, rjobs, *_, **__):
        for job in rjobs:
            job.updateStatus("submitting", update_master=False)
            job.info.increment()
            job.updateStatus("submitted", update_master=False)
        return 1

    Localhost.master_submit = at_once
    job = Job(application=Executable(exe="/bin/true"), backend=Local())
    job.splitter = ArgSplitter(args=[[str(i)] for i in range(story.subjobs)])
    job.submit()
    return {}


def said(told):
    states = story.states(told)
    return [JobUpdate(sub, 1, 0, JobStatus(state)) for sub, state in enumerate(states)]


def tell(client, told, rate):
    """Tell the story from ``told`` on; what was told is on disk before the session hears it."""
    events, ends = story.events(), story.ends()
    seen = set(events[:told])
    while told < len(events):
        now = []
        for sub in events[told : told + CHUNK]:
            status = ends[sub] if sub in seen else "running"
            seen.add(sub)
            now.append(JobUpdate(sub, 1, 0, JobStatus(status)))
        told += len(now)
        write(TOLD, str(told))
        client.say(0, now)
        if rate:
            time.sleep(CHUNK / rate)
    client.say(0, [], MasterFinal(1, JobStatus.FAILED, {}))


def live():
    """Follow, and let the user change comments and flush them, until the end, or a kill."""
    client = ScriptedClient()
    connected = use(GangaCore.Core.monitoring_component, client)
    told = int(TOLD.read_text()) if TOLD.exists() else 0
    client.say(0, said(told))
    runMonitoring()
    raw = stripProxy(jobs(0))
    rate = plan["rate"] if plan["what"] == "live" else 0
    threading.Thread(target=tell, args=(client, told, rate), daemon=True).start()
    flushed = json.loads(FLUSHED.read_text()) if FLUSHED.exists() else {}
    while not connected():
        time.sleep(0.02)
    LIVE.touch()
    number = 0
    while plan["what"] == "live":
        sub = number * 7 % story.subjobs
        comment = str(int(flushed.get(str(sub), "0")) + 1)
        stripProxy(raw.subjobs[sub]).comment = comment
        raw._getRegistry()._flush([raw])
        flushed[str(sub)] = comment
        write(FLUSHED, json.dumps(flushed))
        number += 1
        time.sleep(0.1)
    deadline = time.monotonic() + plan["limit"]
    backlog = GangaCore.Core.monitoring_component.engine.applier.backlog
    while time.monotonic() < deadline and (
        raw.status not in ("failed", "completed") or not backlog.over
    ):
        time.sleep(0.1)
    return {"status": raw.status, "over": backlog.over}


def read():
    """What Ganga finds, whose index is not asked."""
    raw = stripProxy(jobs(0))
    raw._loadObject()
    subjobs = [stripProxy(raw.subjobs[sub]) for sub in range(len(raw.subjobs))]
    return {
        "monitoring": type(GangaCore.Core.monitoring_component).__module__,
        "status": raw.status,
        "states": [job.status for job in subjobs],
        "comments": [job.comment for job in subjobs],
        "attempts": [job.info.submit_counter for job in subjobs],
        "incomplete": list(raw._getRegistry()._incomplete_objects),
    }


found = {"submit": submit, "live": live, "last": live, "read": read}[plan["what"]]()
write(Path(plan["out"]), json.dumps(found))
