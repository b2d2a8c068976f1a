"""The registry of backends: entry points of the group ``gangamon.backends``, by Ganga's name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from gangamon import plugins
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


def _check(name: str, kind: Any) -> None:
    backend = kind()
    plugins.has(backend, "poll", "second_source")
    plugins.called(backend, "name", name)
    if not isinstance(getattr(backend, "limits", None), Limits):
        raise TypeError("has no limits of type gangamon.protocols.Limits")


PLUGINS = plugins.Plugins(GROUP, _check)


def names() -> tuple[str, ...]:
    """The names of all installed backends, whether or not they can be loaded."""
    return PLUGINS.names()


def failures() -> Mapping[str, str]:
    """Tries to load every backend; the reasons of those that cannot be, by name."""
    return PLUGINS.failures()


def load(name: str) -> Backend:
    """The backend of this name. BadInput names the accepted names, or why it cannot be loaded."""
    return cast(Backend, PLUGINS.load(name, "backend")())


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
