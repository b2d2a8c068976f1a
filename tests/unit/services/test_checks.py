"""Checkers: of subjobs with their fetch, of masters and unsplit jobs in a stage of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gangamon.domain.command import UNSPLIT, CheckerSpec, MergerSpec
from gangamon.domain.observation import Check
from gangamon.domain.status import JobStatus
from gangamon.domain.wire import to_wire
from gangamon.protocols import CheckOrder, FetchOrder
from gangamon.services.checks import run_checks
from tests.support.backend import DONE, FAILED
from tests.support.commands import enqueue, register, spec, the_master
from tests.support.rig import CHECK, FETCH, MERGE, NOTIFY, Rig

BAD = CheckerSpec("FileChecker", ("stdout",), ("bad",))
WORSE = CheckerSpec("FileChecker", ("stdout",), ("worse",))
NO_STRINGS = CheckerSpec("FileChecker", ("stdout",), ())


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Subjob 1's output is bad, and the master's is worse."""
    rig = Rig(tmp_path)

    def bring(order: FetchOrder) -> None:
        put(Path(order.target), "bad\n" if order.fqid == "7.1" else "good\n")

    rig.fetcher.does = bring
    put(tmp_path / "7" / "output", "worse\n")
    return rig


def put(output: Path, text: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "stdout").write_text(text)


def ended(rig: Rig, *checkers: CheckerSpec, merged: bool = False, failed: bool = False) -> None:
    mergers = (MergerSpec("TextMerger", ("stdout",)),) if merged else ()
    rig.begin(2, mergers, checkers=checkers)
    rig.backend.answers = [{"7.0": DONE, "7.1": FAILED if failed else DONE}]
    rig.ask()
    rig.fetch_all()


def work(rig: Rig) -> dict[str, str]:
    """All stages of the master; its final update."""
    for queue, stage in ((MERGE, rig.merge), (CHECK, rig.check), (NOTIFY, rig.notify)):
        stage.run(rig.claim(queue).token, "w1")
    (final,) = rig.updates("f")
    return final


def test_a_subjob_that_does_not_pass_has_failed(rig: Rig) -> None:
    """With the reason in its evidence; the update tells the session what each checker said."""
    ended(rig, NO_STRINGS, BAD, WORSE)
    assert rig.statuses() == [JobStatus.COMPLETED, JobStatus.FAILED]
    evidence = rig.job(1).evidence
    assert evidence is not None
    assert re.fullmatch(
        r"FileChecker: The string bad has been found in file .*/7/1/output/stdout, FileChecker "
        r"will fail job\(7\.1\)",
        evidence.reason,
    )
    error = "PostProcessException: No searchStrings specified, FileChecker will do nothing!"
    given_up = Check("FileChecker", NO_STRINGS.digest, True, "", error)
    # WORSE is not asked about it: in Ganga only jobs that have completed are checked.
    reason = evidence.reason.removeprefix("FileChecker: ")
    assert rig.job(1).checks == (given_up, Check("FileChecker", BAD.digest, False, reason))
    assert [check.spec for check in rig.job(0).checks] == [
        NO_STRINGS.digest, BAD.digest, WORSE.digest,
    ]  # fmt: skip
    rows = {row[0]: row for u in rig.updates("t") for row in json.loads(u["d"])}
    assert [check["ok"] for check in rows[1][7]] == [True, False]


def test_what_fails_a_check_is_no_input_of_the_merge(rig: Rig) -> None:
    """The merger is told that the subjob has failed, as Ganga's is."""
    ended(rig, BAD, merged=True)
    final = work(rig)
    assert [status for _, status, _ in rig.merger.orders[0].inputs] == rig.statuses()
    assert final["s"] == "failed"


def test_the_master_is_checked_after_its_merge(rig: Rig) -> None:
    """Where no subjob failed; and it fails by its checkers."""
    ended(rig, WORSE, merged=True)
    assert rig.statuses() == [JobStatus.COMPLETED] * 2
    final = work(rig)
    (check,) = json.loads(final["check"])["checks"]
    assert (final["s"], check["ok"], check["spec"]) == ("failed", False, WORSE.digest)
    assert "7/output/stdout" in check["reason"]


@pytest.mark.parametrize("on_subjobs", [True, False])
def test_a_checker_checks_what_it_is_to_check(rig: Rig, on_subjobs: bool) -> None:
    """checkSubjobs and checkMaster."""
    both = ("bad|worse",)
    ended(
        rig,
        CheckerSpec(
            "FileChecker", ("stdout",), both, check_subjobs=on_subjobs, check_master=not on_subjobs
        ),
    )
    final = work(rig)
    assert rig.statuses()[1] is (JobStatus.FAILED if on_subjobs else JobStatus.COMPLETED)
    assert ("checks" in json.loads(final["check"])) is not on_subjobs
    assert final["s"] == "failed"


def test_what_has_failed_is_not_checked(rig: Rig) -> None:
    """Neither a failed subjob nor its master, as in Ganga."""
    ended(rig, BAD, failed=True)
    assert rig.job(1).checks == ()
    assert "checks" not in json.loads(work(rig)["check"])


def test_a_job_that_is_not_split_is_checked_as_a_master(rig: Rig) -> None:
    """checkMaster means it, not checkSubjobs (IChecker.py:40)."""
    rig.store.register("alice", register(str(rig.folder)))
    command = enqueue([spec(UNSPLIT)], workspace=f"{rig.folder}/7", checkers=(WORSE,))
    assert not rig.store.enqueue("alice", "", command)
    rig.fetcher.does = lambda order: put(Path(order.target), "worse\n")
    rig.backend.answers = [{"7": DONE}]
    rig.ask()
    rig.fetch_all()
    assert rig.job(UNSPLIT).checks == ()
    final = work(rig)
    assert (final["s"], json.loads(final["check"])["ok"]) == ("failed", False)


def test_a_storage_that_is_away_decides_nothing(rig: Rig) -> None:
    """The job waits, however often it is tried."""
    rig.fetcher.does = lambda _: None  # so that there is no directory at all
    rig.begin(1, checkers=(BAD,))
    rig.backend.answers = [{"7.0": DONE}]
    rig.ask()
    for _ in range(5):
        rig.hurry(FETCH)
        rig.fetch.run(rig.claim(FETCH).token, "w1")
    assert rig.job(0).status is JobStatus.COMPLETING


def test_a_checker_with_a_bug_is_left_to_the_session(rig: Rig) -> None:
    """And so are those after it: Ganga runs its own, in its order."""

    class Broken:
        kind = "FileChecker"

        def check(self, order: CheckOrder) -> None:
            if order.spec == WORSE:
                raise ZeroDivisionError

    rig.begin(1, checkers=(BAD, WORSE, NO_STRINGS))
    said = run_checks(lambda _: Broken(), the_master(rig.store), 0)
    assert said == (Check("FileChecker", BAD.digest, True),)


def test_an_unknown_checker_is_refused(rig: Rig) -> None:
    """With the field and what is accepted; and so are fields that are none."""
    rig.store.register("alice", register(str(rig.folder)))
    body = to_wire(enqueue(1, workspace=f"{rig.folder}/7", checkers=(BAD,)))
    body["checkers"][0]["kind"] = "Oracle"
    rig.send(body)
    rig.intake.run()
    assert rig.answers() == [("e1", "checkers[0].kind: got 'Oracle'; accepted: FileChecker")]
    body["id"], body["checkers"] = "e2", [{"kind": "FileChecker", "files": ["/etc/passwd"]}]
    rig.send(body)
    rig.intake.run()
    assert "checkers[0].files: got ['/etc/passwd']" in rig.answers()[-1][1]
