"""PBSBackend with a stand-in for qstat, in both families, and with their known faults."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from gangamon.backends.pbs import PBSBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.fetchers.shared import PBSFetcher
from gangamon.grid import pbs
from gangamon.protocols import FAIL, OK, WARN, PollItem
from gangamon.testing.conformance import BackendCase, BackendConformance, NativeCodesConformance
from gangamon.testing.factories import poll_item
from tests.support.fakepbs import FakePbs

USER = getpass.getuser()
LANE = Lane("PBS", "localhost")
CREATED = 1656686577.0  # Fri Jul  1 14:42:57 2022
UNKNOWN = Absent("qstat")


def job(state: str, **fields: object) -> dict[str, object]:
    times = {"ctime": "Fri Jul  1 14:42:57 2022", "stime": "Fri Jul  1 14:43:00 2022",
             "mtime": "Fri Jul  1 14:44:00 2022"}  # fmt: skip
    place = {"queue": "workq", "exec_host": "n1/0*4+n2/0"}
    return {"Job_Owner": f"{USER}@host", "job_state": state, **times, **place, **fields}


PRO = {
    "1.server": job("Q"),
    "2.server": job("R", run_count=1),
    "3.server": job("F", run_count=1, Exit_status=0, substate=92),
    "4.server": job("F", run_count=1, Exit_status=3, substate=93),
    "5.server": job("F", run_count=1, Exit_status=271, substate=91),
    "6[2].server": job("X", Exit_status=0),
    "7.server": job("?"),
}
TORQUE = {
    "1.server": job("Q", ctime=1656686577),
    "2.server": job("R", start_time=1656686580),
    "3.server": job("C", exit_status=0, start_time=1656686580, comp_time=1656686640),
    "4.server": job("C", exit_status=-11, start_time=1656686580, comp_time=1656686640),
    "7.server": job("?"),
}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePbs:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = FakePbs(tmp_path)
    found.tell(PRO)
    return found


def item(native: str, home: str = f"{USER}:r", **fields: object) -> PollItem:
    fields = {"output": "/none", **fields}
    return poll_item(f"42.{native}", native_id=native, home=home, **fields)  # type: ignore[arg-type]


def ask(*names: str) -> list[object]:
    items = [item(name) for name in names]
    answers = PBSBackend().poll(LANE, items)
    assert set(answers) == {one.key for one in items}
    return [answers[one.key] for one in items]


class TestPro(BackendConformance, NativeCodesConformance):
    JOBS, TORQUE = PRO, False

    @pytest.fixture
    def case(self, fake: FakePbs) -> BackendCase:
        fake.tell(self.JOBS, torque=self.TORQUE)
        return BackendCase(
            PBSBackend(),
            LANE,
            [poll_item(f"42.{n}", "/none", native_id=f"{n}.server") for n in (1, 2, 3, 4)],
            poll_item("42.9", "/none", native_id="9.server"),
            lambda: fake.tell(self.JOBS, torque=self.TORQUE, down=True),
        )

    @pytest.fixture
    def unmapped(self) -> PollItem:
        return poll_item("42.7", "/none", native_id="7")


class TestTorque(TestPro):
    JOBS, TORQUE = TORQUE, True


def test_one_command_for_many_jobs(fake: FakePbs) -> None:
    fake.tell({f"{n}.server": job("R") for n in range(600)})
    assert all(isinstance(one, Seen) for one in ask(*map(str, range(600))))
    version, *calls = fake.calls()
    assert version == "--version" and len(calls) == 2
    assert all(call.startswith("-f -x -F json ") for call in calls)


def test_what_each_job_became(fake: FakePbs) -> None:
    found = ask("1", "2.server", "3", "4", "5", "6[2].server", "9")
    assert [one.status if isinstance(one, Seen) else one for one in found] == [
        JobStatus.SUBMITTED, JobStatus.RUNNING, JobStatus.COMPLETED, JobStatus.FAILED,
        JobStatus.KILLED, JobStatus.COMPLETED, UNKNOWN,
    ]  # fmt: skip
    runs = found[1]
    assert isinstance(runs, Seen) and (runs.site, runs.started_at) == ("n1", CREATED + 3)


def test_torque(fake: FakePbs) -> None:
    """A limit of wall time has its own exit status there."""
    fake.tell(TORQUE, torque=True)
    waits, over, limit, gone = ask("1", "3", "4", "9")
    assert isinstance(waits, Seen) and waits.status is JobStatus.SUBMITTED
    assert isinstance(over, Seen) and over.ended_at == 1656686640
    assert isinstance(limit, Seen) and "wall time" in limit.reason
    assert gone == UNKNOWN
    assert fake.calls() == ["--version", "-f -x 1 3 4 9"]


def test_json_that_leaves_jobs_out(fake: FakePbs) -> None:
    """openpbs issue 2672: all but the first. They are asked for in text, then and from now on."""
    fake.tell(PRO, first_only=True)
    backend, items = PBSBackend(), [item(name) for name in ("1", "2", "3", "9")]
    for _ in range(2):
        answers = backend.poll(LANE, items)
        assert [type(answers[one.key]) for one in items] == [Seen, Seen, Seen, Absent]
    assert fake.calls() == [
        "--version", "-f -x -F json 1 2 3 9", "-f -x 2 3", "-f -x 1 2 3 9",
    ]  # fmt: skip


@pytest.mark.parametrize("torque", [False, True])
def test_functions_in_environments(fake: FakePbs, torque: bool) -> None:
    """openpbs issue 2541: then the JSON cannot be read, and the text can."""
    fake.tell(TORQUE if torque else PRO, torque=torque, bash=True)
    waits, over = ask("1", "3")
    assert isinstance(waits, Seen) and waits.status is JobStatus.SUBMITTED
    assert isinstance(over, Seen) and over.status is JobStatus.COMPLETED


def test_no_history(fake: FakePbs, tmp_path: Path) -> None:
    """The server forgets a job as it ends: what is left is the wrapper's file."""
    fake.tell(PRO, history=False)
    (tmp_path / "__jobstatus__").write_text("PID: 3.server.example.org\nEXITCODE: 0\n")
    mine, other = item("3", output=str(tmp_path)), item("4", output=str(tmp_path))
    backend = PBSBackend()
    answers = backend.poll(LANE, [mine, other, item("2")])
    ended = answers[mine.key]
    assert isinstance(ended, Seen)
    assert (ended.status, ended.source) == (JobStatus.COMPLETED, "__jobstatus__")
    assert answers[other.key] == UNKNOWN and isinstance(answers[item("2").key], Seen)
    answers = backend.second_source(LANE, [mine, other])
    assert isinstance(answers[mine.key], Seen)
    assert answers[other.key] == Absent("__jobstatus__", second=True)
    assert fake.calls()[-2:] == ["-f -x -F json 2 3 4", "-f -F json 2 3 4"]


def test_all_unknown(fake: FakePbs) -> None:
    """It prints nothing then, in any form."""
    for torque in (False, True):
        fake.tell({}, torque=torque)
        assert ask("8", "9.server") == [UNKNOWN, UNKNOWN]


def test_another_job_with_the_number(fake: FakePbs) -> None:
    """Known by the time of its submission; another user's teaches nothing."""
    for at, kind in ((CREATED, Seen), (CREATED - 86400, Absent), (CREATED + 86400, Absent)):
        one = item("2", extra={"submitted_at": at})
        assert isinstance(PBSBackend().poll(LANE, [one])[one.key], kind)
    fake.tell({"2.server": job("F", Job_Owner="other@host", Exit_status=0)})
    (answer,) = ask("2")
    assert isinstance(answer, Unreachable) and "belongs to other" in answer.reason


def test_what_is_no_id_is_not_asked_about(fake: FakePbs) -> None:
    """Ganga has no id where its pattern does not match the site's."""
    assert ask("", "-x") == [UNKNOWN, UNKNOWN]
    assert not fake.calls()


def test_the_server(fake: FakePbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's, PBS Professional's file, Torque's file; another is not asked here."""
    for name in ("PBS_DEFAULT", "PBS_SERVER", "PBS_CONF_FILE"):
        monkeypatch.delenv(name, raising=False)
    torque, conf = tmp_path / "server_name", tmp_path / "pbs.conf"
    monkeypatch.setattr(pbs, "SERVER_NAMES", (str(torque),))
    monkeypatch.setattr(pbs, "CONF", str(conf))
    assert pbs.server() == ""
    torque.write_text("head1,head2\n")
    assert pbs.server() == "head1"
    conf.write_text("PBS_EXEC=/opt/pbs\nPBS_SERVER=pbs01\n")
    assert pbs.server() == "pbs01"
    assert isinstance(PBSBackend().poll(Lane("PBS", "pbs01"), [item("1")])[item("1").key], Seen)
    with pytest.raises(BackendUnreachable, match="'far' was asked for; this host's is 'pbs01'"):
        PBSBackend().poll(Lane("PBS", "far"), [item("1")])
    monkeypatch.setenv("PBS_DEFAULT", "far")
    assert pbs.server() == "far"


def test_the_doctor(fake: FakePbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBS_DEFAULT", "pbs01")

    def levels() -> dict[str, tuple[str, str]]:
        return {found.name: (found.level, found.text) for found in PBSBackend().doctor(LANE)}

    told = levels()
    assert told["version"] == (OK, "pbs_version = 2022.1.1")
    assert told["server"] == (OK, "pbs01")
    assert told["history"][0] == OK
    fake.tell({}, history=False)
    assert levels()["history"][0] == WARN
    fake.tell({}, torque=True)
    assert "keep_completed" in levels()["history"][1]
    monkeypatch.setenv("PATH", "/none")
    assert levels()["command qstat"][0] == FAIL


def test_its_fetcher() -> None:
    assert PBSFetcher().name == PBSBackend().name == "PBS"
