"""The registry of postprocessors: kinds by what they can do, errors kept, each loaded once."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint

import pytest

from gangamon import plugins
from gangamon.errors import BadInput
from gangamon.plugins import Plugins
from gangamon.postprocess import registry
from gangamon.postprocess.custom import CustomChecker
from gangamon.protocols import CodeLimits

TEXT = "gangamon.postprocess.text:TextMerger"
CUSTOM = "gangamon.postprocess.custom:CustomChecker"


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts plugins into the group: name="module:attribute"."""

    def put(**values: str) -> None:
        group = [EntryPoint(name, value, registry.GROUP) for name, value in values.items()]
        monkeypatch.setattr(plugins, "entry_points", lambda group, g=group: g)
        monkeypatch.setattr(registry, "PLUGINS", Plugins(registry.GROUP, registry._check))

    return put


class Idle:
    kind = "Idle"


class Renamed:
    kind = "Other"

    def tell(self) -> None: ...


def test_a_kind_is_what_it_can_do(points: Callable[..., None]) -> None:
    """A merger is no checker; an unknown name is told what would be accepted."""
    points(TextMerger=TEXT, CustomChecker=CUSTOM)
    assert (registry.kinds(), registry.checkers()) == (("TextMerger",), ("CustomChecker",))
    assert registry.notifiers() == ()
    with pytest.raises(BadInput, match=r"merger: got 'CustomChecker'; accepted: TextMerger$"):
        registry.for_kind("CustomChecker")
    with pytest.raises(BadInput, match=r"checker: got 'Oracle'; accepted: CustomChecker$"):
        registry.checker("Oracle")


def test_limits_are_given_to_each(points: Callable[..., None]) -> None:
    """To that one, not to its class."""
    points(CustomChecker=CUSTOM)
    made = registry.checker("CustomChecker", CodeLimits(5, 64))
    assert isinstance(made, CustomChecker) and made.limits == CodeLimits(5, 64)
    assert CustomChecker.limits == CodeLimits()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("gangamon.no_such_module:X", "no_such_module"),
        (f"{__name__}:Idle", "has neither run nor check nor tell"),
        (f"{__name__}:Renamed", "calls itself 'Other'"),
    ],
)
def test_a_broken_plugin_takes_nobody_down(
    points: Callable[..., None], value: str, why: str
) -> None:
    """It is of no kind, so that Ganga runs its own; the others work, and the reason is kept."""
    points(TextMerger=TEXT, Idle=value)
    assert registry.kinds() == ("TextMerger",)
    assert why in registry.failures()["Idle"]
    with pytest.raises(BadInput, match=why):
        registry.for_kind("Idle")
