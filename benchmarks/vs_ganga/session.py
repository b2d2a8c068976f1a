"""Runs inside Ganga (``ganga session.py PLAN``): submits one job and plays the user, the same
with either monitoring. PLAN is json: endpoint, subjobs, limit, supervisor, out.

Ganga puts its names (Job, jobs, Executable, ...) into this file's globals.
"""

# ruff: noqa: F821
# mypy: ignore-errors

import json
import os
import sys
import time

import GangaCore.Core
import psutil
from GangaCore.GPIDev.Base.Proxy import stripProxy
from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob

from gangamon.testing.simulator.wire import Link

with open(sys.argv[1]) as file:
    plan = json.load(file)
SUBJOBS = plan["subjobs"]
FINAL = ("completed", "failed", "killed")
#: Seconds between the calls of a patient user, and between the dear ones.
PAUSE, SLOW = 0.1, 5.0

# When a subjob is shown as completed, taken where Ganga sets it: by whom makes no difference.
shown = {}
update = RawJob.updateStatus


def noted(self, newstatus, *args, **kwargs):
    value = update(self, newstatus, *args, **kwargs)
    if newstatus == "completed" and self.master is not None and self.status == "completed":
        shown.setdefault(self.id, time.time())
    return value


RawJob.updateStatus = noted


def cpu():
    """CPU seconds so far: of this process, and of all that gangamon runs."""
    service = 0.0
    if plan["supervisor"]:
        top = psutil.Process(plan["supervisor"])
        for process in [top, *top.children(recursive=True)]:
            try:
                times = process.cpu_times()
                service += times.user + times.system
            except psutil.NoSuchProcess:
                continue
    return {"session": time.process_time(), "service": service}


calls = {"jobs(i).status": [], "len(jobs)": [], "select": [], "str(jobs)": []}


def timed(name, call):
    begun = time.perf_counter()
    value = call()
    calls[name].append(time.perf_counter() - begun)
    return value


used = {"begun": cpu()}
begun = time.time()
j = Job(application=Executable(exe="echo"), backend=Simulated(endpoint=plan["endpoint"]))
j.splitter = ArgSplitter(args=[[str(i)] for i in range(SUBJOBS)])
j.submit()
used["submitted"] = cpu()
submitted = time.time()
with Link(plan["endpoint"], 60.0) as link:
    t0 = link.call("start")["t0"]
runMonitoring()

number, slow_at = j.id, t0 + SLOW
while time.time() - t0 < plan["limit"]:
    status = timed("jobs(i).status", lambda: jobs(number).status)
    timed("len(jobs)", lambda: len(jobs))
    if time.time() >= slow_at:
        timed("select", lambda: j.subjobs.select(status="completed"))
        timed("str(jobs)", lambda: str(jobs))
        slow_at = time.time() + SLOW
    if status in FINAL and len(shown) == SUBJOBS:
        break
    time.sleep(PAUSE)
ended = time.time()
used["ended"] = cpu()

component = GangaCore.Core.monitoring_component
with open(plan["out"] + ".part", "w") as file:
    json.dump(
        {
            "monitoring": type(component).__module__,
            "status": stripProxy(j).status,
            "shown": dict(shown),
            "t0": t0,
            "submit_s": submitted - begun,
            "ended": ended,
            "cpu": used,
            "calls": calls,
            "lags": list(getattr(component, "lags", ())),
            "memory": psutil.Process().memory_info().rss,
        },
        file,
    )
os.rename(plan["out"] + ".part", plan["out"])
