"""Whatever is done about one job: by the session that owns it, and so that it stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable

from GangaCore.Utility.logging import getLogger

from gangamon.adapter.watch.ownership import Ownership
from gangamon.adapter.watch.reader import Gone, Locked, Reader
from gangamon.adapter.watch.roster import Roster
from gangamon.adapter.watch.watched import PATIENCE, Watched
from gangamon.errors import BadInput, DiskFull, StoreUnavailable

logger = getLogger("gangamon")

#: Seconds until a job that another session owns, or whose end failed, is tried again.
RETRY = 30.0

#: The same for one that is owned by another session, for some time after the start: it may be one
#: that was killed, and Ganga lets its jobs go after [Configuration]DiskIOTimeout (45 s).
RETRY_LOCKED, BEGINNING = 5.0, 120.0


class Guard:
    """Called with a master and what is to be done about it."""

    def __init__(self, reader: Reader, roster: Roster, ownership: Ownership) -> None:
        self._reader, self._roster, self._ownership = reader, roster, ownership
        self._told_locked = False
        self._begun = time.monotonic()

    def __call__(self, watched: Watched, act: Callable[[Watched], None]) -> None:
        """Raises StoreUnavailable only: that is nobody's fault in particular."""
        try:
            if not self._ownership.take(watched.id):
                raise Locked(f"job {watched.id} is another session's")
            if watched.left:
                self._reader.reload(watched.id)
                watched.left = False
            act(watched)
        except Locked as error:
            if not self._told_locked:
                self._told_locked = True
                logger.warning(
                    "gangamon: %s; its status is changed there, and read here when that session "
                    "ends (others like it are not told)",
                    error,
                )
            now = time.monotonic()
            wait = RETRY_LOCKED if now - self._begun < BEGINNING else RETRY
            if watched.fresh and not watched.attempts:
                # What the service knows under its number is another job.
                watched.look_at = now + wait
            else:
                watched.resolved, watched.resolve_at = False, now + wait
            watched.left = True
        except Gone:
            self._roster.drop(watched)
        except BadInput as error:
            logger.warning("gangamon: job %s is not monitored: %s", watched.id, error)
            watched.refusals = PATIENCE
        except StoreUnavailable:
            raise
        except DiskFull as error:
            logger.error("gangamon: %s", error)
            watched.look_at = time.monotonic() + RETRY
        except Exception as error:  # noqa: BLE001 - user code runs in Ganga's transitions
            self._failed(watched, error)

    def _failed(self, watched: Watched, error: Exception) -> None:
        logger.error("job %s: %s", watched.id, error)
        watched.failures += 1
        if watched.failures < PATIENCE:
            watched.finish_at = watched.look_at = time.monotonic() + RETRY
