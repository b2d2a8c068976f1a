"""The registry of backends: entry points of the group ``gangamon.backends``, by Ganga's name.

A plugin that cannot be loaded stays in the list, with its reason: it must not take the others
down, and it must not vanish.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

from gangamon.errors import BadInput
from gangamon.protocols import Backend, Limits

GROUP = "gangamon.backends"

#: Settings of a ``[backends.NAME]`` table, by the part of ``Limits`` they set, with their type.
CADENCE = {"floor": float, "cap": float}
ABSENCE = {"absences": int, "grace": float, "lost_after": float}
LIMITS = {
    "jobs": int,
    "timeout": float,
    "slots": int,
    "endpoint_slots": int,
    "rate": float,
    "burst": int,
}

#: Why a plugin could not be loaded, by name: asked once, kept for as long as the process lives.
_failures: dict[str, str] = {}


def names() -> tuple[str, ...]:
    """The names of all installed backends, whether or not they can be loaded."""
    return tuple(sorted(_points()))


def failures() -> dict[str, str]:
    """Tries to load every backend; the reasons of those that cannot be, by name."""
    for name in names():
        try:
            load(name)
        except BadInput:
            continue
    return dict(_failures)


def load(name: str) -> Backend:
    """The backend of this name. BadInput names the accepted names, or why it cannot be loaded."""
    points = _points()
    if name not in points:
        raise BadInput([f"backend: got {name!r}; accepted: {', '.join(sorted(points))}"])
    if name not in _failures:
        try:
            return _checked(name, points[name].load()())
        except Exception as error:  # noqa: BLE001 (a plugin's import may raise anything; kept)
            _failures[name] = f"{type(error).__name__}: {error}"
    raise BadInput(
        [f"backend: {name!r} ({points[name].value}) cannot be loaded: {_failures[name]}"]
    )


def configured(backend: Backend, settings: Mapping[str, Mapping[str, float]]) -> Backend:
    """A copy of the backend with the limits of its ``[backends.NAME]`` table.

    BadInput if the table has another key than those above, or a value out of range.
    """
    table = settings.get(backend.name, {})
    faults: list[str] = []

    def chosen(types: Mapping[str, type]) -> dict[str, Any]:
        for key in [key for key in types if key in table]:
            whole = types[key] is int
            if not table[key] > 0 or (whole and table[key] != int(table[key])):
                accepted = "a whole number from 1" if whole else "a number above 0"
                faults.append(
                    f"backends.{backend.name}.{key}: got {table[key]!r}; accepted: {accepted}"
                )
        return {key: types[key](table[key]) for key in types if key in table}

    limits = backend.limits
    limits = replace(
        limits,
        cadence=replace(limits.cadence, **chosen(CADENCE)),
        absence=replace(limits.absence, **chosen(ABSENCE)),
        **chosen(LIMITS),
    )
    for key in sorted(set(table) - {*CADENCE, *ABSENCE, *LIMITS}):
        accepted = ", ".join((*CADENCE, *LIMITS, *ABSENCE))
        faults.append(f"backends.{backend.name}.{key}: unknown key; accepted: {accepted}")
    if faults:
        raise BadInput(faults)
    twin = copy.copy(backend)
    twin.limits = limits
    return twin


def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _checked(name: str, backend: object) -> Backend:
    """A plugin that lacks a part is found here, and not in the middle of a poll."""
    missing = [f for f in ("poll", "second_source") if not callable(getattr(backend, f, None))]
    if missing:
        raise TypeError(f"has no {' and no '.join(missing)}")
    if getattr(backend, "name", None) != name:
        raise TypeError(f"calls itself {getattr(backend, 'name', None)!r}, not {name!r}")
    if not isinstance(getattr(backend, "limits", None), Limits):
        raise TypeError("has no limits of type gangamon.protocols.Limits")
    return cast(Backend, backend)
