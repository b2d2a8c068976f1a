"""Real Ganga sessions in processes of their own, each with a private home and gangadir."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gangamon.cli.ganga import package
from tests import ganga

GANGA = Path(sys.executable).with_name("ganga")
VERSION = ganga.VERSION

#: At the head of each script. ``until`` is the only way to wait.
PRELUDE = '''
import json, os, signal, sys, threading, time
from pathlib import Path
import GangaCore.Core
from GangaCore.GPIDev.Base.Proxy import stripProxy
PROMPT = time.monotonic()
component = GangaCore.Core.monitoring_component
facts = {"prompt": time.time()}

#: For a job's command: it waits until the test lets it go on by GATE.touch(), but not for ever.
GATE = Path.home() / "gate"
HELD = f"n=0; while ! test -e {GATE} && test $n -lt 6000; do sleep 0.1; n=$((n+1)); done"

def until(condition, within, what):
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() > deadline  # before the last look, however long that lasts
        if condition():
            return
        if late:
            facts["gave up"] = what
            facts["jobs"] = [(j.id, j.status, [s.status for s in j.subjobs]) for j in jobs]
            over = ("completed", "failed", "killed")
            try:
                left = [j.id for j in jobs if j.status not in over]
                facts["why"] = [repr(monitor), str(monitor.why(left)) if left else ""]
            except Exception as error:  # Ganga alone has no monitor
                facts["why"] = repr(error)
            done()
        time.sleep(0.05)

def done():
    with open(FACTS + ".part", "w") as file:
        json.dump(facts, file)
    os.rename(FACTS + ".part", FACTS)
    sys.exit(0)

def make(commands, files=("stdout",), **given):
    """A job of one subjob per shell command."""
    j = Job(application=Executable(exe="/bin/sh"), backend=Local(), **given)
    j.splitter = ArgSplitter(args=[["-c", c] for c in commands])
    if files:
        j.postprocessors.append(TextMerger(files=list(files)))
    return j

def single(command, **given):
    app = Executable(exe="/bin/sh", args=["-c", command])
    return Job(application=app, backend=Local(), **given)

def states(j):
    return [s.status for s in j.subjobs]

def spooled():
    folder = Path(config.Configuration.gangadir) / "gangamon" / "spool"
    found = [json.loads(p.read_text()) for p in sorted(folder.glob("*.json"))]
    return [c["kind"] for c in found]

def sent(*masters):
    """Handed over, and taken in by the service."""
    watched = [component.engine.roster.get(m) for m in masters]
    return all(w is not None and w.attempts for w in watched) and component.link.settled

def ended_at_once(j):
    """Submit a job whose subjobs have all ended, without starting one process each."""
    from GangaCore.Lib.Localhost.Localhost import Localhost
    stock = Localhost.run
    def run(self, script):
        now = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime())
        for sub in self.getJobObject().subjobs:
            folder = Path(sub.getOutputWorkspace().getPath())
            (folder / "stdout").write_text(f"{sub.id}\\n")
            (folder / "__jobstatus__").write_text(
                f"START: {now}\\nWRAPPER: 4194000\\nPID: 4194001\\nEXITCODE: 0\\nSTOP: {now}\\n")
        self.wrapper_pid = [4194000]
        return 1
    Localhost.run = run
    j.submit()
    Localhost.run = stock

def lives(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return "Z" not in open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
'''

#: What the adapter puts something of its own in the place of, by module.
METHODS = """
        from GangaCore.Core.GangaRepository.SubJobXMLList import SubJobXMLList
        from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob
        from GangaCore.GPIDev.Lib.Registry.JobRegistry import JobRegistry
        from GangaCore.Lib.Checkers import FileChecker as RawChecker
        from GangaCore.Lib.Mergers.Merger import TextMerger as RawMerger
        from GangaCore.Utility.Config import getConfig
        facts["methods"] = sorted({m.__module__.split(".")[0] for m in (
            RawJob.updateMasterJobStatus, RawMerger.execute, RawChecker.check, JobRegistry._flush,
            JobRegistry.getIndexCache, SubJobXMLList._getItem)})
        facts["hook"] = "*/*" in getConfig("MonitoringServices").options
"""


@dataclass
class Result:
    """``facts``: what the script noted. ``exit``: seconds from its last line to the end. ``start``:
    from the command to the prompt; Ganga's own work, by which to tell how slow the machine is."""

    facts: dict[str, Any]
    output: str
    exit: float
    start: float


class Session:
    """One user's Ganga: sessions one after the other over the same repository."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder = folder
        home = folder / "home"
        self.gangadir = home / "gangadir"
        self.gangadir.mkdir(parents=True)
        # Without both Ganga asks whether to make a new configuration file.
        versions = home / ".cache" / "Ganga" / ".used_versions"
        versions.parent.mkdir(parents=True)
        versions.write_text(f"{VERSION}\n")
        gangarc = f"# Ganga configuration file ($Name: {VERSION} $)\n[Configuration]\n"
        self.gangarc = home / ".gangarc"
        self.gangarc.write_text(
            f"{gangarc}gangadir = {self.gangadir}\nRUNTIME_PATH = {package()}\n"
            f"ReleaseNotes = False\n[Local]\nlocation = {folder}\n[Gangamon]\nAutostart = False\n"
        )
        self.environ = {**environ, "HOME": str(home)}
        self._count = 0

    @property
    def repository(self) -> str:
        path = self.gangadir / "gangamon" / "repository.json"
        return str(json.loads(path.read_text())["id"])

    def run(self, script: str, *options: str, within: float = 300) -> Result:
        """Run a script to its end; AssertionError with the output if it does not get there."""
        self._count += 1
        place = self.folder / f"session{self._count}"
        place.mkdir()
        facts, path = place / "facts.json", place / "script.py"
        text = f"FACTS = {str(facts)!r}\n{PRELUDE}\n{textwrap.dedent(script)}\ndone()\n"
        path.write_text(text)
        log = place / "output"
        begun = time.time()
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(GANGA), "--no-prompt", *options, str(path)],
                cwd=place,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(within)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise AssertionError(f"no end within {within} s:\n{log.read_text()}") from None
        ended = time.time()
        output = log.read_text(errors="replace")
        assert facts.exists(), f"the script did not get to its end:\n{output}"
        found = json.loads(facts.read_text())
        assert "gave up" not in found, f"{found}\n{output}"
        start = found.pop("prompt") - begun
        return Result(found, output, ended - facts.stat().st_mtime, start)
