"""What the service must know of a job of Ganga's Condor: its schedd, and its files.

Lib/Condor/Condor.py, 8.7.12: jobs are submitted in their output directory, with these names unless
``cdf_options`` say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gangamon.domain.observation import Scalar


def schedd_host(environ: Mapping[str, str], setting: Callable[[str], object]) -> str:
    """The schedd that submissions from here go to; '' for this host's own. ``setting``: what
    HTCondor's configuration says, of which its bindings let the environment set the first part."""
    for name, value in environ.items():
        if name.upper() == "_CONDOR_SCHEDD_HOST" and value.strip():
            return value.strip()
    return str(setting("SCHEDD_HOST") or "").strip()


def extra(options: Mapping[str, object]) -> dict[str, Scalar]:
    """For ``PollItem.extra``. ``options``: the backend's ``cdf_options``."""
    given = {str(name).lower(): str(value).strip() for name, value in options.items()}
    found: dict[str, Scalar] = {"wrapper_stdout": given.get("output", "stdout")}
    if log := _plain(given.get("log", "condorLog")):
        found["log"] = log
    if "initialdir" not in given:
        found["submitted_in"] = "output"
    return found


def _plain(name: str) -> str:
    """'' for a log elsewhere, which may be the log of many jobs, or one with macros."""
    return "" if "/" in name or "$(" in name else name
