"""The Condor backend against a real HTCondor, by its commands and by its Python bindings, and from
a Ganga session to its merged output."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from gangamon.backends.condor import CondorBackend
from gangamon.backends.condor.states import DISCONNECTED
from gangamon.cli import main
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.testing.conformance import BackendCase, BackendConformance
from gangamon.testing.factories import poll_item
from tests.integration.backends.condor import WITHIN, Condor
from tests.integration.backends.condor_jobs import (
    GONE,
    HERE,
    QUEUED,
    Sent,
    brought_about,
    check,
    send,
)
from tests.integration.ganga.service import Service
from tests.integration.ganga.session import Session
from tests.support.waiting import until


@pytest.fixture(params=["commands", "bindings"])
def way(request: pytest.FixtureRequest, pool: Condor, monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes this process ask the pool, in each of both ways."""
    use(pool, monkeypatch, request.param)
    return str(request.param)


def use(pool: Condor, monkeypatch: pytest.MonkeyPatch, way: str = "commands") -> None:
    environ = pool.commands if way == "commands" else pool.environ
    for name in ("PATH", "CONDOR_CONFIG"):
        monkeypatch.setenv(name, environ[name])
    if way == "bindings":
        assert shutil.which("condor_q") is None and find_spec("htcondor2")


@pytest.fixture(scope="module")
def jobs(pool: Condor) -> Mapping[str, Sent]:
    return brought_about(pool)


class TestPool(BackendConformance):
    """What has ended stands in the queue, or in the log."""

    @pytest.fixture
    def case(
        self,
        pool: Condor,
        way: str,
        jobs: Mapping[str, Sent],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> BackendCase:
        def sever() -> None:
            if way == "commands":
                # A host without HTCondor's commands, whose bindings find no schedd.
                monkeypatch.setenv("PATH", str(tmp_path))
            monkeypatch.setenv("CONDOR_CONFIG", "/dev/null")

        named = [jobs[name].item() for name in ("waits", "runs", "kept", "held", "later")]
        known = [*named, jobs["failed"].item("condorLog"), jobs["cancelled"].item("condorLog")]
        return BackendCase(
            CondorBackend(), HERE, known, poll_item("9", "/none", native_id="999999.0"), sever
        )


def test_what_each_job_became(pool: Condor, way: str, jobs: Mapping[str, Sent]) -> None:
    """Status, native state, reason, times and place, in the queue, in the history and in the log;
    facts in the attributes that Ganga has."""
    backend = CondorBackend()
    items = [jobs[name].item() for name in (*QUEUED, *GONE)]
    answers = backend.poll(HERE, items)
    for name, expected in QUEUED.items():
        check(answers[jobs[name].id], expected, name)
    gone = [jobs[name].item() for name in GONE]
    assert {answers[item.key] for item in gone} == {Absent("condor_q")}
    logged = [jobs[name].item("condorLog") for name in GONE]
    for source in (backend.second_source(HERE, gone), backend.poll(HERE, logged)):
        for name, expected in GONE.items():
            found = check(source[jobs[name].id], expected, name)
            begun = name != "never began"
            assert bool(found.site) == begun == ("actualCE" in found.attributes), found
            assert found.attributes["status"] == expected[0]
            ended = found.ended_at
            assert ended is None or time.time() - 1800 < ended <= time.time() + 1, found
            assert ended or expected[0] == "Removed"
            assert (found.started_at or 0) <= (ended or 1e11)
            codes = {"well": 0, "failed": 3}
            assert found.exit_code == codes.get(name)
    running = answers[jobs["runs"].id]
    assert isinstance(running, Seen) and running.started_at and running.site
    assert answers[jobs["held"].id].restarts == 1  # type: ignore[union-attr]


def test_elements_of_a_cluster(pool: Condor, way: str) -> None:
    """Each has its own end: by the history, for they share a log; and by that."""
    last = send(pool, "exit $(Process)", count=4)
    cluster = last.id.partition(".")[0]
    for n in range(4):
        pool.reaches(f"{cluster}.{n}", "")
    items = [replace(last.item("condorLog"), fqid=f"42.{n}", native_id=f"{cluster}.{n}")
             for n in range(4)]  # fmt: skip
    backend = CondorBackend()
    for answers in (backend.poll(HERE, items), backend.second_source(HERE, items)):
        found = [answers[item.key] for item in items]
        assert [f.exit_code for f in found if isinstance(f, Seen)] == [0, 1, 2, 3]
        status = [f.status for f in found if isinstance(f, Seen)]
        assert status == [JobStatus.COMPLETED, *[JobStatus.FAILED] * 3]


@pytest.mark.parametrize("how", ["held", "vacated"])
def test_a_job_that_is_evicted(pool: Condor, way: str, how: str) -> None:
    """It waits anew with one restart more, and the end of its second run is its end."""
    flag = pool.work / f"second-{way}-{how}"
    job = send(pool, f"test -e {flag} && exit 5; : > began; sleep 900")
    until((job.folder / "began").exists, WITHIN, "it runs")
    until(lambda: "Job executing" in (job.folder / "condorLog").read_text(), WITHIN, "it says so")
    (first,) = CondorBackend().poll(HERE, [job.item()]).values()
    assert isinstance(first, Seen) and (first.status, first.restarts) == (JobStatus.RUNNING, 0)
    if how == "held":
        pool.must("condor_hold", job.id)
        pool.reaches(job.id, "5")
    flag.touch()
    pool.must(*(("condor_release",) if how == "held" else ("condor_vacate_job", "-fast")), job.id)
    until(lambda: restarted(job), WITHIN, "it has one restart")
    pool.reaches(job.id, "")
    for answers in (
        CondorBackend().poll(HERE, [job.item("condorLog")]),
        CondorBackend().second_source(HERE, [job.item(restarts=1)]),
    ):
        (ended,) = answers.values()
        assert isinstance(ended, Seen)
        assert (ended.status, ended.restarts, ended.exit_code) == (JobStatus.FAILED, 1, 5)


def restarted(job: Sent) -> bool:
    """Whether the poll says that it was started over, or has ended. No end but its own is told."""
    (found,) = CondorBackend().poll(HERE, [job.item("condorLog")]).values()
    assert isinstance(found, Seen)
    assert found.status not in FINAL or found.exit_code == 5
    return found.restarts == 1


def test_a_schedd_by_its_name(pool: Condor, way: str, jobs: Mapping[str, Sent]) -> None:
    """Found by the pool's collector; one that is not there is Unreachable."""
    there, backend = Lane("Condor", pool.schedd), CondorBackend()
    (found,) = backend.poll(there, [jobs["runs"].item()]).values()
    assert isinstance(found, Seen)
    (ended,) = backend.second_source(there, [jobs["failed"].item()]).values()
    assert isinstance(ended, Seen) and ended.exit_code == 3
    with pytest.raises(BackendUnreachable):
        CondorBackend().poll(Lane("Condor", "nobody@nowhere"), [jobs["runs"].item()])


def test_the_doctor(
    pool: Condor, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GANGAMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("GANGAMON_CONFIG", "")
    told = CliRunner().invoke(main, ["doctor", "backend", "Condor", "--json"])
    found = {check["name"]: (check["level"], check["text"]) for check in json.loads(told.stdout)}
    assert told.exit_code == 0, found
    assert found["commands"][0] == ("OK" if way == "commands" else "WARN")
    assert found["query"][0] == found["history"][0] == "OK"
    assert way == "bindings" or found["version"][1].startswith("23.9")


def test_without_a_token(
    pool: Condor, way: str, jobs: Mapping[str, Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user whom the schedd does not let in: the credential is missing."""
    monkeypatch.setenv("_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS", "TOKEN")
    with pytest.raises(CredentialMissing):
        CondorBackend().poll(HERE, [jobs["runs"].item()])


def test_a_schedd_that_hangs(pool: Condor, way: str, jobs: Mapping[str, Sent]) -> None:
    """The query ends at its time-out, and is no answer."""
    backend = CondorBackend()
    backend.limits = replace(backend.limits, timeout=3.0)
    pool.freeze_schedd(True)
    try:
        with pytest.raises(BackendUnreachable, match="no answer within 3 s"):
            backend.poll(HERE, [jobs["runs"].item()])
    finally:
        pool.freeze_schedd(False)
    until(lambda: pool.asked("condor_q").returncode == 0, WITHIN, "it answers")


def test_a_schedd_that_is_restarted(
    pool: Condor, jobs: Mapping[str, Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is away nothing is learnt; when it is back everything is as it was."""
    use(pool, monkeypatch)
    items = [jobs[name].item() for name in (*QUEUED, *GONE) if name != "runs"]
    before = CondorBackend().poll(HERE, items)
    pool.stop_schedd()
    try:
        with pytest.raises(BackendUnreachable):
            CondorBackend().poll(HERE, items)
    finally:
        pool.start_schedd()
    assert CondorBackend().poll(HERE, items) == before


def test_a_schedd_that_is_killed(
    pool: Condor, jobs: Mapping[str, Sent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its master has started it again there is no answer, and then it is as it was."""
    use(pool, monkeypatch)
    items = [jobs[name].item() for name in (*QUEUED, *GONE) if name != "runs"]
    before = CondorBackend().poll(HERE, items)
    pool.kill_schedd()

    def answers() -> Mapping[str, Observation]:
        with suppress(BackendUnreachable):
            return CondorBackend().poll(HERE, items)
        return {}

    assert until(answers, WITHIN, "it answers") == before


def test_a_job_whose_machine_is_gone(pool: Condor, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is killed, the job too. When it is back HTCondor calls the job Running until its lease
    ends; so do we, and say why, by the queue and then by the log. It ends all other jobs."""
    use(pool, monkeypatch)
    job = send(pool, "sleep 900")
    pool.reaches(job.id, "2")
    log = job.folder / "condorLog"
    until(lambda: "Job executing" in log.read_text(), WITHIN, "it is logged")
    pool.kill_daemons()
    pool.start_daemons()
    tries = "JobCurrentReconnectAttempt"
    until(lambda: pool.state(job.id, tries).isdecimal(), WITHIN, "HTCondor tries to reconnect")
    assert pool.state(job.id) == "2"
    backend, item = CondorBackend(), job.item("condorLog")
    for source in ("condor_q", "event log"):
        found = backend.poll(HERE, [item])[item.key]
        assert isinstance(found, Seen), found
        assert (found.source, found.status) == (source, JobStatus.RUNNING)
        assert found.native_status == f"Running: {DISCONNECTED}"
    pool.must("condor_rm", job.id)


def test_a_number_that_is_given_anew(pool: Condor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedd that has lost its queue counts anew: that job is not ours, in queue and history.
    After it, for it ends all jobs."""
    use(pool, monkeypatch)
    ours, other = (pool.work / "42" / name / "output" for name in ("0", "1"))
    for folder in (ours, other):
        folder.mkdir(parents=True)
    wait = "requirements = False"
    cluster = pool.submit("exit 0", wait, folder=ours)
    extra = {"submitted_in": "output"}
    mine = poll_item("42.0", str(ours), extra, native_id=f"{cluster}.0")
    backend = CondorBackend()
    assert isinstance(backend.poll(HERE, [mine])[mine.key], Seen)
    pool.kill_daemons()
    for path in (pool.inside / "spool").glob("job_queue.log*"):
        path.unlink()
    pool.start_daemons()
    assert backend.poll(HERE, [mine])[mine.key] == Absent("condor_q")
    until(lambda: pool.submit("exit 0", wait, folder=other) == cluster, WITHIN, "the same number")
    theirs = poll_item("42.1", str(other), extra, native_id=f"{cluster}.0")
    answers = backend.poll(HERE, [mine, theirs])
    assert answers[mine.key] == Absent("condor_q")
    assert isinstance(answers[theirs.key], Seen)
    pool.must("condor_rm", cluster)
    pool.reaches(f"{cluster}.0", "")
    answers = backend.second_source(HERE, [mine, theirs])
    assert answers[mine.key] == Absent("condor_history", second=True)
    assert isinstance(answers[theirs.key], Seen)


def test_no_socket_but_on_loopback(pool: Condor) -> None:
    """The pool under test is nobody else's."""
    looked_at = 0
    for pid in pool.pids():
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(pid).net_connections("inet")
            assert {f.laddr.ip for f in found if f.laddr} <= {"127.0.0.1"}, (pid, found)
            looked_at += len(found)
    assert looked_at


# --- from a Ganga session ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(pool: Condor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a submit host: it asks the queue every few seconds, and reads the logs."""
    config = tmp_path_factory.mktemp("service") / "gangamon.toml"
    config.write_text("[backends.Condor]\nfloor = 3\ncap = 6\nrate = 5\n")
    found = Service()
    found.environ.update({k: pool.commands[k] for k in ("PATH", "CONDOR_CONFIG")})
    found.environ["GANGAMON_CONFIG"] = str(config)
    try:
        found.up()
        yield found
    finally:
        found.close()


@pytest.fixture
def ganga(pool: Condor, service: Service) -> Session:
    """Below the pool's directory, for the jobs write there; they are another user's."""
    if find_spec("ganga") is None:
        pytest.skip("Ganga is not installed")
    place = Path(tempfile.mkdtemp(dir=pool.work))
    place.chmod(0o755)
    return Session(place, service.environ)


#: The jobs' directories are writable to the user that the jobs run as.
OPEN = """
    os.umask(0)
    over = ("completed", "failed", "killed")
    def quoted(command):
        return "'%s'" % command  # Ganga's wrapper is a shell script, and quotes nothing itself
    def on_condor(command, **given):
        app = Executable(exe="/bin/sh", args=["-c", quoted(command)])
        backend = Condor(cdf_options={"request_memory": "16", "request_disk": "1"})
        return Job(application=app, backend=backend, **given)
    def split(command, count):
        j = on_condor("")
        j.splitter = ArgSplitter(args=[["-c", quoted(command % i)] for i in range(count)])
        return j
"""


@pytest.fixture(params=["25", "24"])
def version(request: pytest.FixtureRequest, ganga: Session, tmp_path: Path) -> str:
    """Of the bindings: those that Ganga cannot import by itself, or those that it can."""
    if request.param == "24":
        pytest.importorskip("pip")
        install = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile")
        subprocess.run([*install, "--target", str(tmp_path), "htcondor==24.12.24"], check=True)
        ganga.environ["PYTHONPATH"] = str(tmp_path)
    return str(request.param)


def test_a_session_with_condor_jobs(
    service: Service, pool: Condor, ganga: Session, version: str
) -> None:
    """Subjobs complete and are merged, others fail, are killed by Ganga, removed in HTCondor;
    Ganga's own query works as well."""
    found = ganga.run(
        OPEN
        + """
    j = split("echo out %d", 10)
    j.postprocessors.append(TextMerger(files=["stdout"]))
    bad, shot, removed = on_condor("echo bad; exit 7"), on_condor("sleep 900"), on_condor("exit 0")
    removed.backend.cdf_options = {"hold": "True"}
    runMonitoring()
    for job in (j, bad, shot, removed):
        job.submit()
    facts["ids"] = [s.backend.id for s in j.subjobs]
    until(lambda: shot.status == "running", 240, "the one to be killed runs")
    from importlib import import_module
    module = import_module("GangaCore.Lib.Condor.Condor")
    facts["bindings"] = type(module.htcondor).__name__
    module.Condor.updateMonitoringInformation([stripProxy(shot), stripProxy(removed)])
    facts["by Ganga"] = [shot.backend.status, removed.backend.status]
    os.system("condor_rm %s" % removed.backend.id)
    shot.kill()
    facts["killed"] = shot.status
    until(lambda: all(job.status in over for job in (j, bad, removed)), 240, "the jobs are over")
    facts.update(status=j.status, states=states(j), bad=bad.status, removed=removed.status)
    facts["merged"] = open(j.outputdir + "stdout").read()
    facts["bad out"] = open(bad.outputdir + "stdout").read()
    facts["fields"] = [
        [b.status, b.actualCE] for b in (stripProxy(x).backend for x in (*j.subjobs, bad))
    ]
    facts["times"] = sorted(j.subjobs(0).time.timestamps)
    facts["shot"] = shot.backend.id
    """
    ).facts
    assert found["bindings"] == {"24": "module", "25": "Bindings"}[version]
    assert found["status"] == "completed"
    assert found["states"] == ["completed"] * 10
    assert len(set(found["ids"])) == 10
    assert (found["bad"], found["removed"]) == ("failed", "killed")
    assert found["killed"] == "killed"
    until(lambda: not pool.state(found["shot"]), WITHIN, "it is gone from the queue")
    assert found["by Ganga"] == ["Running", "Held"]
    merged = [line for line in found["merged"].splitlines() if line.startswith("out")]
    assert merged == [f"out {i}" for i in range(10)]
    assert "bad\n" in found["bad out"]
    assert {status for status, _ in found["fields"]} == {"Completed"}
    assert all(host.startswith("slot") for _, host in found["fields"])
    assert {"submitted", "backend_running", "backend_final", "final"} <= set(found["times"])
    lanes = {str(lane) for lane in service.client().lanes() if str(lane).startswith("Condor")}
    assert lanes == {f"Condor|{socket.gethostname()}|-"}


def test_a_schedd_that_is_away_while_jobs_run(
    service: Service, pool: Condor, ganga: Session
) -> None:
    """Six jobs run, and end while the schedd is away: until it is back they keep their status, and
    then each has its own end."""
    running, go = pool.work / "running", pool.work / "go"
    lane = f"Condor|{socket.gethostname()}|-"

    def outage() -> list[JobStatus]:
        until(running.exists, 240, "all run")
        pool.stop_schedd()
        try:
            client = service.client()
            until(lambda: client.lane(lane).failures, WITHIN, "the lane has failed")
            go.touch()
            until(lambda: client.lane(lane).failures > 1, WITHIN, "it has failed again")
            view = client.snapshot(ganga.repository, 0)
            assert view is not None
            return [job.status for job in view.jobs.values()]
        finally:
            pool.start_schedd()

    with ThreadPoolExecutor(1) as threads:
        statuses = threads.submit(outage)
        found = ganga.run(
            OPEN
            + f"""
    j = split("until test -e {go}; do sleep 0.1; done; exit $((%d & 1))", 6)
    runMonitoring()
    j.submit()
    until(lambda: states(j) == ["running"] * 6, 200, "all run")
    open({str(running)!r}, "w").close()
    until(lambda: j.status in over, 280, "the job is over")
    facts.update(states=states(j))
    """,
            within=500,
        ).facts
    assert statuses.result() == [JobStatus.RUNNING] * 6
    assert found["states"] == ["completed", "failed"] * 3
    assert os.environ.get("CONDOR_CONFIG") != str(pool.client)
