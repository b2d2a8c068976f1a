"""A seeded loop that kills, freezes, cuts and half cuts, and lets what it did pass again."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from benchmarks.torture.service import CLIENT, PROGRAMS, Torn

#: Seconds between two blows, and between two kills of Redis.
PAUSE = (2.0, 4.0)
REDIS = (20.0, 30.0)

#: Seconds that Redis, a link or a program is away at most.
AWAY = 4.0

#: What happens, and how often.
WEIGHTS = {"kill": 14, "orphan": 4, "bereave": 2, "forget": 1, "stall": 1, "cut": 1, "freeze": 1}


class Chaos(threading.Thread):
    """``blows``: (seconds since the start, what). ``error``: why it broke, if it did."""

    def __init__(self, service: Torn, seed: int, seconds: float, said: Callable[[str], None]):
        super().__init__(name="chaos", daemon=True)
        self.blows: list[tuple[float, str]] = []
        self.counts: Counter[str] = Counter()
        self.error: Exception | None = None
        self._service = service
        self._luck = random.Random(seed)
        self._seconds = seconds
        self._said = said
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._redis_away = False
        self._flows = True

    def stop(self) -> None:
        """All that is away comes back."""
        self._over.set()
        self.join()

    def run(self) -> None:
        self._begun = time.monotonic()
        end = self._begun + self._seconds
        self._after(self._luck.uniform(*REDIS) / 2, self._redis)
        self._after(self._luck.uniform(*PAUSE), self._blow)
        try:
            while time.monotonic() < end and not self._over.is_set():
                self._work(min(end, time.monotonic() + 0.5))
            self._last()
        except Exception as error:  # noqa: BLE001 - told by the main thread
            self.error = error

    def _work(self, until: float) -> None:
        """What is due until then, at its time."""
        while self._later and self._later[0][0] <= until:
            at, _, act = heapq.heappop(self._later)
            self._over.wait(max(0.0, at - time.monotonic()))
            act()
        self._over.wait(max(0.0, until - time.monotonic()))

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._number), act))

    def _note(self, kind: str, detail: str = "") -> None:
        self.counts[kind] += 1
        self.blows.append((time.monotonic() - self._begun, f"{kind} {detail}".rstrip()))
        self._said(f"{self.blows[-1][0]:6.1f} s  {self.blows[-1][1]}")

    # --- blows ----------------------------------------------------------------------------------

    def _blow(self) -> None:
        (kind,) = self._luck.choices(list(WEIGHTS), list(WEIGHTS.values()))
        getattr(self, f"_{kind}")()
        self._after(self._luck.uniform(*PAUSE), self._blow)

    def _victim(self) -> str:
        running = self._service.programs()
        return self._luck.choice([n for n in (*PROGRAMS, CLIENT) if n in running] or [CLIENT])

    def _kill(self) -> None:
        name = self._victim()
        if self._luck.random() < 0.1:  # as when the host is reset
            for one in (*PROGRAMS, CLIENT):
                self._service.kill(one)
                self._after(self._luck.uniform(0.0, 2.0), partial(self._launch, one))
            self._note("kill -9 of all")
            return
        self._service.kill(name)
        self._note(f"kill -9 of {name.partition('-')[0]}", name)
        self._after(self._luck.uniform(0.0, 2.0), partial(self._launch, name))

    def _orphan(self) -> None:
        name = self._luck.choice(["merge", "transfer", "poll", "tick"])
        if name in self._service.programs():
            self._service.orphan(name)
            self._note("kill -9 of a parent", name)
            self._after(self._luck.uniform(0.0, 1.0), partial(self._launch, name))

    def _bereave(self) -> None:
        if "merge" in self._service.programs() and self._service.bereave("merge"):
            self._note("kill -9 of a child", "merge")

    def _launch(self, name: str) -> None:
        self._service.launch(name)

    def _redis(self) -> None:
        if not self._redis_away:
            self._redis_away = True
            self._service.kill_redis()
            self._note("kill -9 of Redis")
            self._after(self._luck.uniform(0.1, AWAY), self._redis_back)
        self._after(self._luck.uniform(*REDIS), self._redis)

    def _redis_back(self) -> None:
        self._service.redis.start()
        self._redis_away = False

    def _freeze(self) -> None:
        if self._redis_away:
            return
        self._redis_away = True
        self._service.freeze_redis(True)
        self._note("Redis frozen")
        self._after(self._luck.uniform(0.5, 1.5 * AWAY), self._thaw)

    def _thaw(self) -> None:
        self._service.freeze_redis(False)
        self._redis_away = False

    def _forget(self) -> None:
        """Half of all connections."""
        count = self._service.link.forget(lambda: self._luck.random() < 0.5)
        self._note("half-open", f"({count} connections)")

    def _stall(self) -> None:
        self._link("link stalled", self._service.link.stall)

    def _cut(self) -> None:
        self._link("link cut", self._service.link.cut)

    def _link(self, kind: str, act: Callable[[], object]) -> None:
        if self._flows:
            self._flows = False
            act()
            self._note(kind)
            self._after(self._luck.uniform(0.5, 1.5 * AWAY), self._mend)

    def _mend(self) -> None:
        self._service.link.mend()
        self._flows = True

    def _last(self) -> None:
        """What was begun is ended; then all connections are half cut once more, and from now on
        nobody is killed: what does not come back by itself stays away."""
        while self._later:
            _, _, act = heapq.heappop(self._later)
            if act not in (self._blow, self._redis):
                act()
        self._over.wait(AWAY)  # all have connected again
        self._note("half-open", f"(all {self._service.link.forget()} connections)")
