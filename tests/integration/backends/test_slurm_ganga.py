"""From a Ganga session to its merged output, over a real Slurm."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from gangamon.domain.status import JobStatus
from tests.integration.backends.slurm import Slurm
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until

#: Subjobs of a large master. 2,000 take too long for every day: ``python -m benchmarks
#: slurm-master``.
MANY = 60


@pytest.fixture(scope="module")
def service(slurm_plain: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a host with that cluster's commands, which asks it every second or two."""
    config = tmp_path_factory.mktemp("service") / "gangamon.toml"
    config.write_text("[backends.Slurm]\nfloor = 1\ncap = 2\nrate = 5\n")
    found = Service()
    found.environ.update({k: slurm_plain.environ[k] for k in ("PATH", "SLURM_CONF")})
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
        # The wrapper looks that often for the end of the application.
        file.write("[Slurm]\nheartbeat_frequency = 0.2\n")
    return session


def test_a_session_with_slurm_jobs(service: Service, slurm_plain: Slurm, ganga: Session) -> None:
    """Twenty subjobs complete and are merged; another job fails, one is killed in Slurm; what
    Ganga's own monitoring would fill in is there, and the ids stay Slurm's."""
    found = ganga.run("""
        def on_slurm(command, **given):
            app = Executable(exe="/bin/sh", args=["-c", command])
            return Job(application=app, backend=Slurm(), **given)
        j = Job(application=Executable(exe="/bin/sh"), backend=Slurm(), name="twenty")
        j.splitter = ArgSplitter(args=[["-c", "echo out %d" % i] for i in range(20)])
        j.postprocessors.append(TextMerger(files=["stdout"]))
        bad = on_slurm("echo bad; exit 7")
        shot = on_slurm("exit 0")
        shot.backend.queue = "held"
        runMonitoring()
        for job in (j, bad, shot):
            job.submit()
        ids = [s.backend.id for s in j.subjobs]
        os.system("scancel %s" % shot.backend.id)
        over = ("completed", "failed", "killed")
        until(lambda: all(job.status in over for job in (j, bad, shot)), 240, "the jobs are over")
        facts.update(status=j.status, states=states(j), bad=bad.status, shot=shot.status)
        facts["ids"] = ids == [s.backend.id for s in j.subjobs] and len(set(ids)) == 20
        facts["merged"] = open(j.outputdir + "stdout").read()
        facts["bad out"] = open(bad.outputdir + "stdout").read()
        facts["fields"] = [
            [b.exitcode, b.actualqueue, b.actualCE, b.status]
            for b in (stripProxy(x).backend for x in (*j.subjobs, bad))
        ]
        facts["times"] = sorted(j.subjobs(0).time.timestamps)
    """).facts
    assert found["status"] == "completed"
    assert found["states"] == ["completed"] * 20
    assert (found["bad"], found["shot"]) == ("failed", "killed")
    assert found["ids"]
    merged = [line for line in found["merged"].splitlines() if line.startswith("out")]
    assert merged == [f"out {i}" for i in range(20)]
    assert "bad\n" in found["bad out"]
    *well, bad = found["fields"]
    assert [fields[:2] for fields in well] == [[0, "fast"]] * 20
    assert bad[:2] == [7, "fast"]
    assert {fields[2] for fields in (*well, bad)} <= {"firm", "frail"}
    assert [fields[3] for fields in (*well, bad)] == ["COMPLETED"] * 20 + ["FAILED"]
    assert {"submitted", "backend_running", "backend_final", "final"} <= set(found["times"])
    lanes = [lane for lane in service.client().lanes() if str(lane).startswith("Slurm")]
    assert [str(lane) for lane in lanes] == [f"Slurm|{slurm_plain.name}|-"]


@pytest.mark.timeout(300 + MANY)
def test_every_job_of_a_large_master(service: Service, slurm_plain: Slurm, ganga: Session) -> None:
    """Each is seen to its end, its outputs are taken in, and stand in the merged file, in order,
    once; each has its own id, and the end that it had."""
    found = ganga.run(
        f"""
        j = Job(application=Executable(exe="/bin/sh"), backend=Slurm(), name="many")
        j.splitter = ArgSplitter(args=[["-c", "echo out %d" % i] for i in range({MANY})])
        j.postprocessors.append(TextMerger(files=["stdout"]))
        runMonitoring()
        begun = time.time()
        j.submit()
        facts["submitted"] = time.time() - begun
        until(lambda: j.status in ("completed", "failed", "killed"), {200 + MANY}, "it is over")
        facts["over"] = time.time() - begun
        facts.update(status=j.status, states=states(j), merged=open(j.outputdir + "stdout").read())
        facts["ids"] = len(set(s.backend.id for s in j.subjobs))
        facts["codes"] = [stripProxy(s).backend.exitcode for s in j.subjobs]
        facts["brought"] = [
            os.path.exists(s.outputdir + ".gangamon-manifest.json") for s in j.subjobs
        ]
    """,
        within=250 + MANY,
    ).facts
    lags = sorted(service.client().lags(f"Slurm|{slurm_plain.name}|-"))
    print(f"{MANY} jobs submitted in {found['submitted']:.0f} s, over after {found['over']:.0f} s")
    middle = lags[len(lags) // 2]
    print(f"lag: median {middle:.1f} s, longest {lags[-1]:.1f} s, of the last {len(lags)}")
    assert found["status"] == "completed"
    assert found["states"] == ["completed"] * MANY
    assert found["codes"] == [0] * MANY
    assert found["brought"] == [True] * MANY
    assert found["ids"] == MANY
    merged = [line for line in found["merged"].splitlines() if line.startswith("out")]
    assert merged == [f"out {i}" for i in range(MANY)]


def test_a_controller_that_dies_while_jobs_run(
    service: Service, slurm_plain: Slurm, ganga: Session, tmp_path: Path
) -> None:
    """slurmctld is killed while six jobs run, which end while it is away: until it is back they
    keep their status, and then each has its own end."""
    running, go = tmp_path / "running", tmp_path / "go"
    lane = f"Slurm|{slurm_plain.name}|-"

    def outage() -> list[JobStatus]:
        until(running.exists, 240, "all run")
        slurm_plain.remembers()
        slurm_plain.kill_controller()
        try:
            client = service.client()
            until(lambda: client.lane(lane).failures, 120, "the lane has failed")
            go.touch()
            until(lambda: client.lane(lane).failures > 1, 120, "it has failed again")
            view = client.snapshot(ganga.repository, 0)
            assert view is not None
            return [job.status for job in view.jobs.values()]
        finally:
            slurm_plain.start_controller()

    with ThreadPoolExecutor(1) as pool:
        statuses = pool.submit(outage)
        found = ganga.run(
            f"""
            j = Job(application=Executable(exe="/bin/sh"), backend=Slurm(), name="six")
            wait = "until test -e {go}; do sleep 0.1; done; exit %d"
            j.splitter = ArgSplitter(args=[["-c", wait % (i % 2)] for i in range(6)])
            runMonitoring()
            j.submit()
            until(lambda: states(j) == ["running"] * 6, 200, "all run")
            open({str(running)!r}, "w").close()
            until(lambda: j.status in ("completed", "failed"), 280, "the job is over")
            facts.update(states=states(j), codes=[s.backend.exitcode for s in j.subjobs])
        """,
            within=400,
        ).facts
    assert statuses.result() == ["running"] * 6
    assert found["states"] == ["completed", "failed"] * 3
    assert found["codes"] == [0, 1] * 3
