"""Runs inside Ganga (``ganga user.py PLAN``) and plays the user, the same with either monitoring.

PLAN is json: ``act`` (fresh, submit, reopened; rates: a fresh session, to which a service in
this process offers all updates as fast as they are taken), endpoint, subjobs, adapter, limit
(seconds from the start of the updates), durable (a file that is there when all ends are on disk),
out.

Ganga puts its names (Job, jobs, Executable, ...) into this file's globals.
"""

# ruff: noqa: F821
# mypy: ignore-errors

import time

PROMPT = time.time()

import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections import Counter  # noqa: E402

import GangaCore.Core  # noqa: E402
import psutil  # noqa: E402
from GangaCore.Core.GangaRepository import getRegistry  # noqa: E402
from GangaCore.GPIDev.Base.Objects import Descriptor  # noqa: E402
from GangaCore.GPIDev.Base.Proxy import stripProxy  # noqa: E402
from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob  # noqa: E402

import gangamon  # noqa: E402
from benchmarks.session.watch import Burner, Watcher  # noqa: E402
from gangamon import settings  # noqa: E402
from gangamon.client import Client, JobUpdate, MasterFinal  # noqa: E402
from gangamon.domain.command import BATCH_SIZE  # noqa: E402
from gangamon.domain.status import JobStatus  # noqa: E402
from gangamon.testing.scripted import ScriptedClient, use  # noqa: E402
from gangamon.testing.simulator.wire import Link  # noqa: E402

with open(sys.argv[1]) as file:
    plan = json.load(file)
SUBJOBS = plan["subjobs"]
#: Seconds between two rounds of cheap calls, between the dear ones, and between two looks whether
#: all is over; rounds of dear calls when idle; longest control run.
PAUSE, SLOW, LOOK, IDLE, CONTROL = 0.004, 3.0, 0.2, 5, 60.0

# When a subjob's status is set in memory, taken where Ganga sets it: by whom makes no difference.
seen = {"running": {}, "completed": {}}


class Noting(Descriptor):
    def __set__(self, obj, value, *rest):
        super().__set__(obj, value, *rest)
        if value in seen and obj.master is not None:
            seen[value].setdefault(obj.id, time.time())


stock = vars(RawJob)["status"]
RawJob.status = Noting(stock._name, stock._item)


# Collections of Python's whole heap, in which every thread stands still: (when it ended, seconds,
# the thread in which it came).
collections, collecting = [], [0.0]


def collected(phase, info):
    if info["generation"] == 2 and phase == "start":
        collecting[0] = time.time()
    elif info["generation"] == 2:
        now, thread = time.time(), threading.current_thread().name
        collections.append((now, now - collecting[0], thread))


gc.callbacks.append(collected)


def taken_in():
    """How many subjobs the service knows; of the only repository."""
    if scripted is not None:
        return len(scripted.known.get(j.id, ()))
    client = Client(settings.load())
    found = [client.snapshot(name, j.id) for name in client.repositories()]
    return sum(len(view.jobs) for view in found if view is not None)


def counts():
    """Subjobs by status, as the master's roll-up reads them (Job.getSubJobStatuses)."""
    subjobs = stripProxy(j).subjobs
    if hasattr(subjobs, "getAllSJStatus"):
        return Counter(subjobs.getAllSJStatus())
    return Counter(stripProxy(sub).status for sub in subjobs)


def locks():
    """All RLocks that a read of a status may wait for."""
    registry = getRegistry("jobs")
    found = {
        "root": stripProxy(j)._lock,
        "read": registry._read_lock,
        "flush": registry._flush_lock,
    }
    session = getattr(registry.repository, "sessionlock", None)
    return {**found, "session": session._lock} if session is not None else found


def cheap(phase):
    watcher.timed(lambda: jobs(number).status, calls[phase]["jobs(i).status"], phase, "status")
    watcher.timed(lambda: len(jobs), calls[phase]["len(jobs)"], phase, "len")


def dear(phase):
    for name, call in (
        ("select", lambda: j.subjobs.select(status="completed")),
        ("str(jobs)", lambda: str(jobs)),
    ):
        begun = time.perf_counter()
        call()
        calls[phase][name].append(time.perf_counter() - begun)


def idle(phase):
    for _ in range(IDLE):
        dear(phase)
        until = time.time() + 1.0
        while time.time() < until:
            cheap(phase)
            time.sleep(PAUSE)


def types(phase, until):
    """The user types until the condition holds, or the limit is reached."""
    used = time.process_time(), time.thread_time(), time.time()
    slow_at, look_at = time.time() + SLOW, 0.0
    while time.time() - used[2] < plan["limit"]:
        cheap(phase)
        if time.time() >= look_at:
            if until():
                break
            look_at = time.time() + LOOK
        # They read every subjob: not before a re-opened session has come to rights by itself.
        if time.time() >= slow_at and (plan["act"] != "reopened" or "right_s" in facts):
            dear(phase)
            slow_at = time.time() + SLOW
        time.sleep(PAUSE)
    wall = time.time() - used[2]
    main = time.thread_time() - used[1]
    other = time.process_time() - used[0] - main
    periods[phase] = {"wall": wall, "main_cpu": main, "other_cpu": other, "at": used[2]}


def right():
    """The master, the counts, and every subjob that is looked at."""
    return (
        jobs(number).status == "completed"
        and counts() == {"completed": SUBJOBS}
        and all(j.subjobs(sub).status == "completed" for sub in looked_at)
    )


def done():
    component = GangaCore.Core.monitoring_component
    found = {
        "monitoring": type(component).__module__,
        "status": stripProxy(j).status,
        "prompt": PROMPT,
        "facts": facts,
        "calls": calls,
        "periods": periods,
        "seen": seen,
        "slow": watcher.slow,
        "collections": collections,
        "memory": psutil.Process().memory_info().rss,
    }
    with open(plan["out"] + ".part", "w") as file:
        json.dump(found, file)
    os.rename(plan["out"] + ".part", plan["out"])


PHASES = ("before", "updates", "after", "control")
NAMES = ("jobs(i).status", "len(jobs)", "select", "str(jobs)")
calls = {phase: {name: [] for name in NAMES} for phase in PHASES}
periods, facts = {}, {}
scripted = None
if plan["act"] == "rates":
    scripted = ScriptedClient(("Simulated",))
    use(GangaCore.Core.monitoring_component, scripted)
begun = time.time()
if plan["act"] == "reopened":
    j = jobs[0]
else:
    j = Job(application=Executable(exe="echo"), backend=Simulated(endpoint=plan["endpoint"]))
    j.splitter = ArgSplitter(args=[[str(i)] for i in range(SUBJOBS)])
    j.submit()
    facts["submit_s"] = time.time() - begun
number = j.id
looked_at = random.Random(7).sample(range(SUBJOBS), min(20, SUBJOBS))
watcher = Watcher(locks, os.path.join(os.path.dirname(gangamon.__file__), ""))
watcher.start()
runMonitoring()

if plan["act"] in ("fresh", "rates", "submit") and plan["adapter"]:
    while taken_in() < SUBJOBS:
        if time.time() - begun - facts["submit_s"] > plan["limit"]:
            raise SystemExit(f"the service knows {taken_in()} of {SUBJOBS} subjobs")
        time.sleep(1.0)
    facts["handed_over_s"] = time.time() - begun - facts["submit_s"]


def offer(status, native, final=None):
    """All subjobs at once, in updates of the service's size."""
    at = time.time() if final is not None else None
    for begin in range(0, SUBJOBS, BATCH_SIZE):
        subs = range(begin, min(begin + BATCH_SIZE, SUBJOBS))
        facts_of = {"status": native, "actualCE": "CE.somewhere"}
        said = [JobUpdate(sub, 1, 0, status, facts_of, at) for sub in subs]
        scripted.say(number, said, final if subs[-1] == SUBJOBS - 1 else None)


def settled():
    """The last ends are on disk: a separate process has read them."""
    if scripted is not None and "ends" not in facts and len(seen["running"]) == SUBJOBS:
        facts["ends"] = time.time()
        offer(JobStatus.COMPLETED, "Done", MasterFinal(1, JobStatus.COMPLETED, {"merge": []}))
    if plan["act"] == "reopened" and "right_s" not in facts and right():
        facts["right_s"] = time.time() - PROMPT
    return (
        jobs(number).status == "completed"
        and os.path.exists(plan["durable"])
        and (plan["act"] != "reopened" or "right_s" in facts)
    )


if plan["act"] in ("fresh", "rates"):
    idle("before")
if scripted is not None:
    offer(JobStatus.RUNNING, "Running")
elif plan["act"] == "fresh":
    with Link(plan["endpoint"], 60.0) as link:
        facts["t0"] = link.call("start")["t0"]
if plan["act"] != "submit":
    types("updates", settled)
    facts["counts"] = counts()
if plan["act"] in ("fresh", "rates"):
    idle("after")
    spent = periods["updates"]
    burner = Burner(spent["other_cpu"] / spent["wall"])
    burner.start()
    until = time.time() + min(spent["wall"], CONTROL)
    types("control", lambda: time.time() > until)
    burner.stop()
done()
