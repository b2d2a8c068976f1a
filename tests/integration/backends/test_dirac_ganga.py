"""Ganga sessions with GangaDirac over a real DIRAC: from the hand-over to the merged output.

What is not DIRAC's: the submission (JobManager is not run), in the place of which the ids of jobs
that are in the database are given to Ganga's, as ``DiracBase._block_submit`` would; and UltraDict,
by which Ganga talks to the process of its own monitoring, which is not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from gangamon.domain.lane import Lane
from tests.integration.backends.dirac import Dirac
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.beside import beside
from tests.support.waiting import until

SUBMIT = """
from GangaDirac.Lib.Backends.DiracBase import DiracBase
IDS = iter({ids})
def master_submit(self, rjobs, configs, common, keep_going=False, parallel_submit=False):
    self.getJobObject().getInputWorkspace().getPath()  # where the scripts are written to
    for job in rjobs:
        job.backend.id = next(IDS)
        job.updateStatus("submitting")
        job.updateStatus("submitted")
        stripProxy(job.info).increment()
    return 1
DiracBase.master_submit = master_submit
def on_dirac(**given):
    return Job(application=Executable(exe="/bin/true"), backend=Dirac(), **given)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that asks DIRAC every second or two."""
    config = tmp_path_factory.mktemp("service") / "gangamon.toml"
    config.write_text("[backends.Dirac]\nfloor = 1\ncap = 2\nrate = 5\n")
    found = Service()
    found.environ["GANGAMON_CONFIG"] = str(config)
    try:
        found.up()
        yield found
    finally:
        found.close()


@pytest.fixture
def ganga(service: Service, dirac_site: Dirac, tmp_path: Path) -> Session:
    if find_spec("ganga") is None:
        pytest.skip("Ganga is not installed")
    stub = tmp_path / "stub" / "UltraDict"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("class UltraDict(dict): pass\n")
    (stub / "Exceptions.py").write_text("class AlreadyClosed(Exception): pass\n")
    session = Session(tmp_path, service.environ)
    text = session.gangarc.read_text()
    session.gangarc.write_text(
        text.replace("RUNTIME_PATH = ", "RUNTIME_PATH = GangaDirac:")
        + f"[DIRAC]\nDiracEnvSource = {dirac_site.diracosrc}\n"
        + "[defaults_DiracProxy]\ngroup = gm_user\n"
    )
    session.environ["PYTHONPATH"] = str(stub.parent)
    session.environ["X509_USER_PROXY"] = str(tmp_path / "proxy")
    dirac_site.make_proxy(f"{tmp_path}/proxy:gm_user")
    return session


def test_a_session_with_dirac_jobs(
    service: Service, dirac_site: Dirac, ganga: Session, tmp_path: Path
) -> None:
    """Four subjobs complete and are merged; one job fails, one is killed in DIRAC. Their sandboxes
    are there, and what Ganga's own monitoring would fill in."""
    *well, bad, shot = ids = dirac_site.jobs(6)
    submitted, running = tmp_path / "submitted", tmp_path / "running"

    def live() -> None:
        until(submitted.exists, 240, "the jobs are submitted")
        dirac_site.hand("status", ids, "Running", "Application", "step 1", "LCG.CERN.ch")
        until(running.exists, 240, "the jobs run")
        for number, job in enumerate(well):
            files = {"Ganga_Executable.log": f"out {number}\n", "std.out": "of DIRAC\n"}
            dirac_site.hand("sandbox", job, files)
        dirac_site.hand("parameter", well[0], "NormCPUTime(s)", "12.5")
        dirac_site.hand("sandbox", bad, {"std.err": "alas\n"})
        dirac_site.hand("status", well, "Done", "Execution Complete", "All is well")
        dirac_site.hand("status", [bad], "Failed", "Application", "'x' Exited With Status 3")
        dirac_site.hand("status", [shot], "Killed", "Marked for termination")

    with beside(live):
        found = ganga.run(
            SUBMIT.format(ids=ids)
            + f"""
j = on_dirac(name="four", splitter=ArgSplitter(args=[[str(i)] for i in range(4)]))
j.postprocessors.append(TextMerger(files=["stdout"]))
bad, shot = on_dirac(), on_dirac()
all_ = (j, bad, shot)
runMonitoring()
for job in all_:
    job.submit()
until(lambda: sent(*(job.id for job in all_)), 120, "all are handed over")
open({str(submitted)!r}, "w").close()
until(lambda: all(job.status == "running" for job in all_), 240, "all run")
facts["running"] = [stripProxy(s).backend.extraInfo for s in j.subjobs]
open({str(running)!r}, "w").close()
over = ("completed", "failed", "killed")
until(lambda: all(job.status in over for job in all_), 240, "the jobs are over")
facts.update(status=j.status, states=states(j), bad=bad.status, shot=shot.status)
facts["merged"] = open(j.outputdir + "stdout").read()
facts["err"] = open(bad.outputdir + "std.err").read()
facts["shot files"] = [n for n in os.listdir(shot.outputdir) if not n.startswith(".gangamon")]
facts["fields"] = [
    [b.id, b.status, b.statusInfo, b.extraInfo, b.actualCE, b.normCPUTime]
    for b in (stripProxy(x).backend for x in (*j.subjobs, bad, shot))
]
facts["times"] = sorted(j.subjobs(0).time.timestamps)
""",
            within=600,
        ).facts
    assert (found["status"], found["states"]) == ("completed", ["completed"] * 4)
    assert (found["bad"], found["shot"]) == ("failed", "failed")
    assert found["running"] == ["step 1"] * 4
    merged = [line for line in found["merged"].splitlines() if line.startswith("out")]
    assert merged == [f"out {i}" for i in range(4)]
    assert (found["err"], found["shot files"]) == ("alas\n", [])
    done = ["Done", "Execution Complete", "All is well", "LCG.CERN.ch"]
    three = "'x' Exited With Status 3"
    assert found["fields"] == [
        *([job, *done, "12.5" if job == well[0] else None] for job in well),
        [bad, "Failed", "Application", three, "LCG.CERN.ch", None],
        [shot, "Killed", "Marked for termination", "step 1", "LCG.CERN.ch", None],
    ]
    assert {"submitted", "backend_running", "backend_final", "final"} <= set(found["times"])
    (lane,) = [lane for lane in service.client().lanes() if str(lane).startswith("Dirac")]
    proxy = f"{tmp_path}/proxy:gm_user"
    assert Lane.parse(str(lane)) == Lane("Dirac", str(dirac_site.diracosrc), proxy)
