"""Runs inside Ganga, in the container `client`: ``ganga compose_session.py SUBJOBS HELD LIMIT``.

One Slurm job of so many subjobs, the last ``HELD`` of which wait for the file ``gate`` in the
gangadir. Prints a line of progress each second, and at the end one of JSON, ``FACTS {...}``.
"""

# ruff: noqa: F821
# mypy: ignore-errors

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import GangaCore.Core

SUBJOBS, HELD, LIMIT = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
FINAL = ("completed", "failed", "killed")
GATE = os.path.join(config.Configuration.gangadir, "gate")
WAIT = f"n=0; while ! test -e {GATE} && test $n -lt 1200; do sleep 1; n=$((n+1)); done; "


def command(number):
    return (WAIT if number >= SUBJOBS - HELD else "") + f"echo subjob {number} as $(id -u)"


runMonitoring()
begun = time.time()
j = Job(name="compose", application=Executable(exe="/bin/sh"), backend=Slurm())
j.splitter = ArgSplitter(args=[["-c", command(i)] for i in range(SUBJOBS)])
j.postprocessors.append(TextMerger(files=["stdout"]))
j.submit()
submitted = time.time()
print(f"submitted {SUBJOBS} subjobs in {submitted - begun:.1f} s", flush=True)
counts = Counter()
while time.time() - submitted < LIMIT and j.status not in FINAL:
    now = Counter(s.status for s in j.subjobs)
    if now != counts:
        counts = now
        print(f"{time.time() - submitted:6.1f} s completed={counts['completed']} {dict(counts)}",
              flush=True)  # fmt: skip
    time.sleep(1)
ended = time.time()
merged = os.path.join(j.outputdir, "stdout")
found = {
    "job": j.id,
    "status": j.status,
    "subjobs": dict(Counter(s.status for s in j.subjobs)),
    "submit_s": submitted - begun,
    "run_s": ended - submitted,
    "monitoring": type(GangaCore.Core.monitoring_component).__module__,
    "lags": list(getattr(GangaCore.Core.monitoring_component, "lags", [])),
    "merged": merged,
    "text": Path(merged).read_text() if os.path.exists(merged) else "",
    "outputs": [os.path.join(s.outputdir, "stdout") for s in j.subjobs],
}
print("FACTS " + json.dumps(found), flush=True)
