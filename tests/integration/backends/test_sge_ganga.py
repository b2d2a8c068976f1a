"""From a Ganga session to its merged output, over a real Grid Engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from gangamon.domain.status import JobStatus
from tests.integration.backends.sge import GridEngine
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until


@pytest.fixture(scope="module")
def service(grid_engine: GridEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a host with that cell's commands, which asks it every second or two."""
    config = tmp_path_factory.mktemp("service") / "gangamon.toml"
    config.write_text("[backends.SGE]\nfloor = 1\ncap = 2\nrate = 5\n")
    found = Service()
    found.environ.update(
        {k: v for k, v in grid_engine.environ.items() if k[:4] in ("PATH", "SGE_")}
    )
    found.environ["GANGAMON_CONFIG"] = str(config)
    try:
        found.up()
        yield found
    finally:
        found.close()


@pytest.fixture
def ganga(service: Service, tmp_path: Path) -> Session:
    if find_spec("ganga") is None:
        pytest.skip("Ganga is not installed")
    session = Session(tmp_path, service.environ)
    with session.gangarc.open("a") as file:
        # Ganga's default is /usr/bin/python, which Debian has not. 8.1.9 takes TMPDIR, for which
        # Ganga's default looks, out of a job's environment (sge_conf(5), end); TMP is there. The
        # wrapper looks that often for the end of the application.
        file.write(
            "[SGE]\nsubmit_str = cd %s; qsub -cwd -S /usr/bin/python3 -V %s %s %s %s\n"
            'preexecute = os.chdir(os.environ["TMP"])\n'
            "heartbeat_frequency = 0.2\n"
        )
    return session


def test_a_session_with_sge_jobs(service: Service, ganga: Session) -> None:
    """Eight subjobs complete and are merged; another job fails, one is deleted in Grid Engine; what
    Ganga's own monitoring would fill in is there, and the ids stay Grid Engine's."""
    found = ganga.run("""
        def on_sge(command, **given):
            app = Executable(exe="/bin/sh", args=["-c", command])
            return Job(application=app, backend=SGE(queue="fast"), **given)
        j = Job(application=Executable(exe="/bin/sh"), backend=SGE(), name="eight")
        j.splitter = ArgSplitter(args=[["-c", "echo out %d" % i] for i in range(8)])
        j.postprocessors.append(TextMerger(files=["stdout"]))
        bad = on_sge("echo bad; exit 7")
        begun = Path.home() / "begun"
        shot = on_sge(f"touch {begun}; {HELD}")
        runMonitoring()
        for job in (j, bad, shot):
            job.submit()
        ids = [s.backend.id for s in j.subjobs]
        # Not by its status: Job.submit may set that back to submitted once more.
        until(begun.exists, 240, "it runs")
        os.system("qdel %s" % shot.backend.id)
        over = ("completed", "failed", "killed")
        until(lambda: all(job.status in over for job in (j, bad, shot)), 240, "the jobs are over")
        facts.update(status=j.status, states=states(j), bad=bad.status, shot=shot.status)
        facts["ids"] = ids == [s.backend.id for s in j.subjobs] and len(set(ids)) == 8
        facts["merged"] = open(j.outputdir + "stdout").read()
        facts["bad out"] = open(bad.outputdir + "stdout").read()
        facts["fields"] = [
            [b.exitcode, b.actualqueue, bool(b.actualCE), b.status]
            for b in (stripProxy(x).backend for x in (*j.subjobs, bad, shot))
        ]
        facts["times"] = sorted(j.subjobs(0).time.timestamps)
    """).facts
    assert found["status"] == "completed"
    assert found["states"] == ["completed"] * 8
    assert (found["bad"], found["shot"]) == ("failed", "failed")
    assert found["ids"]
    merged = [line for line in found["merged"].splitlines() if line.startswith("out")]
    assert merged == [f"out {i}" for i in range(8)]
    assert "bad\n" in found["bad out"]
    *well, bad, shot = found["fields"]
    assert well == [[0, "fast", True, "z"]] * 8
    assert bad == [7, "fast", True, "z"]
    assert shot == [None, "fast", True, "failed=100"]
    assert {"submitted", "backend_running", "backend_final", "final"} <= set(found["times"])
    lanes = [str(lane) for lane in service.client().lanes() if str(lane).startswith("SGE")]
    assert lanes == ["SGE|gm|-"]


def test_a_master_that_dies_while_jobs_run(
    service: Service, grid_engine: GridEngine, ganga: Session, tmp_path: Path
) -> None:
    """qmaster is killed while four jobs run, which end while it is away: until it is back they keep
    their status, and then each has its own end."""
    running, go = tmp_path / "running", tmp_path / "go"

    def outage() -> list[JobStatus]:
        until(running.exists, 240, "all run")
        grid_engine.kill_master()
        try:
            client = service.client()
            until(lambda: client.lane("SGE|gm|-").failures, 120, "the lane has failed")
            go.touch()
            until(lambda: client.lane("SGE|gm|-").failures > 1, 120, "it has failed again")
            view = client.snapshot(ganga.repository, 0)
            assert view is not None
            return [job.status for job in view.jobs.values()]
        finally:
            grid_engine.start_master()

    with ThreadPoolExecutor(1) as pool:
        statuses = pool.submit(outage)
        found = ganga.run(
            f"""
            j = Job(application=Executable(exe="/bin/sh"), backend=SGE(), name="four")
            wait = "until test -e {go}; do sleep 0.1; done; exit %d"
            j.splitter = ArgSplitter(args=[["-c", wait % (i % 2)] for i in range(4)])
            runMonitoring()
            j.submit()
            until(lambda: states(j) == ["running"] * 4, 200, "all run")
            open({str(running)!r}, "w").close()
            until(lambda: j.status in ("completed", "failed"), 280, "the job is over")
            facts.update(states=states(j), codes=[s.backend.exitcode for s in j.subjobs])
        """,
            within=400,
        ).facts
    assert statuses.result() == ["running"] * 4
    assert found["states"] == ["completed", "failed"] * 2
    assert found["codes"] == [0, 1] * 2
