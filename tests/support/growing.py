"""The services with a merger that grows while jobs run."""

from __future__ import annotations

from pathlib import Path

import redis

from gangamon import postprocess
from gangamon.domain.command import MergerSpec
from gangamon.domain.observation import Observation
from gangamon.protocols import MergeOrder
from gangamon.services.fetch import Fetch
from gangamon.services.grow import Grow
from tests.support.backend import DONE, RUNNING, ScriptedMerger
from tests.support.commands import OWNER
from tests.support.rig import Rig

GROW = f"grow.{OWNER}"
MERGERS = (MergerSpec("TextMerger", ("out.txt",)),)


class Growing(ScriptedMerger):
    """Notes how far it was to grow; ``left`` says whether more is."""

    def __init__(self) -> None:
        super().__init__()
        self.slices: list[MergeOrder] = []
        self.left = False

    def grow(self, order: MergeOrder, seconds: float) -> bool:
        self.slices.append(order)
        self.does(order)
        return self.left


class GrowRig(Rig):
    """With a merger that can grow; ``forgotten``: where it was to be removed."""

    def __init__(self, folder: Path, connection: redis.Redis | None = None) -> None:
        super().__init__(folder, connection=connection)
        self.forgotten: list[str] = []
        self.growing = self.merger = Growing()
        self.use(Grow(self.store, self.keeper, lambda _: self.growing, self.forgotten.append))

    def use(self, service: Grow) -> None:
        self.grow = service
        self.fetch = Fetch(
            self.store,
            self.keeper,
            self.dispatcher,
            lambda _: self.fetcher,
            postprocess.checker,
            3,
            self.clock,
            service.every,
        )

    def end(self, *subs: int, jobs: int = 4, seen: Observation = DONE) -> None:
        """These end, and are fetched."""
        known = {f"7.{n}": RUNNING for n in range(jobs)}
        self.backend.answers = [{**known, **{f"7.{n}": seen for n in subs}}]
        self.ask()
        self.fetch_all()

    def slice(self) -> int:
        self.hurry(GROW)
        return self.grow.run(self.claim(GROW).token, "w1")


def begun(rig: GrowRig, jobs: int = 4) -> GrowRig:
    rig.begin(jobs, mergers=MERGERS)
    return rig
