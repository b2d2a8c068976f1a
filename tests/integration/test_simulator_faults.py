"""What the plugins make of the answers of the simulated system, good and bad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gangamon.domain.observation import Absent, Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable, BadInput, OutputMissing, TransientError
from gangamon.protocols import FetchOrder
from gangamon.testing.factories import fetch_order
from gangamon.testing.simulator.fetcher import VARIABLE, SimulatedFetcher
from gangamon.testing.simulator.process import Simulator
from tests.support.simulated import all_ended, backend, items, serving, statuses
from tests.support.waiting import until


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[Simulator]:
    with all_ended(tmp_path) as simulator:
        yield simulator


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("timeout", "no answer"),
        ("slow", "no answer"),
        ("error", "500 internal error"),
        ("auth", "401 the credential is refused"),
    ],
)
def test_faults_of_which_nothing_is_learnt(ended: Simulator, kind: str, why: str) -> None:
    """BackendUnreachable of both sources and of a download, in time; well again afterwards."""
    ended.fault(kind, on="all", seconds=1e6)
    asked = backend(timeout=0.3) if why == "no answer" else backend()
    for number, ask in enumerate((asked.poll, asked.second_source), 1):

        def befallen(ask: Any = ask, number: int = number) -> bool:
            with pytest.raises(BackendUnreachable, match=why):
                ask(ended.lane, items(1))
            # A query may give up before it is sent, where the machine stands still.
            return len(ended.call("stats")["queries"]) == number

        until(befallen, 60, "the query was befallen by the fault")
    until(lambda: ended.call("stats")["concurrent"] == 0, 120, "the end of the clients is seen")
    stats = ended.call("stats")
    assert stats["faults"] == {kind: sum(stats["queries"].values())}
    ended.heal(kind)
    assert statuses(backend().poll(ended.lane, items(1))) == [JobStatus.COMPLETED]


def test_an_empty_answer_is_an_absence(ended: Simulator) -> None:
    """A good answer that names nobody; the accounting still does."""
    ended.fault("empty")
    answers = backend().poll(ended.lane, items(1, 2))
    assert set(answers.values()) == {Absent("simulator list")}
    second = backend().second_source(ended.lane, items(1, 99))
    assert isinstance(second["1.1"], Seen)
    assert second["1.99"] == Absent("simulator accounting", second=True)


def test_a_truncated_answer_is_an_absence_of_some(ended: Simulator) -> None:
    """The jobs it names are as they are, the others Absent."""
    ended.fault("truncated", fraction=0.5)
    found = statuses(backend().poll(ended.lane, items(*range(10))))
    assert set(found) == {JobStatus.COMPLETED, None}


def test_a_stale_answer(ended: Simulator) -> None:
    """It says what was."""
    ended.fault("stale", seconds=1e9)
    assert statuses(backend().poll(ended.lane, items(1))) == [JobStatus.SUBMITTED]


def test_of_doubled_entries_the_last_run_counts(ended: Simulator) -> None:
    """Neither the entry before nor that of an earlier run hides it, whatever their order."""
    ended.fault("duplicated", fraction=1.0)
    ended.call("requeue", ids=["2"], seconds=1e9)
    seen = backend().poll(ended.lane, items(1, 2))
    assert statuses(seen) == [JobStatus.COMPLETED, JobStatus.SUBMITTED]
    assert [a.restarts for a in seen.values() if isinstance(a, Seen)] == [0, 1]


def test_an_unknown_code(ended: Simulator) -> None:
    """It is passed on without a meaning."""
    ended.fault("unknown")
    seen = backend().poll(ended.lane, items(1))["1.1"]
    assert isinstance(seen, Seen)
    assert (seen.native_status, seen.status) == ("Odd", None)


def test_a_job_that_vanishes_while_it_lives(tmp_path: Path) -> None:
    """Absent of the list, alive in the accounting."""
    scenario = '[jobs]\ncount = 1\nends = "never"\n[[faults]]\nkind = "vanish"\n'
    with serving(tmp_path, scenario) as simulator:
        assert statuses(backend().poll(simulator.lane, items(0))) == [None]
        second = statuses(backend().second_source(simulator.lane, items(0)))
    assert second[0] in (JobStatus.SUBMITTED, JobStatus.RUNNING)


def test_restarts_grow(ended: Simulator) -> None:
    """A job that is started over waits again, and its restarts say so."""
    ended.call("requeue", ids=["1"], seconds=1e9)
    seen = backend().poll(ended.lane, items(1))["1.1"]
    assert isinstance(seen, Seen)
    assert (seen.native_status, seen.status, seen.restarts) == (
        "Requeued",
        JobStatus.SUBMITTED,
        1,
    )


# --- downloads ------------------------------------------------------------------------------


def test_a_download(ended: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes lie in the output directory, which is made; a second fetch asks nothing. The
    endpoint may be in the environment."""
    output = tmp_path / "42" / "output"
    order = fetch_order(str(output), [str(tmp_path)], native_id="3")
    with pytest.raises(BadInput, match=r"extra\.endpoint"):
        SimulatedFetcher(timeout=60.0).fetch(order)
    monkeypatch.setenv(VARIABLE, ended.endpoint)
    manifest = SimulatedFetcher(timeout=60.0).fetch(order)
    assert [name for name, _, _ in manifest.files] == ["out.txt", "stdout"]
    assert (output / "stdout").stat().st_size == 2000
    assert (output / "out.txt").read_text() == "job 3\n"
    assert SimulatedFetcher(timeout=60.0).fetch(order) == manifest
    stats = ended.call("stats")
    assert (stats["downloads"], stats["bytes"]) == (1, 2000)
    (output / "out.txt").unlink()
    assert SimulatedFetcher(timeout=60.0).fetch(order) == manifest
    assert ended.call("stats")["downloads"] == 2


def test_downloads_that_fail(ended: Simulator, tmp_path: Path) -> None:
    """To be tried again: a job that has not ended, a fault. To be given up: no such output."""

    def order(number: int, roots: Path = tmp_path) -> FetchOrder:
        extra = {"endpoint": ended.endpoint}
        target = str(tmp_path / f"{number}" / "output")
        return fetch_order(target, [str(roots)], native_id=str(number), extra=extra)

    fetcher = SimulatedFetcher(timeout=60.0)
    ended.call("requeue", ids=["1"], seconds=1e9)
    with pytest.raises(TransientError, match=r"409.*Requeued"):
        fetcher.fetch(order(1))
    with pytest.raises(OutputMissing, match="404"):
        fetcher.fetch(order(99))
    with pytest.raises(BadInput, match="target"):
        fetcher.fetch(order(2, tmp_path / "unmounted"))
    ended.fault("timeout", on="download")
    with pytest.raises(TransientError, match="no answer"):
        SimulatedFetcher(timeout=0.3).fetch(order(2))
    assert not (tmp_path / "2").exists()
