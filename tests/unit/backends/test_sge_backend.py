"""SGEBackend with commands that say what no cluster says when it is asked to."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest

from gangamon.backends.sge import SGEBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.fetchers.shared import SGEFetcher
from gangamon.grid import gridengine
from gangamon.protocols import PollItem
from gangamon.testing.conformance import BackendCase, NativeCodesConformance
from gangamon.testing.factories import poll_item
from tests.unit.backends.test_sge_answers import ERRORS, NOW, record

LANE = Lane("SGE", "localhost")
USER = getpass.getuser()
Say = Callable[..., SGEBackend]

ROW = """<job_list><JB_job_number>{}</JB_job_number><JB_owner>{}</JB_owner><state>{}</state>
<JB_submission_time>2026-11-23T09:47:01</JB_submission_time></job_list>"""


def queue(*rows: tuple[object, str], owner: str = USER) -> str:
    inner = "".join(ROW.format(number, owner, state) for number, state in rows)
    return f"<job_info><queue_info/><job_info>{inner}</job_info></job_info>"


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Put commands on the path that print these, complain and end so; calls are noted."""

    def put(
        text: str,
        history: str = "",
        *,
        code: int = 0,
        complaint: str = "",
        missing: str = "error: job id 0 not found",
    ) -> SGEBackend:
        (tmp_path / "queue.txt").write_text(text)
        (tmp_path / "errors.txt").write_text(ERRORS)
        (tmp_path / "history.txt").write_text(history)
        none = "" if history else f"echo '{missing}' >&2; exit 1"
        scripts = {
            "qstat": f'if test "$1" = -j; then /bin/cat {tmp_path}/errors.txt; exit 0; fi\n'
            f"/bin/cat {tmp_path}/queue.txt; echo '{complaint}' >&2; exit {code}",
            "qacct": f"/bin/cat {tmp_path}/history.txt\n{none}",
        }
        for name, script in scripts.items():
            path = tmp_path / name
            path.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\n{script}\n')
            path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return SGEBackend()

    return put


def item(job: object, home: str = f"{USER}:r", output: str = "/none", **fields: object) -> PollItem:
    return poll_item(f"42.{job}", output, native_id=str(job), home=home, **fields)


def written(folder: Path, job: object, code: int) -> str:
    """An output directory with what Ganga's wrapper leaves."""
    output = folder / f"out{job}"
    output.mkdir()
    (output / "__jobstatus__").write_text(
        f"START: Mon Nov 23 09:47:01 2026\nPID: {job}\nQUEUE: fast\nACTUALCE: n1\n"
        f"EXITCODE: {code}\nSTOP: Mon Nov 23 09:47:04 2026\n"
    )
    return str(output)


class TestCodes(NativeCodesConformance):
    @pytest.fixture
    def case(self, say: Say) -> BackendCase:
        return BackendCase(say(queue((3, "Xqw"))), LANE, [], item(9, ""), sever=lambda: None)

    @pytest.fixture
    def unmapped(self) -> PollItem:
        return item(3, home="")


def test_one_command_for_all_jobs_of_a_user(say: Say, tmp_path: Path) -> None:
    backend = say(queue(*((n, "r") for n in range(1, 500))))
    answers = backend.poll(LANE, [item(n) for n in range(1, 500)])
    assert all(isinstance(answer, Seen) for answer in answers.values())
    assert (tmp_path / "calls").read_text() == f"qstat -xml -s prs -u {USER}\n"


def test_an_owner_who_is_no_user_here(say: Say, tmp_path: Path) -> None:
    """Then all jobs are listed: a filter would say that there are none."""
    one = item(1, home="no-such-user:r")
    assert isinstance(say(queue((1, "r"))).poll(LANE, [one])[one.key], Seen)
    assert "-u *" in (tmp_path / "calls").read_text()


def test_a_job_of_another_user(say: Say) -> None:
    one = item(1)
    answer = say(queue((1, "r"), owner="other")).poll(LANE, [one])[one.key]
    assert isinstance(answer, Unreachable) and "belongs to other" in answer.reason


@pytest.mark.parametrize(
    "complaint",
    [
        "error: commlib error: got select error (Connection refused)",
        'error: unable to send message to qmaster using port 6444 on host "localhost"',
        'denied: host "n1" is neither submit nor admin host',
    ],
)
def test_an_error_is_an_error(say: Say, complaint: str) -> None:
    for code in (0, 1):
        with pytest.raises(BackendUnreachable):
            say(queue(), code=code, complaint=complaint).poll(LANE, [item(1)])


def test_a_row_that_cannot_be_read_may_be_any_job(say: Say) -> None:
    answers = say(queue((1, "r"), ("?", "r"))).poll(LANE, [item(1), item(2)])
    assert [type(answer) for answer in answers.values()] == [Seen, Unreachable]


def test_why_a_job_is_in_error_is_asked_once(say: Say, tmp_path: Path) -> None:
    """Its status waits, for it may be cleared; its reason is shown."""
    backend = say(queue((17, "Eqw"), (18, "Eqw"), (19, "qw")))
    for _ in range(2):
        answers = backend.poll(LANE, [item(n) for n in (17, 18, 19)])
    found = [answer for answer in answers.values() if isinstance(answer, Seen)]
    assert [answer.status for answer in found] == [JobStatus.SUBMITTED] * 3
    assert [answer.attributes["status"] for answer in found] == [
        'Eqw: unable to find shell "/usr/bin/x"', "Eqw", "qw",
    ]  # fmt: skip
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call for call in calls if "-j" in call] == ["qstat -j 17,18"]


def test_restarts(say: Say) -> None:
    """R tells that there was one; a job that ran and waits again has had one more."""
    running = {"status": JobStatus.RUNNING}
    for state, fields, restarts in (
        ("Rq", {}, 1),
        ("Rr", {}, 1),
        ("Rq", running, 1),
        ("Rq", {**running, "restarts": 1}, 2),
        ("Rq", {"restarts": 2}, 2),
        ("Rr", {**running, "restarts": 2}, 2),
        ("r", running, 0),
    ):
        one = item(1, **fields)
        answer = say(queue((1, state))).poll(LANE, [one])[one.key]
        assert isinstance(answer, Seen) and answer.restarts == restarts, (state, fields)


def test_the_wrappers_word_needs_no_accounting(say: Say, tmp_path: Path) -> None:
    """A job that the queue does not name and that ended well; of the others qacct knows more."""
    well, ill = (item(n, output=written(tmp_path, n, n - 1)) for n in (1, 2))
    backend = say(queue())
    answers = backend.poll(LANE, [well])
    seen = answers[well.key]
    assert isinstance(seen, Seen)
    assert (seen.status, seen.exit_code, seen.site) == (JobStatus.COMPLETED, 0, "n1")
    assert seen.attributes == {
        "status": "z", "actualqueue": "fast", "actualCE": "n1", "exitcode": 0,
    }  # fmt: skip
    assert "qacct" not in (tmp_path / "calls").read_text()
    seen = backend.poll(LANE, [ill])[ill.key]
    assert isinstance(seen, Seen)
    assert (seen.status, seen.source) == (JobStatus.FAILED, "__jobstatus__")
    assert "qacct -j 2" in (tmp_path / "calls").read_text()
    seen = say(queue(), record(2, status="1")).poll(LANE, [ill])[ill.key]
    assert isinstance(seen, Seen)
    assert (seen.source, seen.status, seen.exit_code) == ("qacct", JobStatus.FAILED, 1)
    assert "asked for: -q fast -l h_rt=2" in seen.reason


@pytest.mark.parametrize("code", [99, 100])
def test_codes_that_ask_to_wait_anew(say: Say, tmp_path: Path, code: int) -> None:
    one = item(1, output=written(tmp_path, 1, code))
    assert say(queue()).poll(LANE, [one])[one.key] == Absent("qstat")


def test_a_watcher_that_died_after_the_end(say: Say, tmp_path: Path) -> None:
    """The wrapper had written its exit code: that counts more than how its shepherd ended."""
    one = item(8, output=written(tmp_path, 8, 4))
    history = record(8, "100 : assumedly after job", "137")
    seen = say(queue(), history).poll(LANE, [one])[one.key]
    assert isinstance(seen, Seen) and (seen.source, seen.exit_code) == ("__jobstatus__", 4)
    other = item(8)
    seen = say(queue(), history).poll(LANE, [other])[other.key]
    assert isinstance(seen, Seen) and (seen.exit_code, seen.status) == (None, JobStatus.FAILED)
    assert "signal 9" in seen.reason


def test_no_accounting(say: Say) -> None:
    """It is not absent from what cannot be read."""
    one = item(1)
    missing = "/x/default/common/accounting: No such file or directory"
    backend = say(queue(), missing=missing)
    assert backend.poll(LANE, [one])[one.key] == Absent("qstat")
    answer = backend.second_source(LANE, [one])[one.key]
    assert isinstance(answer, Unreachable) and "No such file" in answer.reason


def test_many_at_once(say: Say, tmp_path: Path) -> None:
    """One qacct since the first submission; what it leaves open is asked one by one."""
    asked = [item(n, extra={"submitted_at": NOW}) for n in range(10, 20)]
    asked.append(item(20, extra={"submitted_at": NOW}, restarts=1))
    history = "".join(record(n, status="3") for n in range(10, 18))
    late = record(18, submitted="Tue Nov 24 09:47:01 2026")
    answers = say(queue(), history + late).second_source(LANE, asked)
    kinds = [type(answers[one.key]) for one in asked]
    assert kinds == [Seen] * 8 + [Absent] * 3
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"qacct -j -o {USER} -b 202611230847.01", "qacct -j 18", "qacct -j 20",
    ]  # fmt: skip


def test_too_many_to_ask_one_by_one(say: Say) -> None:
    """Those that are left over are not absent."""
    asked = [item(n, restarts=1) for n in range(100, 150)]
    answers = say(queue(), record(7)).second_source(LANE, asked)
    kinds = [type(answers[one.key]) for one in asked]
    assert kinds == [Absent] * 20 + [Unreachable] * 30


def test_an_array_as_a_whole_has_no_end(say: Say) -> None:
    whole, task = item(10), item("10.2")
    answers = say(queue(), record(10, task="2")).second_source(LANE, [whole, task])
    assert isinstance(answers[whole.key], Unreachable)
    assert isinstance(answers[task.key], Seen)


def test_what_is_no_id_is_not_asked_about(say: Say, tmp_path: Path) -> None:
    """Ganga has no id where it could not read qsub's answer, as for an array."""
    backend = say(queue())
    assert backend.poll(LANE, [item("")])[item("").key] == Absent("qstat")
    assert not (tmp_path / "calls").exists()


def test_the_cluster(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, in the cell's files; a lane of another one is not asked here."""
    monkeypatch.setattr(gridengine, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(gridengine, "ROOTS", ())
    for name in ("SGE_ROOT", "SGE_CELL"):
        monkeypatch.delenv(name, raising=False)
    assert gridengine.cluster() == "" and gridengine.common() is None
    common = tmp_path / "root" / "cell" / "common"
    common.mkdir(parents=True)
    (tmp_path / "debian").write_text(f"# x\nexport SGE_ROOT={tmp_path}/root\nSGE_CELL='cell'\n")
    (common / "act_qmaster").write_text("head.example.org\n")
    assert gridengine.cluster() == gridengine.qmaster() == "head.example.org"
    (common / "cluster_name").write_text("gm\n")
    assert gridengine.cluster() == "gm"
    monkeypatch.setenv("SGE_CELL", "other")
    assert gridengine.cluster() == ""
    monkeypatch.delenv("SGE_CELL")
    backend = say(queue((1, "r")))
    assert isinstance(backend.poll(Lane("SGE", "gm"), [item(1)])[item(1).key], Seen)
    for ask in (backend.poll, backend.second_source):
        with pytest.raises(BackendUnreachable, match="'far' was asked for; this host's is 'gm'"):
            ask(Lane("SGE", "far"), [item(1)])


def test_its_fetcher() -> None:
    assert SGEFetcher().name == SGEBackend().name == "SGE"
