"""The registry of postprocessors: entry points of the group ``gangamon.postprocessors``.

A name is Ganga's class name. What has ``run`` is a merger, ``check`` a checker, ``tell`` a
notifier. One that cannot be loaded is of no kind, so that its jobs' postprocessors stay with Ganga;
``failures`` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gangamon import plugins
from gangamon.errors import BadInput
from gangamon.protocols import Checker, CodeLimits, Notifier, PostProcessor

GROUP = "gangamon.postprocessors"

VERBS = ("run", "check", "tell")


def _check(name: str, kind: Any) -> None:
    if not any(callable(getattr(kind, verb, None)) for verb in VERBS):
        raise TypeError(f"has neither {' nor '.join(VERBS)}")
    plugins.called(kind, "kind", name)


PLUGINS = plugins.Plugins(GROUP, _check)

_LIMITS = CodeLimits()


def kinds() -> tuple[str, ...]:
    """The mergers that gangamon can run."""
    return tuple(sorted(_loaded("run")))


def for_extension(extension: str) -> str:
    """The kind of the merger of files that end so (lower case, without the dot); empty: none. It is
    the plugin that says so in its ``extensions``, of several the first by name."""
    found = _loaded("run")
    fit = sorted(kind for kind in found if extension in getattr(found[kind], "extensions", ()))
    return fit[0] if fit else ""


def for_kind(kind: str, limits: CodeLimits = _LIMITS) -> PostProcessor:
    """The merger of this kind. BadInput names the accepted kinds."""
    merger: PostProcessor = _made("merger", "run", kind, limits)
    return merger


def checkers() -> tuple[str, ...]:
    """The checkers that gangamon can run."""
    return tuple(sorted(_loaded("check")))


def checker(kind: str, limits: CodeLimits = _LIMITS) -> Checker:
    """The checker of this kind. BadInput names the accepted kinds."""
    made: Checker = _made("checker", "check", kind, limits)
    return made


def notifiers() -> tuple[str, ...]:
    """The notifiers that gangamon can run."""
    return tuple(sorted(_loaded("tell")))


def notifier(kind: str) -> Notifier:
    """The notifier of this kind. BadInput names the accepted kinds."""
    made: Notifier = _made("notifier", "tell", kind, _LIMITS)
    return made


def failures() -> Mapping[str, str]:
    """Why a plugin cannot be loaded, by name."""
    return PLUGINS.failures()


def _made(what: str, verb: str, kind: str, limits: CodeLimits) -> Any:
    found = _loaded(verb)
    if kind not in found:
        why = f" ({failures()[kind]})" if kind in failures() else ""
        raise BadInput([f"{what}: got {kind!r}{why}; accepted: {', '.join(sorted(found))}"])
    made = found[kind]()
    if hasattr(made, "limits"):
        made.limits = limits
    return made


def _loaded(verb: str) -> Mapping[str, Any]:
    return {n: made for n, made in PLUGINS.loaded().items() if callable(getattr(made, verb, None))}
