"""The ARC backend and fetcher against a real A-REX 6.17, with a proxy."""

from __future__ import annotations

import getpass
import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.backends.arc import ArcBackend
from gangamon.cli import main
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing, OutputMissing, StorageAway
from gangamon.fetchers.arc import ArcFetcher
from gangamon.protocols import FetchOrder, PollItem
from gangamon.testing.conformance import (
    BackendCase,
    BackendConformance,
    FetcherCase,
    FetcherConformance,
)
from gangamon.testing.factories import fetch_order, poll_item
from tests.integration.backends.arc import Arc
from tests.integration.backends.daemons import WITHIN
from tests.support.waiting import until

HOME = f"{getpass.getuser()}:repository"
COMPLETED, FAILED, KILLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED

#: Job -> what it runs, what it keeps, what it asks for.
SCRIPTS = {
    "well": ("mkdir -p d/e; echo x >d/e/y; echo z >'a b%c'; echo hello", ("d/", "a b%c"), ""),
    "exit 3": ("echo before; exit 3", (), ""),
    "died": ("kill -9 $$", (), ""),
    "too long": ("while :; do :; done", (), "<TotalCPUTime>1</TotalCPUTime>"),
    "survivor": ("while [ ! -e {gate} ]; do sleep 0.2; done; exit 4", (), ""),
    "cancelled": ("sleep 600", (), ""),
}

ENDS = {name: COMPLETED if name == "well" else FAILED for name in SCRIPTS} | {"cancelled": KILLED}


def item(ce: Arc, job: str, **fields: object) -> PollItem:
    return poll_item(job[:20], "/none", native_id=ce.url_of(job), home=HOME, **fields)


def lane(ce: Arc, credential: object = None) -> Lane:
    return Lane("ARC", ce.url, str(credential or ce.proxy))


def observed(ce: Arc, job: str) -> Observation:
    i = item(ce, job)
    return ArcBackend().poll(lane(ce), [i])[i.key]


def seen(ce: Arc, job: str) -> Seen:
    found = observed(ce, job)
    assert isinstance(found, Seen), found
    return found


@pytest.fixture(autouse=True)
def authorities(arc_ce: Arc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X509_CERT_DIR", str(arc_ce.authority.directory))


@pytest.fixture(scope="module")
def jobs(arc_ce: Arc) -> Iterator[Mapping[str, str]]:
    """All run at once. When all but two are over A-REX is killed, the manager of jobs and the
    interface, and comes back; only then is the one let go and the other cancelled. (An end that
    A-REX is told of in the moment of its start it misses.)"""
    gate = arc_ce.folder / "tmp" / "gate"
    found = {
        name: arc_ce.submit(script.format(gate=gate), files, resources)
        for name, (script, files, resources) in SCRIPTS.items()
    }
    for name, job in found.items():
        if name not in ("survivor", "cancelled"):
            arc_ce.over(job)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("X509_CERT_DIR", str(arc_ce.authority.directory))
        _outage(arc_ce, found, gate)
    for job in found.values():
        arc_ce.over(job)
    yield found


def _outage(arc_ce: Arc, found: Mapping[str, str], gate: Path) -> None:
    two = [item(arc_ce, found[name]) for name in ("survivor", "cancelled")]
    for job in (found["survivor"], found["cancelled"]):
        until(partial(arc_ce.in_batch, job), WITHIN, "it runs", arc_ce.story)
    arc_ce.kill("arex")
    arc_ce.kill("ws")
    with pytest.raises(BackendUnreachable):
        ArcBackend().poll(lane(arc_ce), two)
    arc_ce.start_interface()
    answers = ArcBackend().poll(lane(arc_ce), two)  # nobody looks after the jobs
    assert all(isinstance(o, Seen) and o.status not in FINAL for o in answers.values()), answers
    arc_ce.start_manager()
    answers = ArcBackend().poll(lane(arc_ce), two)
    assert all(isinstance(o, Seen) and o.status not in FINAL for o in answers.values()), answers
    arc_ce.order("kill", found["cancelled"])
    gate.touch()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    found = tmp_path / "42" / "0" / "output"
    found.mkdir(parents=True)
    return found


def order(ce: Arc, job: str, output: Path) -> FetchOrder:
    top = str(output.parent.parent)
    return fetch_order(str(output), [top], native_id=ce.url_of(job), lane=lane(ce))


# --- ends -------------------------------------------------------------------------------------


def test_no_end_is_told_before_it_is_known(arc_ce: Arc, jobs: Mapping[str, str]) -> None:
    """Until A-REX's information provider has been round it tells of a job how it was before, or an
    end without its story; that may be no other end than the right one."""
    found = {name: seen(arc_ce, job).status for name, job in jobs.items()}
    ends = {name: status for name, status in found.items() if status in FINAL}
    assert ends == {name: ENDS[name] for name in ends}
    for job in jobs.values():
        arc_ce.documented(job)
    assert {name: seen(arc_ce, job).status for name, job in jobs.items()} == ENDS


class TestConformance(BackendConformance):
    @pytest.fixture
    def case(self, arc_ce: Arc, jobs: Mapping[str, str]) -> Iterator[BackendCase]:
        severed = []

        def sever() -> None:
            severed.append(True)
            arc_ce.kill("ws")

        for job in jobs.values():
            arc_ce.documented(job)  # till then an end is told with less
        yield BackendCase(
            backend=ArcBackend(),
            lane=lane(arc_ce),
            known=[replace(item(arc_ce, job), home="") for job in jobs.values()],
            missing=replace(item(arc_ce, "nosuchjob"), home=""),
            sever=sever,
        )
        if severed:
            arc_ce.start_interface()


def test_ends(arc_ce: Arc, jobs: Mapping[str, str]) -> None:
    for job in jobs.values():
        arc_ce.documented(job)
    well = seen(arc_ce, jobs["well"])
    assert (well.status, well.exit_code, well.reason) == (COMPLETED, 0, "")
    assert well.started_at and well.ended_at
    now = time.time()
    assert now - 3600 < well.started_at <= well.ended_at < now + 60
    assert well.attributes == {
        "status": "FINISHED",
        "actualCE": "localhost",
        "exitcode_arc": 0,
        "workernode": socket.gethostname().partition(".")[0],
    }
    three = seen(arc_ce, jobs["exit 3"])
    assert (three.status, three.exit_code, three.native_status) == (FAILED, 3, "FAILED")
    assert "Job finished with wrong exit code - 3" in three.reason
    died = seen(arc_ce, jobs["died"])
    assert (died.status, died.exit_code) == (FAILED, None)
    assert "died unexpectedly" in died.reason
    long = seen(arc_ce, jobs["too long"])
    assert (long.status, long.exit_code) == (FAILED, 137)
    assert "s of CPU" in long.reason
    assert (seen(arc_ce, jobs["survivor"]).exit_code, seen(arc_ce, jobs["survivor"]).status) == (
        4,
        FAILED,
    )
    cancelled = seen(arc_ce, jobs["cancelled"])
    assert cancelled.status is KILLED
    assert "cancel" in cancelled.reason


def test_what_the_ce_knows_no_more(arc_ce: Arc, output: Path) -> None:
    """Cancelled before it began; then its user has it cleaned: absent, its outputs gone."""
    job = arc_ce.submit("echo never")
    arc_ce.order("kill", job)
    arc_ce.over(job)
    arc_ce.documented(job)
    assert seen(arc_ce, job).status is KILLED
    arc_ce.order("clean", job)
    until(lambda: isinstance(observed(arc_ce, job), Absent), WITHIN, "it is gone", arc_ce.story)
    (answer,) = ArcBackend().second_source(lane(arc_ce), [item(arc_ce, job)]).values()
    assert isinstance(answer, Absent)
    assert answer.second
    with pytest.raises(OutputMissing):
        ArcFetcher().fetch(order(arc_ce, job, output))


def test_a_job_that_is_put_in_anothers_place(arc_ce: Arc) -> None:
    """ARC's ids are random and never given again; another user's job is as good as none."""
    job = arc_ce.submit("exit 0")
    arc_ce.authority.proxy(arc_ce.folder / "other", "second")
    i = item(arc_ce, job)
    found = ArcBackend().poll(lane(arc_ce, arc_ce.folder / "other"), [i])[i.key]
    assert isinstance(found, Absent)
    assert isinstance(observed(arc_ce, job), Seen)


# --- outputs ----------------------------------------------------------------------------------


class TestFetcher(FetcherConformance):
    @pytest.fixture
    def case(self, arc_ce: Arc, jobs: Mapping[str, str], output: Path) -> FetcherCase:
        missing = output.parent.parent / "1" / "output"
        missing.mkdir(parents=True)
        return FetcherCase(
            ArcFetcher(),
            order(arc_ce, jobs["well"], output),
            order(arc_ce, "nosuchjob", missing),
        )


def test_outputs_come_home(arc_ce: Arc, jobs: Mapping[str, str], output: Path) -> None:
    manifest = ArcFetcher().fetch(order(arc_ce, jobs["well"], output))
    assert {path: size for path, size, _ in manifest.files} == {
        "a b%c": 2,
        "d/e/y": 2,
        "out": 6,
        "err": 0,
    }
    assert (output / "d" / "e" / "y").read_text() == "x\n"
    assert (output / "out").read_text() == "hello\n"


def test_outputs_of_a_job_that_failed(arc_ce: Arc, jobs: Mapping[str, str], output: Path) -> None:
    ArcFetcher().fetch(order(arc_ce, jobs["exit 3"], output))
    assert (output / "out").read_text() == "before\n"


def test_outputs_wait_for_the_ce(arc_ce: Arc, jobs: Mapping[str, str], output: Path) -> None:
    asked = order(arc_ce, jobs["well"], output)
    arc_ce.kill("ws")
    try:
        with pytest.raises(StorageAway):
            ArcFetcher().fetch(asked)
    finally:
        arc_ce.start_interface()
    assert not list(output.iterdir())
    missing = replace(asked, lane=lane(arc_ce, "/nowhere/proxy"))
    with pytest.raises(StorageAway, match="No such file"):
        ArcFetcher().fetch(missing)
    assert len(ArcFetcher().fetch(asked).files) == 4


# --- credentials ------------------------------------------------------------------------------


def test_an_expired_proxy_and_a_new_one(
    arc_ce: Arc, jobs: Mapping[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "proxy"
    where, backend, i = lane(arc_ce, path), ArcBackend(), item(arc_ce, jobs["well"])
    with pytest.raises(CredentialMissing, match="No such file"):
        backend.poll(where, [i])
    arc_ce.authority.proxy(path, "user", days=0)
    with pytest.raises(CredentialMissing, match="expired"):
        backend.poll(where, [i])
    arc_ce.authority.proxy(path, "user")
    assert isinstance(backend.poll(where, [i])[i.key], Seen)


def test_a_proxy_that_the_ce_refuses(arc_ce: Arc, jobs: Mapping[str, str]) -> None:
    """Of somebody whom it does not know; and none of its own users' for another."""
    path = arc_ce.folder / "wrong"
    arc_ce.authority.proxy(path, "stranger")
    with pytest.raises(CredentialMissing):
        ArcBackend().poll(lane(arc_ce, path), [item(arc_ce, jobs["well"])])
    theirs = replace(item(arc_ce, jobs["well"]), home="nobody:repository")
    with pytest.raises(CredentialMissing, match="does not belong to nobody"):
        ArcBackend().poll(lane(arc_ce), [theirs])


def test_a_ce_that_is_not_to_be_believed(
    arc_ce: Arc, jobs: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its certificate is of no CA that is known here."""
    monkeypatch.setenv("X509_CERT_DIR", str(tmp_path))
    with pytest.raises(BackendUnreachable, match="certificate verify failed"):
        ArcBackend().poll(lane(arc_ce), [item(arc_ce, jobs["well"])])


# --- outages ----------------------------------------------------------------------------------


def test_a_ce_that_hangs(arc_ce: Arc, jobs: Mapping[str, str]) -> None:
    items = [item(arc_ce, job) for job in jobs.values()]
    before = {key: type(o) for key, o in ArcBackend().poll(lane(arc_ce), items).items()}
    backend = ArcBackend()
    backend.limits = replace(backend.limits, timeout=3.0)
    arc_ce.pause("ws")
    try:
        with pytest.raises(BackendUnreachable, match="no answer within 3 s"):
            backend.poll(lane(arc_ce), items)
    finally:
        arc_ce.resume("ws")
    after = ArcBackend().poll(lane(arc_ce), items)
    assert {key: type(o) for key, o in after.items()} == before


def test_many_in_one_query(arc_ce: Arc, jobs: Mapping[str, str]) -> None:
    """More than one request's worth, of which one is known."""
    unknown = [item(arc_ce, f"nosuchjob{n:04d}") for n in range(1200)]
    ours = item(arc_ce, jobs["well"])
    found = ArcBackend().poll(lane(arc_ce), [*unknown, ours])
    assert isinstance(found.pop(ours.key), Seen)
    assert {type(o) for o in found.values()} == {Absent}
    assert len(found) == 1200


# --- gangamon doctor --------------------------------------------------------------------------


def examined(*words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    told = CliRunner().invoke(main, ["doctor", "backend", "ARC", "--json", *words])
    found = {check["name"]: (check["level"], check["text"]) for check in json.loads(told.stdout)}
    return told.exit_code, found


def test_doctor(arc_ce: Arc, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANGAMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("GANGAMON_CONFIG", "")
    monkeypatch.delenv("GANGAMON_REDIS_URL", raising=False)
    code, found = examined("--endpoint", arc_ce.url, "--credential", str(arc_ce.proxy))
    assert code == 0, found
    assert found["credential"][1].startswith("X.509 proxy")
    assert found["service"] == ("OK", f"{arc_ce.url}: REST 1.0")
    assert found["user"][0] == found["query"][0] == "OK"
    code, found = examined("--endpoint", arc_ce.url)
    assert (code, found["credential"][0], found["query"][0]) == (1, "FAIL", "FAIL")
    arc_ce.authority.proxy(arc_ce.folder / "strange", "stranger")
    code, found = examined("--endpoint", arc_ce.url, "--credential", f"{arc_ce.folder}/strange")
    assert (code, found["credential"][0], found["service"][0]) == (1, "OK", "FAIL")
