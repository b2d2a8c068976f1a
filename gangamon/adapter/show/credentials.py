"""What the session says of credentials: which are missing here, and which the service lacks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from GangaCore.GPIDev.Adapters.IBackend import group_jobs_by_backend_credential
from GangaCore.Utility.Config import getConfig
from GangaCore.Utility.logging import getLogger

from gangamon.adapter.service.link import Link
from gangamon.adapter.watch.watched import Watched

logger = getLogger("gangamon")

#: How the reason of a pause begins that the service made for a credential (services/poll.py).
PAUSED = "credential:"

#: Seconds between two looks at the lanes of this session's jobs.
LOOK = 5.0


class Credentials:
    """One line when the service has paused a lane for its credential, one when it goes on; and
    Ganga's own list of what is missing, which Ganga shows at the prompt (ganga_extension.py:31)."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._told: set[str] = set()
        self._look_at = self._list_at = 0.0

    def list_missing(self, roster: Iterable[Watched]) -> None:
        """As Ganga does before it asks a backend (IBackend.py:506), every creds_poll_rate s."""
        now = time.monotonic()
        if now < self._list_at:
            return
        self._list_at = now + float(getConfig("PollThread")["creds_poll_rate"])
        for requirement in {w.credential for w in roster if w.credential is not None}:
            try:
                group_jobs_by_backend_credential([_job(requirement)])
            except Exception as error:  # noqa: BLE001 - a credential's own code
                logger.debug("gangamon: credential %s: %s", requirement, error)

    def look(self, roster: Iterable[Watched]) -> None:
        """Raises StoreUnavailable."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        for lane in sorted({watched.lane for watched in roster if watched.lane} | self._told):
            why = self._link.paused(lane)
            if why.startswith(PAUSED) and lane not in self._told:
                self._told.add(lane)
                logger.warning(
                    "gangamon: %s is not asked, its jobs keep their status until the credential is "
                    "renewed: %s",
                    lane,
                    why.removeprefix(PAUSED).strip(),
                )
            elif lane in self._told and not why.startswith(PAUSED):
                self._told.discard(lane)
                logger.info("gangamon: %s is asked again: its credential is back", lane)


def _job(requirement: Any) -> Any:
    """As much of a job as Ganga's function reads."""
    return SimpleNamespace(backend=SimpleNamespace(credential_requirements=requirement))
