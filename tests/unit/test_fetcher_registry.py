"""The registry of fetchers: names, errors kept, each loaded once."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint

import pytest

from gangamon import fetchers, plugins
from gangamon.errors import BadInput
from gangamon.fetchers.local import LocalFetcher
from gangamon.plugins import Plugins
from gangamon.testing.simulator.fetcher import SimulatedFetcher

LOCAL = "gangamon.fetchers.local:LocalFetcher"


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts plugins into the group: name="module:attribute"."""

    def put(**values: str) -> None:
        group = [EntryPoint(name, value, fetchers.GROUP) for name, value in values.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group, g=group: g)
        monkeypatch.setattr(fetchers, "PLUGINS", Plugins(fetchers.GROUP, fetchers._check))

    return put


class Mute(LocalFetcher):
    fetch = None  # type: ignore[assignment]


class Renamed(LocalFetcher):
    name = "Other"


def test_the_installed_package_brings_its_own() -> None:
    """The entry points of the installed distribution give both fetchers."""
    assert {"Local", "Simulated"} <= set(fetchers.names())
    assert isinstance(fetchers.for_backend("Local"), LocalFetcher)
    assert isinstance(fetchers.for_backend("Simulated"), SimulatedFetcher)


def test_an_unknown_name_is_named(points: Callable[..., None]) -> None:
    """The error holds the value and what would be accepted."""
    points(Local=LOCAL, Other="x:y")
    with pytest.raises(BadInput, match=r"got 'Lokal'; accepted: Local, Other$"):
        fetchers.for_backend("Lokal")


def test_a_broken_plugin_takes_nobody_down(points: Callable[..., None]) -> None:
    """One that cannot be imported stays named, with its reason; the others work."""
    points(Local=LOCAL, Bad="gangamon.no_such_module:X")
    assert fetchers.names() == ("Bad", "Local")
    assert isinstance(fetchers.for_backend("Local"), LocalFetcher)
    assert list(fetchers.failures()) == ["Bad"]
    with pytest.raises(BadInput, match=r"'Bad'.*no_such_module"):
        fetchers.for_backend("Bad")


@pytest.mark.parametrize(("kind", "why"), [(Mute, "has no fetch"), (Renamed, "calls itself")])
def test_half_a_fetcher_is_refused(points: Callable[..., None], kind: type, why: str) -> None:
    """What a fetcher lacks is found when it is loaded."""
    points(Local=f"{__name__}:{kind.__name__}")
    with pytest.raises(BadInput, match=why):
        fetchers.for_backend("Local")


def test_a_plugin_is_looked_up_once(
    points: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a good one nor a bad one is loaded at every fetch; each fetch has its own."""
    points(Local=LOCAL, Bad="gangamon.no_such_module:X")
    tries: list[str] = []
    load = EntryPoint.load
    monkeypatch.setattr(
        EntryPoint, "load", lambda point: (tries.append(point.name), load(point))[1]
    )
    assert fetchers.for_backend("Local") is not fetchers.for_backend("Local")
    for _ in range(2):
        with pytest.raises(BadInput, match="no_such_module"):
            fetchers.for_backend("Bad")
    assert tries == ["Local", "Bad"]
