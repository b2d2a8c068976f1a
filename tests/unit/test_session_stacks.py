"""The session benchmark's judgement of a slow call, from stacks and from who holds the locks."""

from __future__ import annotations

import threading

import pytest

from benchmarks.session import stacks
from benchmarks.session.run import against_idle
from benchmarks.session.stacks import Frame, Sample

PACKAGE = "/site/gangamon/"
USER, ADAPTER, FLUSHER = 1, 2, 3

READ: list[Frame] = [
    ("/site/ganga/GangaCore/GPIDev/Base/Objects.py", 262, "get_decorator"),
    ("user.py", 1, "cheap"),
]
RUNS: list[Frame] = [("/site/ganga/GangaCore/GPIDev/Base/Proxy.py", 5, "stripProxy"), *READ[1:]]
OURS: list[Frame] = [
    ("/site/ganga/GangaCore/GPIDev/Lib/Job/Job.py", 9, "updateStatus"),
    ("/site/gangamon/adapter/show/applier.py", 7, "apply"),
]
ASLEEP: list[Frame] = [("/usr/lib/threading.py", 320, "wait"), OURS[1]]
GANGAS: list[Frame] = [("/site/ganga/GangaCore/Core/GangaRepository/VStreamer.py", 8, "visit")]


@pytest.mark.parametrize(
    ("user", "adapter", "owner", "expected"),
    [
        ([RUNS[0], ("/site/gangamon/adapter/patches.py", 3, "status")], ASLEEP, None, stacks.CODE),
        (READ, OURS, ADAPTER, stacks.LOCK),
        (READ, ASLEEP, ADAPTER, stacks.LOCK),
        (READ, OURS, FLUSHER, stacks.OTHER_LOCK),
        (READ, OURS, USER, stacks.UNKNOWN_LOCK),
        (READ, OURS, None, stacks.UNKNOWN_LOCK),
        (READ, [READ[0], OURS[1]], None, stacks.LOCK),
        (RUNS, OURS, ADAPTER, stacks.BESIDE),
        (RUNS, ASLEEP, None, stacks.ALONE),
    ],
)
def test_each_kind(
    user: list[Frame], adapter: list[Frame], owner: int | None, expected: str
) -> None:
    sample = Sample({USER: user, ADAPTER: adapter, FLUSHER: GANGAS}, {"root": owner})
    assert stacks.classify(sample, USER, PACKAGE) == expected


def test_a_flusher_of_gangas_in_our_code_is_ours() -> None:
    flusher = [*GANGAS, ("/site/gangamon/adapter/repository/flush.py", 8, "flush")]
    sample = Sample({USER: READ, FLUSHER: flusher}, {"root": FLUSHER})
    assert stacks.classify(sample, USER, PACKAGE) == stacks.LOCK


def test_the_worst_sample_counts_and_none_is_told_apart() -> None:
    assert stacks.worst([stacks.ALONE, stacks.LOCK, stacks.BESIDE], 1.0) == stacks.LOCK
    assert stacks.worst([], 0.9) == stacks.HELD
    assert stacks.worst([], 0.1) == stacks.STARVED


def test_the_owner_of_a_real_lock() -> None:
    lock = threading.RLock()
    assert stacks.owner(repr(lock)) is None
    with lock:
        assert stacks.owner(repr(lock)) == threading.get_ident()
    assert stacks.owner(repr(threading.Lock())) is None


def test_dear_calls_are_compared_with_the_dearer_idle() -> None:
    calls = {
        "before": {"select": [1.0, 2.0, 3.0]},
        "updates": {"select": [6.0]},
        "after": {"select": [4.0]},
    }
    assert against_idle(calls, "select") == 1.5
