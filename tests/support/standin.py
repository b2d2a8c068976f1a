"""Stand-ins for PBS and LSF that run jobs: as processes of this host, at once.

For sessions of Ganga, whose classes submit by qsub and bsub. Of the queue they tell what
``fakepbs`` does, and what bjobs(1) of LSF 10.1 says.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

from tests.support.fakepbs import FakePbs

#: How each family's command line names a job, what it prints, and what a job finds.
FAMILIES = {
    "PBS": ("qsub", "qdel", "{0}.pbs", "{0}.pbs", ("PBS_JOBID", "PBS_QUEUE")),
    "LSF": (
        *("bsub", "bkill", "{0}", "Job <{0}> is submitted to default queue <normal>."),
        ("LSB_BATCH_JID", "LSB_QUEUE"),
    ),
}

PROGRAM = """#!{python} -SE
import json, os, pwd, signal, subprocess, sys, time
jobs, work, family, (id_name, queue_name) = {jobs!r}, {work!r}, {family!r}, {names!r}
USER = pwd.getpwuid(os.geteuid()).pw_name

def ctime():
    return time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime())

def note(name, **values):
    part, path = os.path.join(work, name), os.path.join(jobs, name)
    known = json.load(open(path)) if os.path.exists(path) else {{}}
    with open(part, "w") as file:
        json.dump({{**known, **values}}, file)
    os.rename(part, path)

def state(name, what, code=None, killed=False):
    over, now = code is not None, ctime()
    if family == "PBS":
        new = {{"job_state": what, "mtime": now}}
        if over:
            new.update(Exit_status=271 if killed else code, substate=91 if killed else 92)
        elif what == "R":
            new.update(stime=now, exec_host="n1/0", run_count=1)
        else:
            new.update(Job_Owner=USER + "@h", ctime=now, queue="workq", run_count=0)
    else:
        new = {{"STAT": "EXIT" if code else what}}
        if over:
            new.update(FINISH_TIME=now[4:] + " L", EXIT_CODE=str(code or ""))
            new.update(EXIT_REASON="TERM_OWNER: job killed by owner" if killed else "")
        elif what == "RUN":
            new.update(START_TIME=now[4:], EXEC_HOST="n1")
        else:
            new.update(JOBID=name, JOBINDEX="0", USER=USER, SUBMIT_TIME=now[4:], QUEUE="normal")
    note(name, **new)

waits, runs, done = ("Q", "R", "F") if family == "PBS" else ("PEND", "RUN", "DONE")
if sys.argv[0].endswith({submit!r}):
    words = sys.argv[1:]
    out, err = words[words.index("-o") + 1], words[words.index("-e") + 1]
    number = {first}
    while True:
        try:
            os.mkdir(os.path.join(work, "%d.d" % number))
            break
        except FileExistsError:
            number += 1
    name = {name!r}.format(number)
    state(name, waits)
    print({told!r}.format(number), flush=True)
    if os.fork():
        os._exit(0)
    os.setsid()
    open(os.path.join(work, "%d.d" % number, "pid"), "w").write(str(os.getpid()))
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    state(name, runs)
    environ = {{**os.environ, id_name: name, queue_name: "normal"}}
    with open(out, "ab") as o, open(err, "ab") as e:
        code = subprocess.call(["python3", words[-1]], stdout=o, stderr=e, env=environ)
    state(name, done, code % 256)
elif sys.argv[0].endswith({kill!r}):
    name = sys.argv[1]
    pid = int(open(os.path.join(work, name.split(".")[0] + ".d", "pid")).read())
    os.killpg(pid, signal.SIGKILL)
    state(name if family == "LSF" or "." in name else name + ".pbs", done, 130, killed=True)
else:  # bjobs
    records = [json.load(open(os.path.join(jobs, name))) for name in os.listdir(jobs)]
    print(json.dumps({{"COMMAND": "bjobs", "JOBS": len(records), "RECORDS": records}}))
"""


class StandIn:
    """``family``: PBS or LSF. ``folder``: for its commands; to be put on the path."""

    def __init__(self, family: str, folder: Path) -> None:
        submit, kill, name, told, names = FAMILIES[family]
        self._work = folder / "work"
        self._work.mkdir(parents=True)
        if family == "PBS":
            jobs = FakePbs(folder, "pbs").jobs
        else:
            jobs = folder / "jobs"
            jobs.mkdir()
        # Ganga's wrapper for PBS makes a directory of its job's name in /tmp.
        first = 1000 * os.getpid()
        text = PROGRAM.format(
            python=sys.executable, jobs=str(jobs), work=str(self._work), family=family,
            names=names, submit=submit, kill=kill, name=name, told=told, first=first,
        )  # fmt: skip
        for command in (submit, kill, *(("bjobs",) if family == "LSF" else ())):
            path = folder / command
            path.write_text(text)
            path.chmod(0o755)

    def close(self) -> None:
        """End what still runs; remove what Ganga's wrapper for PBS leaves where it is killed."""
        for path in self._work.glob("*/pid"):
            with suppress(ProcessLookupError, ValueError):
                os.killpg(int(path.read_text()), signal.SIGKILL)
            shutil.rmtree(f"/tmp/{path.parent.stem}.pbs", ignore_errors=True)
