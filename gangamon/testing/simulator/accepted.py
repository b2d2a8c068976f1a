"""What a key of a scenario may hold: said once, at the key, and checked for all keys alike."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Accepted:
    """``text`` completes "accepted: "."""

    text: str
    good: Callable[[Any], bool]


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def whole(low: int, high: int = 10**9) -> Accepted:
    text = f"a whole number from {low} to {high}"
    return Accepted(text, lambda v: type(v) is int and low <= v <= high)


def one_of(*names: str) -> Accepted:
    return Accepted(", ".join(names), lambda v: v in names)


SECONDS = Accepted("seconds, 0 or more", lambda v: _number(v) and v >= 0)
ABOVE_0 = Accepted("a number above 0", lambda v: _number(v) and v > 0)
FROM_0 = Accepted("a number, 0 or more", lambda v: _number(v) and v >= 0)
FRACTION = Accepted("a number from 0 to 1", lambda v: _number(v) and 0 <= v <= 1)
FLAG = Accepted("true or false", lambda v: isinstance(v, bool))
NAME = Accepted("a name", lambda v: isinstance(v, str) and 0 < len(v) < 100)


def key(default: Any, accepted: Accepted, name: str = "") -> Any:
    """A field of a dataclass that is read from a table; ``...``: it must be given. ``name``: the
    key, if it is not the field's name."""
    return dataclasses.field(default=default, metadata={"accepted": accepted, "name": name})


def read(kind: type[T], table: object, where: str, faults: list[str], /, **given: Any) -> T | None:
    """The dataclass of a TOML table, with more fields as ``given``; None, and a line for every
    fault, if it has some."""
    if not isinstance(table, Mapping):
        faults.append(f"{where or 'scenario'}: got {table!r}; accepted: a table")
        return None
    prefix = f"{where}." if where else ""
    fields = {
        str(field.metadata["name"] or field.name): field
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.metadata
    }
    values: dict[str, Any] = dict(given)
    count = len(faults)
    for name, value in table.items():
        if name not in fields:
            faults.append(f"{prefix}{name}: unknown key; accepted: {', '.join(fields)}")
            continue
        field, accepted = fields[name], fields[name].metadata["accepted"]
        if not accepted.good(value):
            faults.append(f"{prefix}{name}: got {value!r}; accepted: {accepted.text}")
        else:
            values[field.name] = float(value) if type(field.default) is float else value
    for name, field in fields.items():
        if field.default is ... and name not in table:
            text = field.metadata["accepted"].text
            faults.append(f"{prefix}{name}: missing; accepted: {text}")
    return kind(**values) if len(faults) == count else None
