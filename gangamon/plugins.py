"""Plugins: the entry points of one group, by name.

One that cannot be loaded stays in the list, with its reason: it must not take the others down, and
it must not vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from gangamon.errors import BadInput


class Plugins:
    """``group``: of the entry points. ``check``: raises, saying what is missing, if what an entry
    point gives is none of these; it is called with the name and with what was loaded. ``extra``: of
    this package, with the modules that our own need.

    The installed distributions are read once in each process, and each plugin is loaded once: no
    poll and no fetch does it anew.
    """

    def __init__(self, group: str, check: Callable[[str, Any], object], extra: str = "") -> None:
        self.group = group
        self._check, self._extra = check, extra
        self._loaded: dict[str, Any] = {}
        self._failures: dict[str, str] = {}

    @cached_property
    def points(self) -> Mapping[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}

    def names(self) -> tuple[str, ...]:
        """All that are installed, whether or not they can be loaded."""
        return tuple(sorted(self.points))

    def load(self, name: str, what: str) -> Any:
        """What the entry point of this name gives. BadInput, about ``what``, names the accepted
        names, or why it cannot be loaded."""
        if name not in self.points:
            raise BadInput([f"{what}: got {name!r}; accepted: {', '.join(self.names())}"])
        if (why := self.failure(name)) is not None:
            raise BadInput([f"{what}: {name!r} {why}"])
        return self._loaded[name]

    def loaded(self) -> Mapping[str, Any]:
        """All that can be loaded."""
        return {name: self._loaded[name] for name in self.names() if self.failure(name) is None}

    def failures(self) -> Mapping[str, str]:
        """Of all others, why they cannot be."""
        return {name: why for name in self.names() if (why := self.failure(name)) is not None}

    def failure(self, name: str) -> str | None:
        """Why that one cannot be loaded, None: it can."""
        if name not in self._loaded and name not in self._failures:
            point = self.points[name]
            try:
                found = point.load()
                self._check(name, found)
            except Exception as error:  # noqa: BLE001 (a plugin's import may raise anything; kept)
                why = f"({point.value}) cannot be loaded: {type(error).__name__}: {error}"
                if self._extra and isinstance(error, ImportError):
                    why += f"; pip install 'gangamon[{self._extra}]'"
                self._failures[name] = why
            else:
                self._loaded[name] = found
        return self._failures.get(name)


def has(made: object, *verbs: str) -> None:
    """Raises TypeError, naming those that are missing: found when it is loaded, and not in the
    middle of a poll."""
    missing = [verb for verb in verbs if not callable(getattr(made, verb, None))]
    if missing:
        raise TypeError(f"has no {' and no '.join(missing)}")


def called(made: object, field: str, name: str) -> None:
    """Raises TypeError if it calls itself otherwise than its entry point does."""
    own = getattr(made, field, None)
    if own != name:
        raise TypeError(f"calls itself {own!r}, not {name!r}")
