"""Backends that gangamon has no plugin for: what Ganga's own code makes of their jobs."""

from __future__ import annotations

from tests.integration.ganga.scripted import SCRIPTED
from tests.integration.ganga.session import Session


def test_interactive_and_a_batch_systems_heartbeat(alone: Session) -> None:
    """An Interactive job ends when its command has. Of three jobs of a batch system one has written
    its exit code, one has a heartbeat, and that of the last is older than the timeout: it is failed
    as one that has disappeared. None of them is handed over."""
    result = alone.run(
        SCRIPTED
        + """
from GangaCore.Lib.Batch.Batch import LSF as RawLSF
import subprocess

def submit(self, *given):
    self.id = str(1000 + self.getJobObject().id)
    self.actualqueue = "short"
    return True

RawLSF.submit = submit

def written(j, name, text, age=0.0):
    path = Path(j.outputdir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)

runMonitoring()
i = Job(application=Executable(exe="/bin/echo", args=["seen"]), backend=Interactive())
i.submit()
ended, lives, lost = [Job(backend=LSF()) for _ in range(3)]
for j in (ended, lives, lost):
    j.submit()
written(ended, "__jobstatus__", "PID: 11\\nQUEUE: short\\nEXITCODE: 0\\n")
written(lives, "__jobstatus__", "PID: 12\\nQUEUE: short\\nACTUALCE: node7\\n")
written(lives, "__heartbeat__", "")
written(lost, "__heartbeat__", "", age=3600)
written(lost, "__jobstatus__", "PID: 13\\nQUEUE: short\\n")
over = lambda: i.status == ended.status == "completed" and lost.status == "failed"
until(over, 110, "Ganga has seen their ends")
until(lambda: lives.status == "running" and lives.backend.actualCE == "node7", 110, "and the life")
facts["interactive"] = i.backend.exitcode
facts["sent"] = [c.master for c in client.commands if hasattr(c, "jobs")]
""",
        "-o[PollThread]default_backend_poll_rate=1",
        "-o[PollThread]LSF=1",
        within=200,
    )
    assert result.facts == {"interactive": 0, "sent": []}
    assert result.output.count("has disappeared from the batch system") == 1
    for name in ("Interactive", "LSF"):
        assert result.output.count(f"no plugin for the backend {name}") == 1


def test_run_post_processors_is_gangas_own(alone: Session) -> None:
    """``j.runPostProcessors()`` of a job that gangamon has ended: the application's hook and the
    output files once more, as in stock Ganga, and its status stays."""
    found = alone.run(
        SCRIPTED
        + """
from GangaCore.GPIDev.Lib.Job.Job import Job as RawJob
from GangaCore.Lib.Executable.Executable import Executable as RawExecutable
hooks, stock = Counter(), RawJob.postprocessoutput

def postprocess(self):
    hooks["application"] += 1

def postprocessoutput(self, *given):
    hooks["outputs"] += 1
    return stock(self, *given)

RawExecutable.postprocess, RawJob.postprocessoutput = postprocess, postprocessoutput
j = submitted(2, outputfiles=[LocalFile("out")])
followed(j)
for sub in (0, 1):
    folder = Path(j.subjobs(sub).outputdir)
    folder.mkdir(parents=True)
    (folder / "out").write_text("it")
say(j, S.COMPLETED, (0, 1))
client.say(j.id, (), MasterFinal(1, S.COMPLETED, {}))
until(lambda: j.status == "completed", 100, "it is over")
facts["at the end"] = dict(hooks)
j.subjobs(0).runPostProcessors()
j.runPostProcessors()
facts["by hand"] = dict(hooks)
facts["states"] = [j.status, *states(j)]
"""
    ).facts
    assert found["by hand"] == {name: n + 2 for name, n in found["at the end"].items()}
    assert found["at the end"]["application"] == 3
    assert found["states"] == ["completed"] * 3
