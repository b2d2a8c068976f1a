"""Looks at all threads of this process while a call of the user's lasts too long.

It is a Python thread, and asks the locks who holds them. faulthandler's watchdog, which needs no
GIL, would see more, but reads frames while they change: it ended a session by a segmentation fault
(Python 3.11.7).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from benchmarks.session import stacks
from benchmarks.session.stacks import Frame, Sample

T = TypeVar("T")

#: Seconds: a call is slow; it is looked at; it is looked at again.
SLOW, LOOK, AGAIN = 0.1, 0.06, 0.2

#: Frames of a stack that are kept, and slow calls that are told in full.
DEPTH, TOLD = 24, 40


class Watcher(threading.Thread):
    """``locks``: name -> the lock, all RLocks: they say who holds them. ``package``: gangamon's
    directory. Only the user's thread calls ``timed``."""

    def __init__(self, locks: Callable[[], Mapping[str, Any]], package: str) -> None:
        super().__init__(name="watcher", daemon=True)
        self.slow: list[dict[str, Any]] = []
        self._locks, self._package = locks, package
        self._user = threading.get_ident()
        self._begun: float | None = None
        self._samples: list[Sample] = []

    def timed(self, call: Callable[[], T], into: list[float], phase: str, name: str) -> T:
        """Call it; its seconds go into ``into``, and if it was slow, it is judged."""
        self._samples = []
        cpu = time.process_time()
        self._begun = begun = time.perf_counter()
        try:
            return call()
        finally:
            seconds = time.perf_counter() - begun
            self._begun = None
            into.append(seconds)
            if seconds > SLOW:
                self._judge(seconds, (time.process_time() - cpu) / seconds, phase, name)

    def run(self) -> None:
        looked, call = 0.0, 0.0
        while True:
            time.sleep(LOOK / 4)
            begun, now = self._begun, time.perf_counter()
            if begun is None or now - begun < LOOK or (begun == call and now - looked < AGAIN):
                continue
            looked, call = now, begun
            sample = self._look()
            if self._begun == begun:  # it lasts still
                self._samples.append(sample)

    def _look(self) -> Sample:
        owners = {name: stacks.owner(repr(lock)) for name, lock in self._locks().items()}
        me = threading.get_ident()
        found = {t: _frames(f) for t, f in sys._current_frames().items() if t != me}
        return Sample(found, owners)

    def _judge(self, seconds: float, cores: float, phase: str, name: str) -> None:
        samples = list(self._samples)
        classes = [stacks.classify(sample, self._user, self._package) for sample in samples]
        told: dict[str, Any] = {
            "call": name,
            "phase": phase,
            "seconds": seconds,
            "ended": time.time(),
            "cores": cores,
            "samples": len(samples),
            "class": stacks.worst(classes, cores),
        }
        if samples and len(self.slow) < TOLD:
            at = classes.index(told["class"])
            told |= {"owners": samples[at].owners, "threads": self._told(samples[at])}
        self.slow.append(told)

    def _told(self, sample: Sample) -> dict[str, list[str]]:
        """The stacks by the names of their threads; of those that idle outside gangamon none."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        return {
            f"{names.get(ident, '?')} {ident}": [f"{f}:{n} {what}" for f, n, what in frames[:DEPTH]]
            for ident, frames in sample.threads.items()
            if ident == self._user
            or stacks.ours(frames, self._package)
            or ident in sample.owners.values()
            or not stacks.sleeping(frames)
        }


def _frames(frame: Any) -> list[Frame]:
    found: list[Frame] = []
    while frame is not None:
        code = frame.f_code
        found.append((code.co_filename, frame.f_lineno or 0, code.co_name))
        frame = frame.f_back
    return found


class Burner(threading.Thread):
    """Uses ``share`` of a core in Python, in pieces of 5 ms (the GIL's own), until ``stop``."""

    def __init__(self, share: float) -> None:
        super().__init__(name="burner", daemon=True)
        self._share = min(share, 1.0)
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            until = time.thread_time() + 0.005
            while time.thread_time() < until:
                sum(range(50))
            self._end.wait(0.005 * (1 / self._share - 1) if self._share > 0 else 0.1)

    def stop(self) -> None:
        self._end.set()
        self.join()
