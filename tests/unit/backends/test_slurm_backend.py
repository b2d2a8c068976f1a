"""SlurmBackend with commands that say what no cluster says when it is asked to."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest

from gangamon.adapter.handover.slurm_conf import cluster_name, endpoint
from gangamon.backends.slurm import SlurmBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen, Unreachable
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, RateLimited
from gangamon.fetchers.shared import SlurmFetcher
from gangamon.protocols import PollItem
from gangamon.testing.conformance import BackendCase, NativeCodesConformance
from gangamon.testing.factories import poll_item

LANE = Lane("Slurm", "gm")
CONFIG = "ClusterName = gm\nMinJobAge = 300 sec\nPrivateData = none\nAccountingStorageType = (null)"
Say = Callable[..., SlurmBackend]


def line(job: int, state: str, code: int = 0, reason: str = "None") -> str:
    user = getpass.getuser()
    return f"{job}|{job}|{user}|{state}|{code}|0|1795417643|1795417650|fast|n1|{reason}|/x|"


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Put commands on the path that print these, complain and end so; calls are noted."""

    def put(queue: str, *, code: int = 0, complaint: str = "", config: str = CONFIG,
            history: str = "") -> SlurmBackend:  # fmt: skip
        for name, text in (("squeue", queue), ("scontrol", config), ("sacct", history)):
            (tmp_path / f"{name}.txt").write_text(f"{text}\n" if text else "")
            end = f"echo '{complaint}' >&2; exit {code}" if name == "squeue" else "exit 0"
            script = tmp_path / name
            script.write_text(
                f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n'
                f"/bin/cat {tmp_path}/{name}.txt\n{end}\n"
            )
            script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return SlurmBackend()

    return put


def item(job: object, home: str = "", output: str = "/none") -> PollItem:
    return poll_item(f"42.{job}", output, native_id=str(job), home=home)


def ask(backend: SlurmBackend, *jobs: object, home: str = "") -> list[Observation]:
    items = [item(job, home) for job in jobs]
    answers = backend.poll(LANE, items)
    assert set(answers) == {i.key for i in items}
    return [answers[i.key] for i in items]


class TestCodes(NativeCodesConformance):
    @pytest.fixture
    def case(self, say: Say) -> BackendCase:
        backend = say(line(3, "HIBERNATING"))
        return BackendCase(backend, LANE, [], item(9), sever=lambda: None)

    @pytest.fixture
    def unmapped(self) -> PollItem:
        return item(3)


def test_out_of_memory(say: Say) -> None:
    """As squeue(1) has it; to bring it about takes cgroups."""
    backend = say(line(1, "OUT_OF_MEMORY", code=137 << 8, reason="OutOfMemory"))
    (seen,) = ask(backend, 1)
    assert isinstance(seen, Seen)
    assert (seen.status, seen.exit_code) == (JobStatus.FAILED, 137)
    assert "more memory than it had asked for" in seen.reason


def test_a_rate_limit(say: Say) -> None:
    """slurm_errno.c of 23.02: the text of SLURMCTLD_COMMUNICATIONS_BACKOFF."""
    complaint = "slurm_load_jobs error: Rate limit exceeded, please retry momentarily"
    for code in (0, 1):
        with pytest.raises(RateLimited, match="Rate limit exceeded"):
            ask(say("", code=code, complaint=complaint), 1, 2)


@pytest.mark.parametrize(
    "complaint",
    [
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "squeue: error: Invalid user: nosuch",
        "slurm_load_jobs error: Socket timed out on send/recv operation",
    ],
)
def test_an_error_with_exit_code_zero_is_an_error(say: Say, complaint: str) -> None:
    """squeue 22.05 ends so with an unknown user: an empty answer says nothing then."""
    with pytest.raises(BackendUnreachable):
        ask(say("", complaint=complaint), 1, 2)


def test_an_unknown_single_id_is_an_answer(say: Say) -> None:
    complaint = "slurm_load_jobs error: Invalid job id specified"
    assert ask(say("", code=1, complaint=complaint), 1) == [Absent("squeue")]
    with pytest.raises(BackendUnreachable):  # not where no id was given
        ask(say("", code=1, complaint=complaint), 1, 2)


def test_a_line_that_cannot_be_read_may_be_any_job(say: Say) -> None:
    """What is there counts, what is not there is not absent."""
    one, two = ask(say(f"{line(1, 'RUNNING')}\ngarbage"), 1, 2)
    assert isinstance(one, Seen) and isinstance(two, Unreachable)
    assert "garbage" in two.reason


def test_what_is_no_id_is_not_asked_about(say: Say, tmp_path: Path) -> None:
    """Ganga has no id where it could not read sbatch's answer."""
    backend = say(line(1, "RUNNING"))
    assert ask(backend, "", "-1", "x y") == [Absent("squeue")] * 3
    assert not (tmp_path / "calls").exists()


def test_one_command_for_all_jobs_of_a_user(say: Say, tmp_path: Path) -> None:
    """And the configuration once."""
    backend = say("\n".join(line(n, "RUNNING") for n in range(1, 500)))
    for _ in range(2):
        answers = ask(backend, *range(1, 500), home=f"{getpass.getuser()}:r")
        assert all(isinstance(answer, Seen) for answer in answers)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["scontrol", "squeue", "squeue"]
    assert f"--user {getpass.getuser()}" in calls[1] and "--jobs" not in calls[1]


def test_an_owner_who_is_no_user_here(say: Say, tmp_path: Path) -> None:
    """Then all jobs are listed: a filter would say that there are none."""
    one, _ = ask(say(line(1, "RUNNING")), 1, 2, home="no-such-user:r")
    assert isinstance(one, Seen)
    assert "--user" not in (tmp_path / "calls").read_text()


def test_hidden_jobs_are_not_absent(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """PrivateData=jobs shows other users' jobs to nobody but administrators."""
    monkeypatch.setattr("gangamon.backends.slurm.cluster.os.geteuid", lambda: 65534)
    private = CONFIG.replace("none", "accounts,jobs")
    (answer,) = ask(say("", config=private), 1, home="root:r")
    assert isinstance(answer, Unreachable) and "PrivateData" in answer.reason
    assert ask(say("", config=CONFIG), 1, home="root:r") == [Absent("squeue")]


@pytest.mark.parametrize("config", ["", "ClusterName = gm\n", "ClusterName = gm\nMinJobAge = ?\n"])
def test_a_configuration_that_says_nothing(say: Say, config: str) -> None:
    with pytest.raises(BackendUnreachable, match="not readable"):
        ask(say(line(1, "RUNNING"), config=config), 1)


def test_the_wrappers_file_without_accounting(say: Say, tmp_path: Path) -> None:
    """Its exit code counts if it is of this job; otherwise nothing is known."""
    backend = say("")
    for pid, expected in ((7, Seen), (8, Absent)):
        output = tmp_path / str(pid)
        output.mkdir()
        (output / "__jobstatus__").write_text(f"PID: {pid}\nEXITCODE: 0\n")
        one = item(7, output=str(output))
        answer = backend.second_source(LANE, [one])[one.key]
        assert isinstance(answer, expected)
        if isinstance(answer, Absent):
            assert answer == Absent("__jobstatus__", second=True)
    unfinished = item(7, output=str(tmp_path / "7"))
    (tmp_path / "7" / "__jobstatus__").write_text("PID: 7\nQUEUE: fast\n")
    assert isinstance(backend.second_source(LANE, [unfinished])[unfinished.key], Absent)


def test_the_record_of_a_run_before_the_last(say: Say, tmp_path: Path) -> None:
    """Recorded: sacct still shows how the first run ended while a job that was started over waits.
    The wrapper's file, written since, knows better."""
    user = getpass.getuser()
    history = f"7|7|{user}|NODE_FAIL|0:0|1|2|3|fast|frail|00:00:00||/"
    config = CONFIG.replace("(null)", "accounting_storage/slurmdbd")
    backend = say("", config=config, history=history)
    (tmp_path / "__jobstatus__").write_text("PID: 7\nEXITCODE: 0\n")
    again = item(7, output=str(tmp_path))
    seen = backend.second_source(LANE, [again])[again.key]
    assert isinstance(seen, Seen) and seen.status is JobStatus.COMPLETED
    lost = item(7)
    seen = backend.second_source(LANE, [lost])[lost.key]
    assert isinstance(seen, Seen) and seen.native_status == "NODE_FAIL"


def test_the_accounting_tells_what_was_used(say: Say) -> None:
    user, config = getpass.getuser(), CONFIG.replace("(null)", "accounting_storage/slurmdbd")
    history = (
        f"7|7|{user}|OUT_OF_MEMORY|0:125|1|2|3|fast|n|00:12.500||/\n"
        "7.batch|7.batch||OUT_OF_MEMORY|0:125|1|2|3||n|00:12.500|2048M|"
    )
    one = item(7)
    seen = say("", config=config, history=history).second_source(LANE, [one])[one.key]
    assert isinstance(seen, Seen)
    assert seen.reason == (
        "it used more memory than it had asked for (OUT_OF_MEMORY), signal 125; "
        "used 12 s of CPU, at most 2048 MiB in a step"
    )


def test_a_record_that_was_never_closed(say: Say) -> None:
    """A job that runs by sacct alone is not known to run."""
    config = CONFIG.replace("(null)", "accounting_storage/slurmdbd")
    history = f"7|7|{getpass.getuser()}|RUNNING|0:0|1|2|Unknown|fast|n|00:00:00||/"
    one = item(7)
    answer = say("", config=config, history=history).second_source(LANE, [one])[one.key]
    assert answer == Absent("sacct", second=True)


class Options:
    def __init__(self, extraopts: str) -> None:
        self.extraopts = extraopts


@pytest.mark.parametrize(
    ("words", "cluster"),
    [
        ("", "home"),
        ("--time=5 -M far", "far"),
        ("-Mfar", "far"),
        ("--clusters=far --mem=5", "far"),
        ("--cluster far", "far"),
        ("-M far,near", "far,near"),
        ("--comment=x-M", "home"),
    ],
)
def test_the_endpoint(
    words: str, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster that sbatch is told, else that of slurm.conf, which may include others."""
    (tmp_path / "slurm.conf").write_text("# ClusterName=no\nInclude names.conf\nX=1\n")
    (tmp_path / "names.conf").write_text(" clustername = Home # here\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    monkeypatch.delenv("SLURM_CLUSTERS", raising=False)
    assert endpoint(Options(words)) == cluster


def test_no_configuration_and_one_that_includes_itself(tmp_path: Path) -> None:
    assert cluster_name(tmp_path / "none") == ""
    (tmp_path / "slurm.conf").write_text("Include slurm.conf\n")
    assert cluster_name(tmp_path / "slurm.conf") == ""


def test_its_fetcher() -> None:
    assert SlurmFetcher().name == SlurmBackend().name == "Slurm"
