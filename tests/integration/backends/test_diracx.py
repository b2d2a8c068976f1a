"""The DiracX backend and fetcher against a real DiracX 0.7."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from gangamon.backends.diracx import DiracXBackend
from gangamon.cli import main
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, CredentialMissing, StorageAway, TransientError
from gangamon.fetchers.diracx import DiracXFetcher
from gangamon.protocols import FetchOrder, PollItem
from gangamon.testing.conformance import (
    BackendCase,
    BackendConformance,
    FetcherCase,
    FetcherConformance,
    NativeCodesConformance,
    snapshot,
)
from gangamon.testing.factories import fetch_order, poll_item
from tests.integration.backends.diracx import DiracX

HOME = f"{getpass.getuser()}:repository"
SUBMITTED, RUNNING = JobStatus.SUBMITTED, JobStatus.RUNNING
COMPLETED, FAILED = JobStatus.COMPLETED, JobStatus.FAILED

#: (Status, MinorStatus, ApplicationStatus) -> the meaning. All but two have run before.
LIVES = {
    "waits": ("Waiting", "Pilot Agent Submission", "", SUBMITTED),
    "runs": ("Running", "Application", "step 1", RUNNING),
    "stalled": ("Stalled", "", "", RUNNING),
    "uploads": ("Completing", "Uploading Output Data", "", RUNNING),
    "pending": ("Completed", "Pending Requests", "", RUNNING),
    "well": ("Done", "Execution Complete", "All went well", COMPLETED),
    "exit 3": ("Failed", "Application Finished With Errors", "'x' Exited With Status 3", FAILED),
    "too long": ("Failed", "Job has exceeded maximum wall clock time", "", FAILED),
    "killed": ("Killed", "Marked for termination", "", FAILED),
    "deleted": ("Deleted", "Checking accounting", "", FAILED),
    "never began": ("Killed", "Marked for termination", "", FAILED),
}


def item(job: int | str, **fields: object) -> PollItem:
    return poll_item(str(job), "/none", native_id=str(job), home=HOME, **fields)


def lane(site: DiracX, tokens: Path | None = None) -> Lane:
    return Lane("DiracX", site.url, str(tokens or site.tokens))


def poll(site: DiracX, jobs: Iterable[int]) -> Mapping[int, Observation]:
    items = [item(job) for job in jobs]
    answers = DiracXBackend().poll(lane(site), items)
    return {int(i.fqid): answers[i.key] for i in items}


def seen(site: DiracX, job: int) -> Seen:
    found = poll(site, [job])[job]
    assert isinstance(found, Seen), found
    return found


@pytest.fixture(scope="module")
def jobs(diracx_site: DiracX) -> Mapping[str, int]:
    """Jobs that stay as they are."""
    found = dict(zip(LIVES, diracx_site.jobs(len(LIVES)), strict=True))
    began = [job for name, job in found.items() if name not in ("waits", "never began")]
    for status in ("Waiting", "Matched", "Running"):
        diracx_site.status(began, status, "Application")
    diracx_site.status([found["pending"]], "Completing")
    diracx_site.status([found["deleted"]], "Killed")
    for name, (status, minor, application, _) in LIVES.items():
        diracx_site.status([found[name]], status, minor, application)
    return found


class TestConformance(BackendConformance, NativeCodesConformance):
    @pytest.fixture
    def case(self, diracx_site: DiracX, jobs: Mapping[str, int]) -> Iterator[BackendCase]:
        severed = []

        def sever() -> None:
            severed.append(True)
            diracx_site.kill("service")

        yield BackendCase(
            backend=DiracXBackend(),
            lane=lane(diracx_site),
            known=[replace(item(job), home="") for job in jobs.values()],
            missing=replace(item(999999), home=""),
            sever=sever,
        )
        if severed:
            diracx_site.start_service()

    @pytest.fixture
    def unmapped(self, diracx_site: DiracX) -> PollItem:
        (job,) = diracx_site.jobs(1)
        diracx_site.rename_status(job, "Dreaming")
        return replace(item(job), home="")


def test_every_life(diracx_site: DiracX, jobs: Mapping[str, int]) -> None:
    found = poll(diracx_site, jobs.values())
    meanings = {name: getattr(found[job], "status", found[job]) for name, job in jobs.items()}
    assert meanings == {name: life[-1] for name, life in LIVES.items()}


def test_what_is_told(diracx_site: DiracX, jobs: Mapping[str, int]) -> None:
    well = seen(diracx_site, jobs["well"])
    assert well.attributes == {
        "status": "Done",
        "statusInfo": "Execution Complete",
        "extraInfo": "All went well",
        "actualCE": "ANY",
    }
    now = time.time()
    assert well.started_at and well.ended_at
    assert now - 3600 < well.started_at <= well.ended_at < now + 60
    three = seen(diracx_site, jobs["exit 3"])
    assert three.exit_code == 3
    assert three.reason.startswith("the job failed (Failed): Application Finished With Errors")
    waits = seen(diracx_site, jobs["waits"])
    assert waits.started_at is waits.ended_at is None


def test_started_over(diracx_site: DiracX) -> None:
    (job,) = diracx_site.jobs(1)
    assert seen(diracx_site, job).restarts == 0
    for status in ("Waiting", "Matched", "Running"):
        diracx_site.status([job], status)
    assert seen(diracx_site, job).status is RUNNING
    diracx_site.ask("POST", "/jobs/reschedule", json={"job_ids": [job]})
    again = seen(diracx_site, job)
    assert (again.status, again.restarts) == (SUBMITTED, 1)


def test_another_users_job_tells_nothing(diracx_site: DiracX) -> None:
    """DiracX names it all the same, as its configuration has it by default."""
    ours, theirs = diracx_site.jobs(2)
    diracx_site.status([theirs], "Killed")
    diracx_site.database("jobdb", "update Jobs set Owner='other' where JobID=?", theirs)
    found = poll(diracx_site, [ours, theirs])
    assert isinstance(found[ours], Seen)
    answer = found[theirs]
    assert isinstance(answer, Unreachable)
    assert "is of other" in answer.reason


def test_a_thousand_in_one_query(diracx_site: DiracX) -> None:
    """Hundreds known, thousands unknown, in one search."""
    ids = diracx_site.jobs(200)
    diracx_site.status([ids[100]], "Failed", "x")
    unknown = range(10**6, 10**6 + 9800)
    found = poll(diracx_site, [*ids, *unknown])
    assert {type(found[job]) for job in unknown} == {Absent}
    assert [j for j in ids if getattr(found[j], "status", None) is FAILED] == [ids[100]]


def test_what_is_no_number(diracx_site: DiracX) -> None:
    (answer,) = DiracXBackend().poll(lane(diracx_site), [item("x; drop table")]).values()
    assert isinstance(answer, Absent)


# --- tokens -----------------------------------------------------------------------------------


def stale(tokens: Path) -> dict[str, object]:
    """Make the access token one that has expired; what the file held."""
    body: dict[str, object] = json.loads(tokens.read_text())
    tokens.write_text(json.dumps({**body, "access_token": "old", "expires_on": 1}))
    return body


def test_tokens_are_renewed_once_by_many(
    diracx_site: DiracX, jobs: Mapping[str, int], tmp_path: Path
) -> None:
    """A refresh token is good once, and one that is used again has all revoked: eight processes'
    worth of queries at the same time renew it once. What is written next is used next."""
    tokens = tmp_path / "credentials.json"
    diracx_site.write_tokens(diracx_site.login(), tokens)
    where, i = lane(diracx_site, tokens), item(jobs["well"])
    for _ in range(2):
        old = stale(tokens)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: DiracXBackend().poll(where, [i])[i.key], range(8)))
        assert all(isinstance(answer, Seen) for answer in answers)
        new = json.loads(tokens.read_text())
        assert new["refresh_token"] != old["refresh_token"]
        assert new["expires_on"] > time.time() + 60
    assert tokens.stat().st_mode & 0o777 == 0o600


def test_tokens_that_cannot_be_renewed(
    diracx_site: DiracX, jobs: Mapping[str, int], tmp_path: Path
) -> None:
    tokens, i = tmp_path / "credentials.json", item(jobs["well"])
    where, backend = lane(diracx_site, tokens), DiracXBackend()
    with pytest.raises(CredentialMissing, match="No such file"):
        backend.poll(where, [i])
    diracx_site.write_tokens(diracx_site.login(), tokens)
    used = stale(tokens)
    assert isinstance(backend.poll(where, [i])[i.key], Seen)  # the old one is used up
    tokens.write_text(json.dumps({**used, "expires_on": 1}))
    with pytest.raises(CredentialMissing):
        backend.poll(where, [i])
    diracx_site.write_tokens(diracx_site.login(expires_minutes=0), tokens)
    stale(tokens)
    with pytest.raises(CredentialMissing, match="expired"):
        backend.poll(where, [i])
    tokens.write_text(json.dumps({"access_token": "bad", "expires_on": time.time() + 3600}))
    with pytest.raises(CredentialMissing, match="Invalid JWT"):
        backend.poll(where, [i])
    diracx_site.write_tokens(diracx_site.login(), tokens)
    assert isinstance(backend.poll(where, [i])[i.key], Seen)


def test_tokens_stay_where_the_service_is_away(
    diracx_site: DiracX, jobs: Mapping[str, int], tmp_path: Path
) -> None:
    """It cannot renew them: that is no missing credential, and the file is as it was."""
    tokens, i = tmp_path / "credentials.json", item(jobs["well"])
    diracx_site.write_tokens(diracx_site.login(), tokens)
    stale(tokens)
    before = tokens.read_bytes()
    diracx_site.kill("service")
    try:
        with pytest.raises(BackendUnreachable):
            DiracXBackend().poll(lane(diracx_site, tokens), [i])
    finally:
        diracx_site.start_service()
    assert tokens.read_bytes() == before
    assert isinstance(DiracXBackend().poll(lane(diracx_site, tokens), [i])[i.key], Seen)


# --- outages ----------------------------------------------------------------------------------


def test_a_service_that_dies_hangs_and_comes_back(
    diracx_site: DiracX, jobs: Mapping[str, int]
) -> None:
    before = poll(diracx_site, jobs.values())
    backend = DiracXBackend()
    backend.limits = replace(backend.limits, timeout=3.0)
    diracx_site.pause("service")
    try:
        with pytest.raises(BackendUnreachable, match="no answer within"):
            backend.poll(lane(diracx_site), [item(jobs["well"])])
    finally:
        diracx_site.resume("service")
    assert poll(diracx_site, jobs.values()) == before
    diracx_site.kill("service")
    try:
        with pytest.raises(BackendUnreachable):
            poll(diracx_site, jobs.values())
    finally:
        diracx_site.start_service()
    assert poll(diracx_site, jobs.values()) == before


def test_a_database_that_is_gone(diracx_site: DiracX, jobs: Mapping[str, int]) -> None:
    """The service answers, with an error: no job is Absent."""
    before = poll(diracx_site, jobs.values())
    diracx_site.database("jobdb", "alter table Jobs rename to Away")
    try:
        with pytest.raises(BackendUnreachable, match="HTTP 5"):
            poll(diracx_site, jobs.values())
    finally:
        diracx_site.database("jobdb", "alter table Away rename to Jobs")
    assert poll(diracx_site, jobs.values()) == before


# --- outputs ----------------------------------------------------------------------------------

FILES = {"std.out": "hello\n", "Ganga_Executable.log": "from the application\n"}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    found = tmp_path / "42" / "0" / "output"
    found.mkdir(parents=True)
    return found


@pytest.fixture(scope="module")
def stored(diracx_site: DiracX) -> int:
    """A job with a sandbox."""
    (job,) = diracx_site.jobs(1)
    diracx_site.sandbox(job, FILES)
    for status in ("Waiting", "Matched", "Running", "Done"):
        diracx_site.status([job], status)
    return job


def order(site: DiracX, job: int, output: Path, **extra: object) -> FetchOrder:
    top = str(output.parent.parent)
    given = {"native_id": str(job), "lane": lane(site), "extra": extra}
    return fetch_order(str(output), [top], **given)


class TestFetcher(FetcherConformance):
    @pytest.fixture
    def case(
        self, diracx_site: DiracX, jobs: Mapping[str, int], stored: int, output: Path
    ) -> FetcherCase:
        missing = output.parent.parent / "1" / "output"
        missing.mkdir(parents=True)
        return FetcherCase(
            DiracXFetcher(),
            order(diracx_site, stored, output),
            order(diracx_site, jobs["well"], missing),
        )


def test_a_sandbox_comes_home(diracx_site: DiracX, stored: int, output: Path) -> None:
    manifest = DiracXFetcher().fetch(order(diracx_site, stored, output))
    assert {path for path, _, _ in manifest.files} == {*FILES, "stdout"}
    assert (output / "std.out").read_text() == "hello\n"
    assert (output / "stdout").read_text() == FILES["Ganga_Executable.log"]


def test_as_the_archive_it_was(diracx_site: DiracX, stored: int, output: Path) -> None:
    manifest = DiracXFetcher().fetch(order(diracx_site, stored, output, unpack=False))
    assert [path for path, _, _ in manifest.files] == ["sandbox.tar.zst"]


def test_whose_sandbox_nobody_wants_or_may_come(
    diracx_site: DiracX, jobs: Mapping[str, int], output: Path
) -> None:
    killed = order(diracx_site, jobs["killed"], output)
    assert DiracXFetcher().fetch(killed).files == ()
    (late,) = diracx_site.jobs(1)
    for status in ("Waiting", "Matched", "Running", "Failed"):
        diracx_site.status([late], status)
    asked = replace(killed, native_id=str(late), attempt=2)
    with pytest.raises(StorageAway, match="not yet there"):
        DiracXFetcher().fetch(asked)
    diracx_site.sandbox(late, FILES)
    assert len(DiracXFetcher().fetch(asked).files) == 3


def test_a_store_that_is_away_or_wrong(diracx_site: DiracX, output: Path) -> None:
    """What comes must be what its name says."""
    (job,) = diracx_site.jobs(1)
    diracx_site.sandbox(job, {"only": "here"}, damaged=True)
    diracx_site.rename_status(job, "Done")
    asked = order(diracx_site, job, output)
    with pytest.raises(TransientError, match="another checksum"):
        DiracXFetcher().fetch(asked)
    diracx_site.kill("store")  # it forgets all
    try:
        with pytest.raises(StorageAway):
            DiracXFetcher().fetch(asked)
    finally:
        diracx_site.start_store()
    with pytest.raises(TransientError):
        DiracXFetcher().fetch(asked)
    assert snapshot(str(output)) == {}


# --- gangamon doctor --------------------------------------------------------------------------


def test_doctor(diracx_site: DiracX, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANGAMON_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("GANGAMON_CONFIG", "")
    monkeypatch.delenv("GANGAMON_REDIS_URL", raising=False)

    def examined(*words: str) -> tuple[int, dict[str, tuple[str, str]]]:
        words = ("doctor", "backend", "DiracX", "--json", *words)
        told = CliRunner().invoke(main, words)
        found = {c["name"]: (c["level"], c["text"]) for c in json.loads(told.stdout)}
        return told.exit_code, found

    known = ("--credential", str(diracx_site.tokens))
    code, found = examined("--endpoint", diracx_site.url, *known)
    assert code == 0, found
    assert found["credential"][0] == "WARN"  # good for an hour
    assert found["user"] == ("OK", "tester, group gm_user, VO gm")
    assert found["query"][0] == "OK"
    code, found = examined("--endpoint", "http://127.0.0.1:1", *known)
    assert (code, found["service"][0], found["query"][0]) == (1, "FAIL", "FAIL")
