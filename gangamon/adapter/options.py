"""The ``[Gangamon]`` section of Ganga's configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

SECTION = "Gangamon"


@dataclass(frozen=True)
class Options:
    """See docs/adapter.md. Numbers are seconds."""

    Enabled: bool = True
    PatchTextMerger: bool = True
    PatchFileChecker: bool = True
    PatchMasterStatus: bool = True
    PatchFlush: bool = True
    PatchIndexCache: bool = True
    PatchSubjobLoad: bool = True
    PatchCondor: bool = True
    ScanInterval: float = 1.0
    NoticeAfter: float = 5.0
    Autostart: bool = True


_MEANING = {
    "Enabled": "False: leave Ganga's own monitoring in place",
    "PatchTextMerger": "False: a TextMerger merges again in the session what gangamon has merged",
    "PatchFileChecker": "False: a FileChecker checks again in the session what gangamon checked",
    "PatchMasterStatus": "False: Ganga may end a master job before gangamon has merged it",
    "PatchFlush": "False: Ganga's flush of a split job holds up the prompt until all is written",
    "PatchIndexCache": "False: Ganga makes its table of columns anew for each subjob it indexes",
    "PatchSubjobLoad": "False: each subjob that has changed is loaded before it is shown",
    "PatchCondor": "False: Ganga's Condor finds no bindings of HTCondor 25 and later",
    "ScanInterval": "seconds between two looks for jobs to hand over",
    "NoticeAfter": "seconds without the service before the prompt says so",
    "Autostart": "False: do not start the service when this session needs it and none runs",
}


def make() -> Options:
    """Declare the section to Ganga, and read it."""
    from GangaCore.Utility.Config import ConfigError, getConfig, makeConfig

    try:
        section = makeConfig(SECTION, "gangamon: job monitoring outside the session")
    except ConfigError:  # made when this process started Ganga before
        section = getConfig(SECTION)
    values: dict[str, Any] = {}
    for field in fields(Options):
        if field.name not in section.options:
            section.addOption(field.name, field.default, _MEANING[field.name])
        values[field.name] = section[field.name]
    return Options(**values)
