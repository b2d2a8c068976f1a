"""Scenarios: what the simulated backend does, as a TOML file; ``docs/simulate.md`` has every key.

All times are seconds of the scenario; ``time_scale`` of them pass in one second.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from gangamon.errors import BadInput
from gangamon.testing.simulator.accepted import (
    ABOVE_0,
    FLAG,
    FRACTION,
    FROM_0,
    NAME,
    SECONDS,
    Accepted,
    key,
    one_of,
    read,
    whole,
)

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

#: Faults of a whole answer: one in ``probability`` of the queries.
OF_A_QUERY = ("timeout", "error", "auth", "slow", "empty", "truncated", "stale", "duplicated")
#: Faults of one job in the answers: one in ``probability`` of the jobs.
OF_A_JOB = ("unknown", "vanish")
#: What happens to one in ``probability`` of the jobs, at a moment of its run.
OF_A_RUN = ("requeue", "preempt")
#: What may also befall a download.
OF_A_DOWNLOAD = ("timeout", "error", "auth", "slow")

FOR_EVER = 1e12
ASKED = "asked"
_COUNT = whole(0, 10**7)


@dataclass(frozen=True)
class Jobs:
    """``count``: native ids 0 to count - 1, or ``asked``: whatever number is asked about."""

    count: int | str = key(
        1000, Accepted(f"{_COUNT.text}, or '{ASKED}'", lambda v: v == ASKED or _COUNT.good(v))
    )
    site: str = key("SIM", NAME)
    arrival_first: float = key(0.0, SECONDS)
    arrival_rate: float = key(0.0, FROM_0)
    start_after: float = key(2.0, SECONDS)
    ends: str = key("rate", one_of("rate", "duration", "never"))
    first_done: float = key(5.0, SECONDS)
    rate: float = key(50.0, ABOVE_0)
    duration: str = key("fixed", one_of("fixed", "uniform", "exponential", "lognormal"))
    duration_mean: float = key(60.0, ABOVE_0)
    duration_spread: float = key(0.0, FROM_0)
    failed: float = key(0.0, FRACTION)
    killed: float = key(0.0, FRACTION)


@dataclass(frozen=True)
class Listing:
    """The list of jobs, asked by a poll. ``chunk`` 0: any number of ids."""

    fixed: float = key(0.0, SECONDS)
    per_job: float = key(0.0, SECONDS)
    chunk: int = key(0, whole(0))
    memory: float = key(FOR_EVER, SECONDS)


@dataclass(frozen=True)
class Accounting:
    """The second source. ``knows``: of which fraction of the jobs."""

    fixed: float = key(0.0, SECONDS)
    per_job: float = key(0.0, SECONDS)
    knows: float = key(1.0, FRACTION)
    delay: float = key(0.0, SECONDS)


@dataclass(frozen=True)
class Download:
    """The outputs. ``missing``: the fraction of jobs whose outputs will not come."""

    latency: float = key(0.0, SECONDS)
    bytes: int = key(2000, whole(0, 10**8))
    missing: float = key(0.0, FRACTION)


@dataclass(frozen=True)
class Fault:
    """``seconds``: how long (slow, requeue, preempt) or how old (stale). ``fraction``: of the
    jobs of one answer (truncated: missing, duplicated: doubled)."""

    kind: str = key(..., one_of(*OF_A_QUERY, *OF_A_JOB, *OF_A_RUN))
    on: str = key("list", one_of("list", "accounting", "download", "all"))
    probability: float = key(1.0, FRACTION)
    begin: float = key(0.0, SECONDS, name="from")
    end: float = key(FOR_EVER, SECONDS, name="to")
    seconds: float = key(5.0, SECONDS)
    fraction: float = key(0.5, FRACTION)
    enabled: bool = key(True, FLAG)

    def clashes(self, where: str) -> list[str]:
        """What its keys say against each other."""
        found = []
        if self.begin >= self.end:
            found.append(f"{where}.to: got {self.end:g}; accepted: above from ({self.begin:g})")
        if self.on == "download" and self.kind not in OF_A_DOWNLOAD:
            kinds = ", ".join(OF_A_DOWNLOAD)
            found.append(f"{where}.on: got 'download'; accepted: only of the kinds {kinds}")
        return found


@dataclass(frozen=True)
class Scenario:
    name: str = "scenario"
    seed: int = key(1, whole(0, 2**62))
    time_scale: float = key(1.0, ABOVE_0)
    owner: str = key("simulated", NAME)
    jobs: Jobs = field(default_factory=Jobs)
    list: Listing = field(default_factory=Listing)
    accounting: Accounting = field(default_factory=Accounting)
    download: Download = field(default_factory=Download)
    faults: tuple[Fault, ...] = ()

    @property
    def count(self) -> int:
        """Jobs that are there without being submitted or asked about."""
        return self.jobs.count if isinstance(self.jobs.count, int) else 0


_SECTIONS = {"jobs": Jobs, "list": Listing, "accounting": Accounting, "download": Download}


def shipped() -> tuple[str, ...]:
    """The names of the scenarios that come with gangamon."""
    names = [path.name for path in _folder().iterdir()]
    return tuple(sorted(name[: -len(".toml")] for name in names if name.endswith(".toml")))


def load(name: str) -> Scenario:
    """The scenario of a file, or of the name of a shipped one. BadInput carries every fault."""
    path = Path(name)
    inside = name in shipped() and not path.exists()
    try:
        text = (_folder() / f"{name}.toml" if inside else path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        names = ", ".join(shipped())
        raise BadInput(
            [f"scenario: got {name!r} ({why}); accepted: a TOML file, or one of {names}"]
        ) from error
    return parse(text, path.name.removesuffix(".toml"))


def parse(text: str, name: str = "scenario") -> Scenario:
    """The scenario of a TOML text. BadInput carries every fault."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput([f"scenario {name}: not TOML: {error}"]) from error
    return build(table, name)


def build(table: Mapping[str, Any], name: str = "scenario") -> Scenario:
    """The scenario of a table. BadInput carries every fault."""
    faults: list[str] = []
    given: dict[str, Any] = {"name": name}
    for section, kind in _SECTIONS.items():
        made = read(kind, table.get(section, {}), section, faults)
        if made is not None:
            given[section] = made
    given["faults"] = _faults(table.get("faults", []), faults)
    plain = {k: v for k, v in table.items() if k not in (*_SECTIONS, "faults")}
    unknown = [k for k in plain if k not in _plain()]
    accepted = ", ".join((*_plain(), *_SECTIONS, "faults"))
    faults += [f"{k}: unknown key; accepted: {accepted}" for k in unknown]
    for k in unknown:
        del plain[k]
    made = read(Scenario, plain, "", faults, **given)
    jobs = given.get("jobs")
    if jobs is not None and jobs.failed + jobs.killed > 1:
        both = f"{jobs.failed:g} + {jobs.killed:g}"
        faults.append(f"jobs.failed, jobs.killed: got {both}; accepted: together 1 at most")
    if faults or made is None:
        raise BadInput(faults)
    return made


def fault(table: object, where: str = "fault") -> Fault:
    """One fault of a table. BadInput carries every fault of it."""
    faults: list[str] = []
    found = read(Fault, table, where, faults)
    if found is not None:
        faults += found.clashes(where)
    if faults or found is None:
        raise BadInput(faults)
    return found


def _faults(tables: object, faults: list[str]) -> tuple[Fault, ...]:
    if not isinstance(tables, list):
        faults.append(f"faults: got {tables!r}; accepted: tables, each [[faults]]")
        return ()
    found = []
    for index, table in enumerate(tables):
        try:
            found.append(fault(table, f"faults[{index}]"))
        except BadInput as error:
            faults += error.faults
    return tuple(found)


def _plain() -> list[str]:
    return [f.name for f in dataclasses.fields(Scenario) if f.metadata]


def _folder() -> Any:
    return files("gangamon.testing.simulator") / "scenarios"
