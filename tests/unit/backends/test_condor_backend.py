"""What the ads of HTCondor mean, and when it is asked. The real schedd: tests/integration."""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.adapter.handover.condor_files import extra, schedd_host
from gangamon.backends.condor import CondorBackend, doctor, schedd, seen, states
from gangamon.backends.condor.ads import JobId, by_job, read
from gangamon.backends.condor.schedd import MOST_RUNS, of_clusters, of_jobs
from gangamon.domain.job import Job
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Seen, Unreachable
from gangamon.domain.status import FINAL, JobStatus
from gangamon.domain.transition import AbsencePolicy, advance
from gangamon.errors import BackendUnreachable, CredentialMissing
from gangamon.protocols import FAIL, OK, PollItem, Push
from gangamon.testing.factories import poll_item

LANE = Lane("Condor", "localhost")
END = {"JobStatus": 4, "ExitBySignal": False, "CompletionDate": 1795433874, "NumJobStarts": 1}


def item(output: str = "/none", restarts: int = 0, **extra_: str) -> PollItem:
    return poll_item("42.0", output, extra_, native_id="5.0", restarts=restarts)


def queued(restarts: int = 0, **ad: object) -> Seen:
    found = seen.from_ad(item(restarts=restarts), ad, "condor_q", queued=True)
    assert isinstance(found, Seen)
    return found


@pytest.mark.parametrize("code", sorted(states.NAMES))
def test_every_state(code: int) -> None:
    """In the queue only one that is completed is over; a code that is not in the table is kept."""
    found = seen.from_ad(item(), {**END, "ExitCode": 0, "JobStatus": code}, "condor_q", queued=True)
    assert isinstance(found, Seen)
    assert found.native_status == states.NAMES[code]
    assert (found.status is JobStatus.COMPLETED) == (code == states.COMPLETED)
    assert found.attributes["status"] == states.NAMES[code]


def test_an_unknown_state() -> None:
    found = queued(JobStatus=9)
    assert (found.native_status, found.status) == ("9", None)
    for odd in (None, "1", 1.5, True):
        assert isinstance(seen.from_ad(item(), {"JobStatus": odd}, "", True), Unreachable)


def test_a_held_job() -> None:
    """It waits, and says why."""
    found = queued(JobStatus=5, HoldReason="over\n the limit", NumJobStarts=1)
    assert (found.status, found.restarts) == (JobStatus.SUBMITTED, 1)
    assert found.reason == "over the limit" and found.native_status == "Held: over the limit"
    assert found.attributes == {"status": "Held"}


def test_a_job_whose_machine_is_away() -> None:
    """HTCondor calls it Running until the lease ends; so it is said to run, with what is known."""
    found = queued(JobStatus=2, RemoteHost="slot1@vm", JobCurrentReconnectAttempt=3)
    assert (found.status, found.restarts) == (JobStatus.RUNNING, 0)
    assert found.reason == states.DISCONNECTED
    assert found.native_status == f"Running: {states.DISCONNECTED}"
    assert found.attributes == {"status": "Running", "actualCE": "slot1@vm"}
    for code in (states.IDLE, states.HELD):
        assert not queued(JobStatus=code, JobCurrentReconnectAttempt=3).reason
    assert not queued(JobStatus=2).reason


def test_starts_are_counted_late() -> None:
    """The queue hears of a start a quarter of an hour later, or when the run ends; the job goes
    through all of it as it is: waits, runs, waits anew, runs, ends."""
    job = Job("42.0", 1, JobStatus.SUBMITTED)
    shown = []
    for code, starts in (
        *((states.IDLE, 0), (states.RUNNING, 0), (states.RUNNING, 1), (states.IDLE, 1)),
        *((states.RUNNING, 1), (states.RUNNING, 2), (states.HELD, 2), (states.RUNNING, 2)),
        *((states.RUNNING, 3), (states.COMPLETED, 3)),
    ):
        ad = {**END, "JobStatus": code, "NumJobStarts": starts, "ExitCode": 0}
        found = seen.from_ad(item(restarts=job.restart), ad, "", queued=True)
        job = advance(job, found, AbsencePolicy(), 1.0).job
        shown.append((job.status.value[:3], job.restart))
    assert shown == [
        *(("sub", 0), ("run", 0), ("run", 0), ("sub", 1), ("run", 1), ("run", 1), ("sub", 2)),
        *(("run", 2), ("run", 2), ("com", 2)),
    ]


def test_what_an_ended_job_used() -> None:
    """CPU time as Ganga has it; with a failure also the memory, in words."""
    ad = {**END, "ExitCode": 3, "RemoteUserCpu": 12.0, "ResidentSetSize_RAW": 20480}
    found = queued(**ad)
    assert found.attributes["cputime"] == 12.0
    assert found.reason == "the job ended with exit code 3; used 12 s of CPU, at most 20 MiB"
    for odd in (float("nan"), float("inf"), -1, 10**400, True, "12"):
        assert "cputime" not in queued(**{**ad, "RemoteUserCpu": odd}).attributes


def test_a_job_that_is_removed_while_it_waits_anew() -> None:
    """Its end counts, though it was started no more often than known, or less often."""
    ad = {"JobStatus": 3, "NumJobStarts": 1, "RemoveReason": "via condor_rm (by user me)"}
    found = seen.from_ad(item(restarts=1), ad, "condor_history", queued=False)
    assert isinstance(found, Seen)
    assert (found.status, found.restarts) == (JobStatus.KILLED, 1)
    found = seen.from_ad(item(restarts=3), {**ad, **END, "ExitCode": 0}, "condor_history", False)
    assert isinstance(found, Seen)
    assert (found.status, found.restarts) == (JobStatus.COMPLETED, 3)
    rule = {
        **ad,
        "RemoveReason": "The job attribute PeriodicRemove expression 'x' evaluated to TRUE",
    }
    found = seen.from_ad(item(), rule, "condor_history", queued=False)
    assert isinstance(found, Seen) and found.status is JobStatus.FAILED
    assert "PeriodicRemove" in found.reason


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("via condor_rm (by user me)", False),
        ("The job attribute PeriodicRemove is dull (by user me@pool.org)", False),
        ("Python-initiated action. (by user me)", False),
        ("", False),
        ("The job attribute PeriodicRemove expression '(time() > 5)' evaluated to TRUE", True),
        ("too long for us", True),
    ],
)
def test_removed_by_a_rule_or_by_somebody(reason: str, rule: bool) -> None:
    """The schedd names whoever asked for it; a rule's reason may be in the site's own words."""
    assert states.by_rule(reason) == rule


def test_no_end_without_how() -> None:
    """A record without exit code and signal is no end; nor is one that is not over."""
    for ad in (
        *(END, {**END, "ExitCode": "3"}, {**END, "ExitCode": 2**40}),
        *({**END, "ExitBySignal": True}, {"JobStatus": 2}),
    ):
        assert isinstance(seen.from_ad(item(), ad, "condor_history", False), Unreachable)


def write(folder: Path, line: str) -> PollItem:
    (folder / "stdout").write_text(f"out\n\nJob start: x\nJob end: y\n{line}")
    return item(str(folder), wrapper_stdout="stdout")


def test_ganga_knows_the_exit_code_by_its_wrapper(tmp_path: Path) -> None:
    """HTCondor sees the wrapper's own, which is 0; the wrapper prints that of os.system."""
    well = {**END, "ExitCode": 0}
    for line, status, code, reason in (
        ("Exit code: 0\n", JobStatus.COMPLETED, 0, ""),
        ("Exit code: 768\n", JobStatus.FAILED, 3, "the job ended with exit code 3"),
        ("Exit code: 9\n", JobStatus.FAILED, None, "the job was ended by signal 9"),
    ):
        found = seen.from_ad(write(tmp_path, line), well, "", queued=True)
        assert isinstance(found, Seen)
        assert (found.status, found.exit_code, found.reason) == (status, code, reason)
    bad = seen.from_ad(write(tmp_path, "Exit code: 0\n"), {**END, "ExitCode": 126}, "", True)
    assert isinstance(bad, Seen) and bad.status is JobStatus.FAILED


def test_the_wrappers_last_line_is_waited_for(tmp_path: Path) -> None:
    """On a shared file system it may come late; after ten minutes it will not."""
    one = write(tmp_path, "Exit co")
    late = {**END, "ExitCode": 0}
    just_now = {**late, "CompletionDate": int(time.time())}
    assert isinstance(seen.from_ad(one, just_now, "", True), Unreachable)
    found = seen.from_ad(one, late, "", True)
    assert isinstance(found, Seen) and found.status is JobStatus.FAILED
    os.mkfifo(tmp_path / "pipe")
    for name in ("../stdout", "none", "", "pipe", "."):
        odd = item(str(tmp_path), wrapper_stdout=name)
        assert isinstance(seen.from_ad(odd, just_now, "", True), Unreachable)


NAMES = (
    *("JobStatus", "ExitCode", "ExitSignal", "ExitBySignal", "NumJobStarts", "HoldReason"),
    *("RemoveReason", "CompletionDate", "RemoteHost", "RemoteUserCpu", "JobCurrentStartDate"),
    *("ClusterId", "ProcId", "Iwd", "ResidentSetSize_RAW"),
)
ADS = st.dictionaries(
    st.sampled_from(NAMES),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
)


@given(ADS, st.booleans(), st.integers(0, 9999))
def test_any_ad(ad: dict[str, object], queue: bool, restarts: int) -> None:
    """Whatever an ad holds: no error, no end without evidence."""
    assert all(isinstance(id_, JobId) for id_ in by_job([ad, ad]))
    found = seen.from_ad(item(restarts=restarts), ad, "any", queue)
    if isinstance(found, Seen):
        assert math.isfinite(float(found.attributes.get("cputime", 0)))
    if isinstance(found, Seen) and found.status in FINAL:
        assert ad["JobStatus"] in (states.COMPLETED, states.REMOVED)
        if found.status is JobStatus.COMPLETED:
            assert ad["ExitCode"] == 0


@given(st.text() | st.builds(json.dumps, st.recursive(st.none() | st.text(), st.lists)))
def test_any_text(text: str) -> None:
    """Ads, or an error that teaches nothing."""
    with suppress(BackendUnreachable):
        assert all(isinstance(ad, dict) for ad in read(text))


@given(st.sets(st.integers(1, 10**6), min_size=1, max_size=300))
def test_a_constraint_has_its_parentheses(clusters: set[int]) -> None:
    """It holds for each cluster, and has a bounded number of terms."""
    text = of_clusters(clusters)
    assert text.count("||") < MOST_RUNS
    python = text.replace("&&", "and").replace("||", "or")
    for cluster in clusters:
        assert eval(python, {"ClusterId": cluster})
    exact = len(clusters) <= MOST_RUNS
    for cluster in {c + 1 for c in clusters} - clusters if exact else ():
        assert not eval(python, {"ClusterId": cluster})


def test_a_constraint_for_single_jobs() -> None:
    wanted = [JobId(6, 0), JobId(6, 1), JobId(7, 3)]
    python = of_jobs(wanted).replace("&&", "and").replace("||", "or")
    for job in itertools.starmap(JobId, itertools.product((5, 6, 7), range(4))):
        assert eval(python, {"ClusterId": job.cluster, "ProcId": job.proc}) == (job in wanted)


# --- with commands of our own -----------------------------------------------------------------

Fake = Callable[..., Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Makes condor_q and condor_history print a text; the file has a line for each call."""
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    calls.touch()

    def made(text: str, code: int = 0, complaint: str = "", only: str = "") -> Path:
        for name in ("condor_q", "condor_history"):
            script = folder / name
            said = text if only in ("", name) else ""
            (folder / f"{name}.out").write_text(said)
            script.write_text(
                f"#!/bin/sh\necho {name} $* >>{calls}\necho '{complaint}' >&2\n"
                f"case $* in *-factory*) exit 0;; esac\ncat {folder}/{name}.out\nexit {code}\n"
            )
            script.chmod(0o755)
        return calls

    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return made


def ad(job: str, status: int = 2, **more: object) -> dict[str, object]:
    cluster, _, proc = job.partition(".")
    return {"ClusterId": int(cluster), "ProcId": int(proc), "JobStatus": status, **more}


def test_another_job_with_its_number(fake: Fake) -> None:
    """A schedd that has lost its queue counts anew: what was submitted elsewhere is not the job."""
    one = item(submitted_in="output")
    for place, known in (("/w/42/0/output/", True), ("/w/42/1/output", False), ("/w/2/0", False)):
        fake(json.dumps([ad("5.0", Iwd=place)]))
        (found,) = CondorBackend().poll(LANE, [one]).values()
        assert isinstance(found, Seen) == known
        (found,) = CondorBackend().second_source(LANE, [one]).values()
        assert found == Absent("condor_history", second=True) or known


def test_complaints(fake: Fake) -> None:
    """Nothing is learnt from a failure, nor from exit code 0 with a failure's words."""
    for code, words, kind in (
        (1, "Error: Cannot find address for schedd vm", BackendUnreachable),
        (0, "-- Failed to fetch ads from: <127.0.0.1:1> : vm", BackendUnreachable),
        (1, "AUTHENTICATE:1003:Failed to authenticate with any method", CredentialMissing),
    ):
        fake("", code, words)
        with pytest.raises(kind):
            CondorBackend().poll(LANE, [item()])
        with pytest.raises(kind):
            CondorBackend().second_source(LANE, [item()])


def test_a_schedd_by_name(fake: Fake) -> None:
    """Another host's is named; an id that is none of HTCondor's asks nothing."""
    calls = fake("")
    odd = replace(item(), native_id="")
    assert CondorBackend().poll(LANE, [odd]) == {odd.key: Absent("condor_q")}
    assert not calls.read_text()
    CondorBackend().poll(Lane("Condor", "schedd7.example.org"), [item()])
    assert calls.read_text().startswith("condor_q -name schedd7.example.org -allusers -constraint")


def log(folder: Path, *events: str) -> PollItem:
    with (folder / "condorLog").open("a") as file:
        for code in events:
            how = "\n\t(1) Normal termination (return value 0)" if code == "005" else ""
            file.write(f"{code} (005.000.000) 2026-11-23 11:37:53 Event.{how}\n...\n")
    return item(str(folder), log="condorLog")


def test_news_of_the_log_costs_no_query(fake: Fake, tmp_path: Path) -> None:
    """Once the queue has answered, the log does until the next regular poll: started, held, ended.
    News names a job once for each of these, and tells nothing of another's."""
    backend = CondorBackend()
    assert isinstance(backend, Push)
    calls = fake(json.dumps([ad("5.0", 1)]))
    one = log(tmp_path, "000")
    other = replace(item(str(tmp_path), log="condorLog"), fqid="42.1", native_id="5.1")
    first = backend.changed(LANE, [one, other], "")
    assert first.keys == {one.key}
    assert backend.changed(LANE, [one, other], first.position).keys == set()
    (found,) = backend.poll(LANE, [one]).values()
    assert isinstance(found, Seen) and found.source == "condor_q"
    asked = calls.read_text()
    position = first.position
    for code, status in (
        *(("001", JobStatus.RUNNING), ("012", JobStatus.SUBMITTED), ("013", JobStatus.SUBMITTED)),
        *(("001", JobStatus.RUNNING), ("005", JobStatus.COMPLETED)),
    ):
        log(tmp_path, code)
        news = backend.changed(LANE, [one], position)
        position = news.position
        assert news.keys == {one.key}
        (found,) = backend.poll(LANE, [one]).values()
        assert isinstance(found, Seen) and (found.status, found.source) == (status, "event log")
    assert found.restarts == 1
    log(tmp_path, "006")
    assert backend.changed(LANE, [one], "odd").keys == {one.key}
    assert backend.changed(LANE, [one], position).keys == set()
    assert calls.read_text() == asked


def test_the_queue_is_asked_again_in_time(fake: Fake, tmp_path: Path) -> None:
    """A log that says nothing new does not hide what the queue knows."""
    backend = CondorBackend()
    cadence = replace(backend.limits.cadence, floor=1e-6)
    backend.limits = replace(backend.limits, cadence=cadence)
    one = log(tmp_path, "000")
    for status in (1, 2):
        fake(json.dumps([ad("5.0", status)]))
        (found,) = backend.poll(LANE, [one]).values()
        assert isinstance(found, Seen) and found.source == "condor_q"
    assert found.status is JobStatus.RUNNING


def test_a_job_that_has_left_the_queue(fake: Fake, tmp_path: Path) -> None:
    """Its log tells the end; without one the history does."""
    fake("")
    (found,) = CondorBackend().poll(LANE, [log(tmp_path, "000", "001", "005")]).values()
    assert isinstance(found, Seen) and found.status is JobStatus.COMPLETED
    bare = item()
    assert CondorBackend().poll(LANE, [bare]) == {bare.key: Absent("condor_q")}
    fake(json.dumps([{**ad("5.0"), **END, "ExitCode": 3}]))
    (found,) = CondorBackend().second_source(LANE, [bare]).values()
    assert isinstance(found, Seen) and (found.status, found.exit_code) == (JobStatus.FAILED, 3)


def test_the_doctor_says_what_does_not_work(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedd that is away; and a host with neither commands nor bindings."""
    fake("", 1, "Error: Cannot find address for schedd vm")
    found = {finding.name: finding for finding in CondorBackend().doctor(LANE)}
    assert found["commands"].level == OK
    assert found["query"].level == found["history"].level == FAIL
    assert "Cannot find address" in found["query"].text
    monkeypatch.setenv("PATH", "/nowhere")
    for module in (doctor, schedd):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    found = {finding.name: finding for finding in CondorBackend().doctor(LANE)}
    assert [finding.level for finding in found.values()] == [FAIL] * 3
    assert "pip install" in found["query"].text


# --- what the session hands over --------------------------------------------------------------


def test_what_the_session_hands_over() -> None:
    """Ganga's own names, unless the job's description has others."""
    stock = {"wrapper_stdout": "stdout", "log": "condorLog", "submitted_in": "output"}
    assert extra({}) == stock
    assert extra({"Log": "/shared/all.log", "output": "o.$(Process)", "initialdir": "/d"}) == {
        "wrapper_stdout": "o.$(Process)"
    }


def test_which_schedd() -> None:
    """By the environment, HTCondor's configuration, or this host's own."""
    assert schedd_host({"_condor_SCHEDD_HOST": " a "}, lambda name: "b") == "a"
    assert schedd_host({}, lambda name: "b" if name == "SCHEDD_HOST" else None) == "b"
    assert schedd_host({}, lambda name: None) == ""
