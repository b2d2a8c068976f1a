"""A text that the prompt shows as it is."""

from __future__ import annotations

from collections.abc import Iterable


class Told(str):
    """A ``str`` whose repr is itself, so that Python's prompt and IPython's show its lines."""

    __slots__ = ()

    @classmethod
    def of(cls, lines: Iterable[str]) -> Told:
        return cls("\n".join(lines))

    def __repr__(self) -> str:
        return str(self)
