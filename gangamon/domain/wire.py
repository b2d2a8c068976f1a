"""Commands as json: written, and read field by field with all faults told at once.

A command travels as one json object: ``v`` (this module's VERSION), ``id`` (unique, chosen by
the client), ``kind`` and the fields of that kind. The client checks it before it is spooled, the
intake checks it again: an inbox is not to be trusted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gangamon.domain.command import (
    BATCH_SIZE,
    UNSPLIT,
    CheckerSpec,
    Command,
    Enqueue,
    JobSpec,
    MergerSpec,
    Pause,
    Reconcile,
    Refresh,
    Register,
    Resume,
    Retry,
    Withdraw,
)
from gangamon.domain.lane import Lane
from gangamon.domain.status import POLLED, JobStatus

VERSION = 1

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,127}")
_REPOSITORY = re.compile(r"[0-9a-f]{32}")


class Faults(ValueError):
    """What is wrong with an input: one line each, naming field, value and what is accepted."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def to_wire(command: Command) -> dict[str, Any]:
    """The json object of a command."""
    body = asdict(command)
    if isinstance(command, (Enqueue, Pause, Resume)):
        body["lane"] = str(command.lane)
    if isinstance(command, Enqueue):
        body["jobs"] = [
            [j.sub, j.attempt, j.status.value, j.native_id, dict(j.extra)] for j in command.jobs
        ]
    if isinstance(command, Enqueue) and not command.checkers:
        del body["checkers"]  # as with rates
    if isinstance(command, Enqueue) and not command.observe:
        del body["observe"]
    if isinstance(command, Withdraw) and not command.observed:
        del body["observed"]
    if isinstance(command, Register) and not command.rates:
        del body["rates"]  # a service of the version before does not know the field
    if isinstance(command, Withdraw):
        body["status"] = command.status.value
    return {"v": VERSION, "kind": type(command).__name__.lower(), **body}


def from_wire(body: object) -> Command:
    """The command of a json object; Faults with every fault found, so that one look mends all."""
    check = _Check(body)
    if not isinstance(body, dict):
        raise Faults([f"command: got {type(body).__name__}; accepted: a json object"])
    check.field("v", lambda v: type(v) is int and v == VERSION, f"{VERSION}")
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):  # e.g. half of a surrogate pair
        raise Faults(["command: holds what is not Unicode text; accepted: json in UTF-8"]) from None
    kind = check.field(
        "kind", lambda k: isinstance(k, str) and k in _KINDS, ", ".join(sorted(_KINDS))
    )
    common = {
        "id": check.text("id", _NAME, "1-128 letters, digits and _.@+-"),
        "repository": check.text("repository", _REPOSITORY, "32 lower case hex digits"),
    }
    if kind is None:
        raise Faults(check.faults)
    allowed, build = _KINDS[kind]
    check.nothing_but(allowed, {"v", "kind", "id", "repository"})
    fields = build(check)
    if check.faults:
        raise Faults(check.faults)
    command: Command = _TYPES[kind](**common, **fields)
    return command


class _Check:
    """Reads fields of one object and notes every fault."""

    def __init__(self, body: object, where: str = "", faults: list[str] | None = None) -> None:
        self.body: Mapping[str, Any] = body if isinstance(body, dict) else {}
        self.where = where
        self.faults: list[str] = [] if faults is None else faults

    def field(
        self, key: str, good: Callable[[Any], bool], accepted: str, default: Any = ...
    ) -> Any:
        if key not in self.body:
            if default is ...:
                self.faults.append(f"{self.where}{key}: missing; accepted: {accepted}")
                return None
            return default
        value = self.body[key]
        if not good(value):
            self.faults.append(f"{self.where}{key}: got {_show(value)}; accepted: {accepted}")
            return None
        return value

    def nothing_but(self, accepted: Sequence[str], also: Collection[str] = ()) -> None:
        for key in sorted(set(self.body) - set(accepted) - set(also)):
            self.faults.append(f"{self.where}{key}: unknown field; accepted: {', '.join(accepted)}")

    def text(self, key: str, pattern: re.Pattern[str], accepted: str) -> Any:
        return self.field(
            key, lambda v: isinstance(v, str) and bool(pattern.fullmatch(v)), accepted
        )

    def lane(self) -> Lane | None:
        name = self.field("lane", _is_lane, "BACKEND|ENDPOINT|CREDENTIAL")
        return Lane.parse(name) if name else None

    def subs(self) -> tuple[int, ...]:
        found = self.field(
            "subs",
            lambda v: isinstance(v, list) and all(_whole(s, UNSPLIT) for s in v),
            "sub ids",
            [],
        )
        return tuple(found or ())

    def number(self, key: str, low: int) -> Any:
        return self.field(key, lambda v: _whole(v, low), f"a whole number from {low}")

    def path(self, key: str) -> Any:
        return self.field(key, _absolute, "an absolute path without '..'")

    def flag(self, key: str, default: bool = False) -> Any:
        return self.field(key, lambda v: isinstance(v, bool), "true or false", default)

    def files(self) -> tuple[str, ...]:
        found = self.field(
            "files",
            lambda v: isinstance(v, list) and all(isinstance(f, str) and _inside(f) for f in v),
            "a list of file names or patterns, relative and without '..'",
        )
        return tuple(found or ())


def _register(check: _Check) -> dict[str, Any]:
    roots = check.field(
        "roots",
        lambda v: isinstance(v, list) and len(v) > 0 and all(_absolute(p) for p in v),
        "a list of absolute paths without '..'",
    )
    rates = check.field("rates", _is_rates, "an object of backend: seconds, 0.1 to 86400", {})
    return {"roots": tuple(roots or ()), "rates": dict(rates or {})}


def _enqueue(check: _Check) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "master": check.number("master", 0),
        "total": check.number("total", 1),
        "name": check.field("name", lambda v: isinstance(v, str) and len(v) < 256, "text", ""),
        "workspace": check.path("workspace"),
        "observe": check.flag("observe"),
    }
    fields["lane"] = check.lane()
    mergers = check.field("mergers", lambda v: isinstance(v, list), "a list", [])
    fields["mergers"] = tuple(_merger(check, i, m) for i, m in enumerate(mergers or ()))
    checkers = check.field("checkers", lambda v: isinstance(v, list), "a list", [])
    fields["checkers"] = tuple(_checker(check, i, c) for i, c in enumerate(checkers or ()))
    jobs = check.field(
        "jobs",
        lambda v: isinstance(v, list) and 0 < len(v) <= BATCH_SIZE,
        f"a list of 1 to {BATCH_SIZE} jobs",
    )
    fields["jobs"] = specs = tuple(_job(check, i, j) for i, j in enumerate(jobs or ()))
    subs = [spec.sub for spec in specs if spec is not None]
    if len(set(subs)) < len(subs):
        check.faults.append("jobs: a sub id stands twice; accepted: each once")
    if UNSPLIT in subs and len(subs) > 1:
        check.faults.append(f"jobs: sub {UNSPLIT} (not split) beside others; accepted: alone")
    return fields


def _merger(check: _Check, index: int, body: object) -> MergerSpec:
    inner = _Check(body, f"mergers[{index}].", check.faults)
    kind = inner.text("kind", _NAME, "a merger's name")
    files = inner.files()
    flags = {key: inner.flag(key) for key in ("ignorefailed", "overwrite", "compress")}
    inner.nothing_but(("kind", "files", *flags))
    return MergerSpec(kind=kind, files=files, **flags)


def _checker(check: _Check, index: int, body: object) -> CheckerSpec:
    inner = _Check(body, f"checkers[{index}].", check.faults)
    kind = inner.text("kind", _NAME, "a checker's name")
    files = inner.files()
    strings = inner.field(
        "search_strings",
        lambda v: isinstance(v, list) and all(isinstance(s, str) for s in v),
        "a list of regular expressions",
        [],
    )
    names = ("fail_if_found", "files_must_exist", "check_subjobs", "check_master")
    flags = {name: inner.flag(name, default=True) for name in names}
    inner.nothing_but(("kind", "files", "search_strings", *names))
    return CheckerSpec(kind, files, tuple(strings or ()), **flags)


def _job(check: _Check, index: int, body: object) -> JobSpec | None:
    where = f"jobs[{index}]"
    if not isinstance(body, list) or len(body) != 5:
        check.faults.append(
            f"{where}: got {_show(body)}; accepted: [sub, attempt, status, native_id, extra]"
        )
        return None
    sub, attempt, status, native_id, extra = body
    polled = sorted(s.value for s in POLLED)
    for field, good, value, accepted in (
        ("sub", _whole(sub, UNSPLIT), sub, f"a whole number from 0, or {UNSPLIT}: not split"),
        ("attempt", _whole(attempt, 1) and attempt < 100_000, attempt, "1 to 99999"),
        ("status", status in polled, status, ", ".join(polled)),
        ("native_id", isinstance(native_id, str) and len(native_id) < 512, native_id, "text"),
        ("extra", _is_extra(extra), extra, "an object of texts, numbers and flags"),
    ):
        if not good:
            check.faults.append(f"{where}.{field}: got {_show(value)}; accepted: {accepted}")
            return None
    return JobSpec(sub, attempt, JobStatus(status), native_id, dict(extra))


def _withdraw(check: _Check) -> dict[str, Any]:
    final = ("completed", "failed", "killed")
    status = check.field("status", lambda v: v in final, ", ".join(final), "killed")
    return {
        "master": check.number("master", 0),
        "subs": check.subs(),
        "status": JobStatus(status) if status else None,
        "reason": check.field("reason", lambda v: isinstance(v, str), "text", ""),
        "observed": check.flag("observed"),
    }


def _refresh(check: _Check) -> dict[str, Any]:
    return {"master": check.number("master", 0)}


def _pause(check: _Check) -> dict[str, Any]:
    accepted = "text below 256 letters"
    good = lambda v: isinstance(v, str) and 0 < len(v) < 256  # noqa: E731
    return {"lane": check.lane(), "reason": check.field("reason", good, accepted, "by its owner")}


def _resume(check: _Check) -> dict[str, Any]:
    return {"lane": check.lane()}


def _retry(check: _Check) -> dict[str, Any]:
    return {"master": check.number("master", 0), "subs": check.subs()}


def _reconcile(check: _Check) -> dict[str, Any]:
    return {}


_TYPES: dict[str, Any] = {
    "register": Register,
    "enqueue": Enqueue,
    "withdraw": Withdraw,
    "refresh": Refresh,
    "pause": Pause,
    "resume": Resume,
    "retry": Retry,
    "reconcile": Reconcile,
}
_KINDS: dict[str, tuple[tuple[str, ...], Callable[[_Check], dict[str, Any]]]] = {
    "register": (("roots", "rates"), _register),
    "enqueue": (
        ("master", "total", "name", "lane", "workspace", "mergers", "checkers", "jobs", "observe"),
        _enqueue,
    ),
    "withdraw": (("master", "subs", "status", "reason", "observed"), _withdraw),
    "refresh": (("master",), _refresh),
    "pause": (("lane", "reason"), _pause),
    "resume": (("lane",), _resume),
    "retry": (("master", "subs"), _retry),
    "reconcile": ((), _reconcile),
}


def _whole(value: object, low: int) -> bool:
    return type(value) is int and low <= value < 2**53


def _absolute(value: object) -> bool:
    return (
        isinstance(value, str)
        and value.startswith("/")
        and "\0" not in value
        and ".." not in value.split("/")
    )


def _inside(name: str) -> bool:
    return bool(name) and not name.startswith("/") and ".." not in name.split("/")


def _is_lane(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(Lane.parse(value))
    except ValueError:
        return False


def _is_extra(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(k, str) and (v is None or isinstance(v, (str, int, bool)) or _finite(v))
        for k, v in value.items()
    )


def _is_rates(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(backend, str)
        and _NAME.fullmatch(backend)
        and type(seconds) in (int, float)
        and 0.1 <= seconds <= 86400
        for backend, seconds in value.items()
    )


def _finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
