"""A fetcher that brings many outputs in one go: each job's end is still its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.domain.lane import Lane
from gangamon.domain.status import JobStatus
from gangamon.errors import OutputMissing, StorageAway, TransientError
from gangamon.protocols import Fetcher, FetchOrder, Manifest, Streaming
from gangamon.services import fetch
from gangamon.services.streams import streamed
from tests.support.backend import DONE, ScriptedFetcher
from tests.support.commands import OWNER, REPOSITORY, enqueue, register, spec
from tests.support.rig import FETCH, Rig

JOBS = 6


class ScriptedStream(ScriptedFetcher):
    """``streams``: what each was given; ``streaming``: orders that came by one, the others came one
    by one. ``breaks_at``: from that job on a stream brings nothing, and each goes one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.streams: list[list[str]] = []
        self.streaming: list[str] = []
        self.open = 0
        self.breaks_at = ""

    @contextmanager
    def stream(self, orders: Sequence[FetchOrder]) -> Iterator[Fetcher]:
        self.streams.append([order.fqid for order in orders])
        self.open += 1
        try:
            yield _Stream(self)
        finally:
            self.open -= 1


class _Stream:
    name = "Local"

    def __init__(self, whole: ScriptedStream) -> None:
        self._whole = whole
        self._broken = False

    def fetch(self, order: FetchOrder) -> Manifest:
        assert self._whole.open == 1
        self._broken |= order.fqid == self._whole.breaks_at
        if not self._broken:
            self._whole.streaming.append(order.fqid)
        return self._whole.fetch(order)


@pytest.fixture
def fetcher() -> ScriptedStream:
    return ScriptedStream()


@pytest.fixture
def rig(tmp_path: Path, fetcher: ScriptedStream) -> Rig:
    """Completed jobs, all to be fetched."""
    found = Rig(tmp_path)
    found.fetcher = fetcher
    found.begin(JOBS)
    found.backend.answers = [{f"7.{sub}": DONE for sub in range(JOBS)}]
    found.ask()
    return found


def run(rig: Rig) -> int:
    rig.hurry(FETCH)
    return rig.fetch.run(rig.claim(FETCH).token, "w1")


def names(*subs: int) -> list[str]:
    return [f"7.{sub}" for sub in subs]


def test_all_of_a_claim_in_one(rig: Rig, fetcher: ScriptedStream) -> None:
    assert isinstance(fetcher, Streaming)
    assert run(rig) == JOBS
    assert rig.statuses() == [JobStatus.COMPLETED] * JOBS
    assert fetcher.streams == [fetcher.streaming]
    assert sorted(fetcher.streaming) == names(*range(JOBS))
    assert fetcher.open == 0


def test_each_is_committed_at_once(rig: Rig, fetcher: ScriptedStream) -> None:
    """Not when all are there."""
    ended: list[int] = []
    fetcher.does = lambda _: ended.append(rig.statuses().count(JobStatus.COMPLETED))
    run(rig)
    assert ended == list(range(JOBS))


def test_one_job_alone_needs_none(tmp_path: Path, fetcher: ScriptedStream) -> None:
    rig = Rig(tmp_path)
    rig.fetcher = fetcher
    rig.begin(1)
    rig.backend.answers = [{"7.0": DONE}]
    rig.ask()
    assert run(rig) == 1
    assert fetcher.streams == [] and [order.fqid for order in fetcher.orders] == ["7.0"]


def test_a_fault_is_that_of_one_job(rig: Rig, fetcher: ScriptedStream) -> None:
    """One is gone, one is put off, one waits; the others have their end."""
    faults = {
        "7.1": OutputMissing("gone"),
        "7.3": TransientError("flaky"),
        "7.4": StorageAway("away"),
    }

    def does(order: FetchOrder) -> None:
        if error := faults.get(order.fqid):
            raise error

    fetcher.does = does
    assert run(rig) == JOBS - 2
    wanted = [JobStatus.COMPLETED] * JOBS
    wanted[1] = JobStatus.FAILED
    wanted[3] = wanted[4] = JobStatus.COMPLETING
    assert rig.statuses() == wanted
    assert [rig.store.tries(FETCH, f"{OWNER}:{REPOSITORY}:7:{sub}@1") for sub in (0, 3)] == [0, 1]
    faults.clear()
    assert run(rig) == 2
    assert sorted(fetcher.streams[1]) == names(3, 4)


def test_one_that_is_withdrawn_meanwhile(
    rig: Rig, fetcher: ScriptedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked for, and is not taken; those behind it are."""
    monkeypatch.setattr(fetch, "FRESH", 0.0)
    gone: list[str] = []

    def resubmit(order: FetchOrder) -> None:
        if not gone:
            gone.append(fetcher.streams[0][2])
            again = [spec(int(gone[0].partition(".")[2]), attempt=2)]
            command = enqueue(again, "e2", total=JOBS, workspace=f"{rig.folder}/7")
            rig.store.enqueue(OWNER, "", command)

    fetcher.does = resubmit
    assert run(rig) == JOBS - 1
    assert gone[0] in fetcher.streams[0]
    assert gone[0] not in fetcher.streaming
    assert len(fetcher.streaming) == JOBS - 1


def test_a_stream_that_breaks_in_the_middle(rig: Rig, fetcher: ScriptedStream) -> None:
    """What it does not bring comes nevertheless."""
    fetcher.breaks_at = "7.3"
    assert run(rig) == JOBS
    assert fetcher.streaming == fetcher.streams[0][: fetcher.streams[0].index("7.3")]
    assert rig.statuses() == [JobStatus.COMPLETED] * JOBS


@pytest.mark.parametrize("error", [RuntimeError("bug"), TransientError("away")], ids=repr)
def test_a_stream_that_cannot_be_begun(
    rig: Rig, fetcher: ScriptedStream, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it must not raise: the jobs go one by one."""

    def stream(orders: Sequence[FetchOrder]) -> object:
        raise error

    monkeypatch.setattr(fetcher, "stream", stream)
    assert run(rig) == JOBS
    assert len(fetcher.orders) == JOBS


def test_one_host_after_the_other(
    tmp_path: Path, fetcher: ScriptedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whatever order the jobs of two hosts have ended: who has a stream of the one never waits
    for one of the other."""
    monkeypatch.setattr(fetch, "RETRY_BASE", fetch.RETRY_CAP)  # not due before all are
    rig = Rig(tmp_path)
    rig.fetcher = fetcher
    rig.store.register(OWNER, register(str(tmp_path)))
    lanes = {7: Lane("Local", "node1"), 8: Lane("Local", "node2"), 9: Lane("Local", "node1")}
    for master, lane in lanes.items():
        workspace = f"{tmp_path}/{master}"
        command = enqueue(2, f"e{master}", master=master, workspace=workspace, lane=lane)
        assert not rig.store.enqueue(OWNER, "", command)
    fetcher.does = away
    for lane in dict.fromkeys(lanes.values()):
        rig.backend.answers = [{f"{master}.{n}": DONE for master in lanes for n in range(2)}]
        rig.hurry(f"poll.{lane}")
        rig.poll.run(rig.claim(f"poll.{lane}").token, "w1")
        rig.fetch.run(rig.claim(FETCH).token, "w1")
    fetcher.does = lambda _: None
    fetcher.orders.clear()
    fetcher.streaming.clear()
    fetcher.streams.clear()
    assert run(rig) == 6
    hosts = [order.lane.endpoint for order in fetcher.orders]
    assert hosts == ["node1"] * 4 + ["node2"] * 2
    assert fetcher.streams == [fetcher.streaming]


def away(_: FetchOrder) -> None:
    raise StorageAway("not now")


def test_only_watched_jobs_are_not_asked_for(tmp_path: Path, fetcher: ScriptedStream) -> None:
    """In shadow mode nothing is brought."""
    rig = Rig(tmp_path)
    rig.fetcher = fetcher
    rig.store.register(OWNER, register(str(tmp_path)))
    command = replace(enqueue(2, workspace=f"{tmp_path}/7"), observe=True)
    assert not rig.store.enqueue(OWNER, "", command)
    rig.backend.answers = [{"7.0": DONE, "7.1": DONE}]
    rig.ask()
    run(rig)
    assert fetcher.streams == [] and fetcher.orders == []


def test_a_fetcher_that_cannot_be_loaded_says_so_for_each_job() -> None:
    """Not for all of the claim."""

    def load(backend: str) -> Fetcher:
        raise OutputMissing(backend)

    with streamed(load, []) as found, pytest.raises(OutputMissing):
        found("Other")
