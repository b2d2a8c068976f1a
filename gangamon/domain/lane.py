"""Lanes: the unit of politeness, concurrency, breaker and query."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

#: Stands for "needs no credential" in a lane's name.
NO_CREDENTIAL = "-"


@dataclass(frozen=True, order=True)
class Lane:
    """(backend, endpoint, credential). ``str()`` gives the name used in keys and messages."""

    backend: str
    endpoint: str
    credential: str = NO_CREDENTIAL

    def __str__(self) -> str:
        return "|".join(
            quote(p, safe="@.+=-") for p in (self.backend, self.endpoint, self.credential)
        )

    @classmethod
    def parse(cls, name: str) -> Lane:
        """The lane of a name; ValueError if it does not have three parts."""
        parts = [unquote(part) for part in name.split("|")]
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"not a lane: {name!r}; accepted: BACKEND|ENDPOINT|CREDENTIAL")
        return cls(*parts)
