"""[PollThread]DiskSpaceChecker, which Ganga 8.7.12 has an option for but nothing that calls it.

The option holds the body of a function, as Ganga documents it (Coordinator.py:44-63): it sees the
names of the session, and False means that there is no room: Ganga's services are then disabled,
until ``reactivate()``. Asked every ``diskspace_poll_rate`` seconds while monitoring is enabled.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from types import CodeType
from typing import Any

from GangaCore.Core.InternalServices import Coordinator
from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.auto.background import Background

logger = getLogger("gangamon")

_OPTION = "[PollThread]DiskSpaceChecker"


class DiskSpace:
    """Asked in the adapter's thread, checked in another: ``df`` may hang with its file system."""

    def __init__(self) -> None:
        self._at = 0.0
        self._said = ""
        self._background = Background("gangamon-diskspace")

    def look(self) -> None:
        """Begin a check if it is time for one. Returns at once."""
        now = time.monotonic()
        if now < self._at or self._background.busy:
            return
        options = getConfig("PollThread")
        self._at = now + max(1.0, float(options["diskspace_poll_rate"]))
        code = str(options["DiskSpaceChecker"] or "")
        if code.strip() and Coordinator.servicesEnabled:
            self._background.start(lambda: self._check(code))

    def _check(self, code: str) -> None:
        try:
            enough = compiled(code, _names())() is not False
        except Exception as error:  # noqa: BLE001 - the user's code
            text = f"{_OPTION}: {type(error).__name__}: {error}"
            if text != self._said:
                logger.warning("gangamon: %s; nothing is disabled", text)
            self._said = text
            return
        self._said = ""
        if enough or not Coordinator.servicesEnabled:
            return
        logger.warning(
            "You are running out of disk space: %s said so, and all internal services are disabled "
            "to protect your jobs; type reactivate() when there is room again",
            _OPTION,
        )
        Coordinator.disableInternalServices()


def compiled(code: str, names: dict[str, Any]) -> Callable[[], Any]:
    """The function whose body is ``code``; ``names`` are its globals. SyntaxError."""
    first, _, rest = code.strip("\n").partition("\n")
    try:
        source = _function(textwrap.dedent(code.strip("\n")))
    except SyntaxError:
        # What stands on the option's own line has lost its indentation, the lines below have not.
        source = _function(f"{first.strip()}\n{textwrap.dedent(rest)}")
    exec(source, names)
    check: Callable[[], Any] = names["check"]
    return check


def _function(body: str) -> CodeType:
    text = f"def check():\n{textwrap.indent(body, '    ')}\n"
    return compile(text, _OPTION, "exec")


def _names() -> dict[str, Any]:
    """A copy of what the prompt knows."""
    from GangaCore.Runtime import _prog

    return dict(_prog.local_ns)
