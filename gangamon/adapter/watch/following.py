"""Which jobs' statuses may change in this session, and what ``runMonitoring`` may be given."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from gangamon.adapter.watch.naming import named


class Following:
    """All master jobs, some of them, or none. For several threads."""

    def __init__(self) -> None:
        self._chosen: frozenset[int] | None = frozenset()
        self._lock = threading.Lock()

    def __contains__(self, master: int) -> bool:
        return self._chosen is None or master in self._chosen

    def __bool__(self) -> bool:
        return self._chosen is None or bool(self._chosen)

    @property
    def chosen(self) -> frozenset[int] | None:
        """None: all."""
        return self._chosen

    def everything(self) -> None:
        self._chosen = None

    def nothing(self) -> None:
        self._chosen = frozenset()

    def these(self, masters: Iterable[int]) -> None:
        """These, too; all stays all."""
        with self._lock:
            if self._chosen is not None:
                self._chosen |= frozenset(masters)

    def over(self, chosen: frozenset[int]) -> None:
        """All of these are over: nothing is followed any more, unless the user has said other."""
        with self._lock:
            if self._chosen == chosen:
                self._chosen = frozenset()


def masters(jobs: Any) -> set[int]:
    """The ids of the master jobs of what the user named: subjobs stand for their master.
    GangaTypeError says what is accepted."""
    return {master for master, _ in named(jobs, "runMonitoring")}
