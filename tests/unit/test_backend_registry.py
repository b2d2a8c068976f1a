"""The registry of backends: names, errors kept, settings applied."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from gangamon import backends, plugins, settings
from gangamon.backends.local import LocalBackend
from gangamon.errors import BadInput
from gangamon.plugins import Plugins


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts plugins into the group: name="module:attribute"."""

    def put(**values: str) -> None:
        group = [EntryPoint(name, value, backends.GROUP) for name, value in values.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group, g=group: g)
        monkeypatch.setattr(backends, "PLUGINS", Plugins(backends.GROUP, backends._check))

    return put


class Renamed(LocalBackend):
    name = "Other"


class Mute(LocalBackend):
    poll: Any = None


class Limitless(LocalBackend):
    name = "Limitless"

    def __init__(self) -> None:
        self.limits: Any = None


def test_the_installed_package_brings_local() -> None:
    """The entry point of the installed distribution gives Local."""
    assert "Local" in backends.names()
    assert isinstance(backends.load("Local"), LocalBackend)


def test_an_unknown_name_is_named() -> None:
    """The error holds the value and what would be accepted."""
    with pytest.raises(BadInput, match=r"got 'Lokal'; accepted: .*Local"):
        backends.load("Lokal")


def test_a_broken_plugin_takes_nobody_down(points: Callable[..., None]) -> None:
    """A plugin that cannot be imported stays named, with its reason; the others work."""
    points(Local="gangamon.backends.local:LocalBackend", Bad="gangamon.no_such_module:X")
    assert backends.names() == ("Bad", "Local")
    assert isinstance(backends.load("Local"), LocalBackend)
    assert "no_such_module" in backends.failures()["Bad"]
    with pytest.raises(BadInput, match=r"'Bad'.*ModuleNotFoundError"):
        backends.load("Bad")


def test_a_reason_is_kept(points: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that failed once is not tried again at every poll."""
    points(Bad="gangamon.no_such_module:X")
    tries: list[str] = []
    monkeypatch.setattr(
        EntryPoint, "load", lambda point: tries.append(point.name) or int("no number")
    )
    for _ in range(3):
        with pytest.raises(BadInput, match="no number"):
            backends.load("Bad")
    assert tries == ["Bad"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [(Renamed, "calls itself 'Other'"), (Mute, "has no poll"), (Limitless, "has no limits")],
)
def test_half_a_backend_is_refused(points: Callable[..., None], kind: type, why: str) -> None:
    """What a backend lacks is found when it is loaded, not in the middle of a poll."""
    name = "Limitless" if kind is Limitless else "Local"
    points(**{name: f"{__name__}:{kind.__name__}"})
    with pytest.raises(BadInput, match=why):
        backends.load(name)


def test_settings_reach_every_limit() -> None:
    """Each key of a [backends.NAME] table sets its own limit; the plugin itself is not changed."""
    plain = LocalBackend()
    table = {
        "floor": 2, "cap": 9, "jobs": 7, "timeout": 3, "slots": 4,
        "endpoint_slots": 10, "rate": 0.5, "burst": 11,
        "absences": 5, "grace": 6, "lost_after": 8,
    }  # fmt: skip
    assert set(table) == set(settings.BACKEND_KEYS)
    limits = backends.configured(plain, {"Local": table}).limits
    assert (limits.cadence.floor, limits.cadence.cap) == (2.0, 9.0)
    assert (limits.jobs, limits.timeout, limits.slots) == (7, 3.0, 4)
    assert (limits.endpoint_slots, limits.rate, limits.burst) == (10, 0.5, 11)
    absence = limits.absence
    assert (absence.absences, absence.grace, absence.lost_after) == (5, 6.0, 8.0)
    assert plain.limits == LocalBackend().limits != limits


def test_settings_of_others_do_not_count() -> None:
    """A table of another backend changes nothing."""
    plain = LocalBackend()
    assert backends.configured(plain, {"Slurm": {"jobs": 1}}).limits == plain.limits


def test_every_fault_of_a_table_at_once() -> None:
    """Unknown keys and values out of range are all named, with what is accepted."""
    with pytest.raises(BadInput) as caught:
        backends.configured(LocalBackend(), {"Local": {"flor": 1, "jobs": 0.5, "grace": -1}})
    text = str(caught.value)
    assert "flor: unknown key; accepted: floor" in text
    assert "jobs: got 0.5; accepted: a whole number" in text
    assert "grace: got -1; accepted: a number above 0" in text
