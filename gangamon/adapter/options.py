"""The ``[Gangamon]`` section of Ganga's configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from gangamon.errors import BadInput

SECTION = "Gangamon"

#: What [Gangamon] mode may be: gangamon has the jobs; Ganga has them, and what gangamon would say
#: of them is compared; Ganga has them.
GANGAMON, SHADOW, OFF = MODES = "gangamon", "shadow", "off"

#: Who set the repository's flag, where a session did by its mode, and not a person.
BY = {OFF: "a session without gangamon", SHADOW: "a session with gangamon in shadow mode"}


@dataclass(frozen=True)
class Options:
    """See docs/adapter.md. Numbers are seconds, but for the share. BadInput."""

    mode: str = GANGAMON
    Enabled: bool = True
    PatchMergers: bool = True
    PatchCheckers: bool = True
    PatchNotifier: bool = True
    PatchPuts: bool = True
    PatchMasterStatus: bool = True
    PatchFlush: bool = True
    PatchIndexCache: bool = True
    PatchSubjobLoad: bool = True
    PatchCondor: bool = True
    BringHome: str = ""
    ScanInterval: float = 1.0
    NoticeAfter: float = 5.0
    Autostart: bool = True
    ShadowBound: float = 300.0
    MergeAcceptance: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.MergeAcceptance <= 1.0:
            got = f"{self.MergeAcceptance:g}"
            raise BadInput([f"[{SECTION}] MergeAcceptance: got {got}; accepted: 0 to 1"])

    @property
    def chosen(self) -> str:
        """One of MODES. BadInput."""
        if self.mode not in MODES:
            raise BadInput([f"[{SECTION}] mode: got {self.mode!r}; accepted: {', '.join(MODES)}"])
        return self.mode if self.Enabled else OFF


_MEANING = {
    "mode": "gangamon; shadow: Ganga's own monitoring, and gangamon compared with it; off",
    "Enabled": "False: as mode = off",
    "PatchMergers": "False: outputs are merged in the session, and not by gangamon",
    "PatchCheckers": "False: outputs are checked in the session, and not by gangamon",
    "PatchNotifier": "False: the session mails, and gangamon does not",
    "PatchPuts": "False: the session puts outputs on mass storage, and gangamon does not",
    "PatchMasterStatus": "False: Ganga may end a master job before gangamon has merged it",
    "PatchFlush": "False: Ganga's flush of a split job holds up the prompt until all is written",
    "PatchIndexCache": "False: Ganga makes its table of columns anew for each subjob it indexes",
    "PatchSubjobLoad": "False: each subjob that has changed is loaded before it is shown",
    "PatchCondor": "False: Ganga's Condor finds no bindings of HTCondor 25 and later",
    "BringHome": "files on mass storage to bring home: names and patterns, with spaces between",
    "ScanInterval": "seconds between two looks for jobs to hand over",
    "NoticeAfter": "seconds without the service before the prompt says so",
    "Autostart": "False: do not start the service when this session needs it and none runs",
    "ShadowBound": "mode = shadow: seconds that one monitor may be late before the prompt says so",
    "MergeAcceptance": "share of the subjobs (0 to 1) that is enough for a merge; 1: all of them",
}


def make() -> Options:
    """Declare the section to Ganga, and read it. BadInput."""
    from GangaCore.Utility.Config import Config, ConfigError, getConfig, makeConfig

    try:
        section = makeConfig(SECTION, "gangamon: job monitoring outside the session")
    except ConfigError:  # made when this process started Ganga before
        section = getConfig(SECTION)
    values: dict[str, Any] = {}
    for field in fields(Options):
        number = type(field.default) is float
        if field.name not in section.options:
            # Without a list of types Ganga takes 2 for no float.
            types = [int, float] if number else None
            section.addOption(field.name, field.default, _MEANING[field.name], typelist=types)
            for given in (Config.unknownUserConfigValues, Config.unknownConfigFileValues):
                # Of another type: Ganga keeps the default and says nothing (Config.py:570, 8.7.12).
                if field.name in given.get(SECTION, {}):
                    got = given[SECTION][field.name]
                    accepted = "a number" if number else type(field.default).__name__
                    raise BadInput([f"[{SECTION}] {field.name}: got {got!r}; accepted: {accepted}"])
        values[field.name] = float(section[field.name]) if number else section[field.name]
    return Options(**values)
