"""The journal: what owners asked for, kept on disk behind the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol


class Journal(Protocol):
    """The service's durable record of what owners asked for."""

    def identity(self) -> str:
        """The same for all who append to it, wherever they run."""
        ...

    def append(self, records: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """(owner, raw command) of each; on disk (fsync) when this returns."""
        ...

    def tail(self) -> str:
        """A mark of the last record, '' if there is none: it changes with every append."""
        ...

    def replay(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """All records, in the order in which they were taken in."""
        ...

    def compact(self, without: Collection[str]) -> int:
        """Leave out commands of these ids, where nothing is appended any more; how many. The mark
        of the last record stays as it is."""
        ...
