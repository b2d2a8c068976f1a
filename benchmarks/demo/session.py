"""Runs inside Ganga (``ganga session.py OUT SUBJOBS``): submits one job and plays the user.

Ganga puts its names (Job, jobs, Executable, ...) into this file's globals.
"""

# ruff: noqa: F821
# mypy: ignore-errors

import json
import os
import sys
import time
from collections import Counter

import GangaCore.Core

OUT, SUBJOBS = sys.argv[1], int(sys.argv[2])
LIMIT = 420.0
FINAL = ("completed", "failed", "killed")
SCRIPT = 'echo "subjob $1 on $(hostname)"; seq 1 20 | sed "s/^/$1 /" > out.txt'

calls = {"jobs(i).status": [], "len(jobs)": [], "j.subjobs.select(...)": []}


def timed(name, call):
    begun = time.perf_counter()
    value = call()
    calls[name].append(time.perf_counter() - begun)
    return value


live = sys.stdout.isatty()


def progress(text, last=False):
    print(("\r\x1b[K" if live else "") + text, end="" if live and not last else "\n", flush=True)


runMonitoring()
begun = time.time()
j = Job(name="demo", application=Executable(exe="/bin/sh"), backend=Local())
j.splitter = ArgSplitter(args=[["-c", SCRIPT, "demo", str(i)] for i in range(SUBJOBS)])
j.outputfiles = [LocalFile("out.txt")]
j.postprocessors.append(TextMerger(files=["out.txt", "stdout"], overwrite=False))
j.submit()
submitted = time.time()
progress(f"submitted job {j.id} with {len(j.subjobs)} subjobs in {submitted - begun:.1f} s", True)

number, shown = j.id, 0.0
while time.time() - submitted < LIMIT:
    status = timed("jobs(i).status", lambda: jobs(number).status)
    timed("len(jobs)", lambda: len(jobs))
    if time.time() - shown >= 1.0 or status in FINAL:
        shown = time.time()
        timed("j.subjobs.select(...)", lambda: len(j.subjobs.select(status="completed")))
        counts = Counter(sj.status for sj in j.subjobs)
        text = ", ".join(f"{n} {s}" for s, n in sorted(counts.items()))
        done = sum(counts[s] for s in FINAL)
        bar = "#" * (30 * done // SUBJOBS)
        progress(f"{shown - submitted:6.1f} s [{bar:.<30}] {text}; job {status}", status in FINAL)
    if status in FINAL:
        break
    time.sleep(0.05)
ended = time.time()

component = GangaCore.Core.monitoring_component
reference = os.path.join(os.path.dirname(OUT), "reference")
os.makedirs(reference, exist_ok=True)
if j.status == "completed":  # what Ganga's own merger makes of the same inputs
    TextMerger(files=["out.txt", "stdout"]).merge(j.subjobs, outputdir=reference)
with open(OUT, "w") as file:
    json.dump(
        {
            "job": j.id,
            "status": j.status,
            "subjobs": dict(Counter(sj.status for sj in j.subjobs)),
            "submit_s": submitted - begun,
            "run_s": ended - submitted,
            "calls": calls,
            "lags": list(component.lags),
            "output": j.outputdir,
            "reference": reference,
            "monitoring": type(component).__module__,
        },
        file,
    )
