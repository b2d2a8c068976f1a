"""The line to the service: spool always, Redis when it is there. It never waits for long."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gangamon.adapter.service import collecting
from gangamon.domain.command import Command, Register
from gangamon.errors import StoreUnavailable

#: Seconds between two attempts to reach the service: first, and at most.
RETRY_FIRST, RETRY_MOST = 0.5, 5.0

#: Seconds between two flushes while commands are not yet acknowledged.
FLUSH_INTERVAL = 0.3


class Link:
    """Commands into the spool, updates out of the stream, and the state of the connection.

    ``make``: a new client; called again for each attempt to connect, since the service may have
    come back elsewhere. ``tell``: (up, seconds away) once when away for ``notice`` seconds, once
    when back. ``rates``: the poll intervals that the user wishes, of the backends given.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        repository: str,
        roots: Sequence[str],
        tell: Callable[[bool, float], None],
        notice: float,
        rates: Callable[[Sequence[str]], Mapping[str, float]] | None = None,
    ) -> None:
        self.repository = repository
        self.up = False
        self.epoch = ""
        self._make, self._tell, self._notice = make, tell, notice
        self._client = make()
        self._roots, self._rates = tuple(roots), rates
        self._follower: Any = None
        self._away_since = time.monotonic()
        self._told_away = False
        self._wait, self._retry_at = RETRY_FIRST, 0.0
        self._pending = True
        self._flush_at = 0.0
        self._backends: tuple[str, ...] | None = None
        self._registered = False

    # --- commands ---------------------------------------------------------------------------

    def submit(self, command: Command) -> str:
        """Into the spool. BadInput if the command is wrong; the service need not be there."""
        if not self._registered and not isinstance(command, Register):
            self.register()
        self.look()
        identifier: str = self._client.submit(command)
        return identifier

    def register(self) -> None:
        """Once per session and life of the store, before whatever is said of the repository."""
        self._registered = True
        rates = self._rates(self.backends()) if self._rates is not None else {}
        self.submit(Register(new_id(), self.repository, self._roots, rates))

    def look(self) -> None:
        """Something else of this session has put commands into the spool."""
        self._pending, self._flush_at = True, 0.0

    def client(self) -> Any:
        """A client of its own for whoever else of this session has questions."""
        return self._make()

    def pending(self) -> int:
        """Commands in the spool that are not known to be taken in."""
        return int(self._client.pending())

    def backends(self) -> tuple[str, ...]:
        """Names of the backends that gangamon has a plugin for."""
        if self._backends is None:
            self._backends = tuple(self._client.backends())
        return self._backends

    @property
    def settled(self) -> bool:
        """Whether every command of this spool has been taken in, earlier sessions' included."""
        return not self._pending

    # --- the service ------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether the service can be talked to now; tries to reach it when the time has come."""
        if not self.up:
            self._connect()
        return self.up

    def _connect(self) -> None:
        now = time.monotonic()
        if now >= self._retry_at:
            try:
                client = self._make()
                epoch = client.epoch()
                if not epoch:
                    raise StoreUnavailable("the service has not begun")
                follower = client.follow(self.repository, self._position(epoch))
            except StoreUnavailable:
                self._retry_at = time.monotonic() + self._wait
                self._wait = min(RETRY_MOST, 2 * self._wait)
            else:
                self._client, self._follower = client, follower
                self.epoch, self.up = epoch, True
                self._wait, self._pending, self._flush_at = RETRY_FIRST, True, 0.0
                if self._told_away:
                    self._tell(True, now - self._away_since)
                    self._told_away = False
                return
        if not self._told_away and now - self._away_since >= self._notice:
            self._told_away = True
            self._tell(False, now - self._away_since)

    def _position(self, epoch: str) -> str:
        if self._follower is None or epoch != self.epoch:
            return "$"
        position: str = self._follower.position
        return position

    def lost(self) -> None:
        """The service did not answer."""
        if self.up:
            self.up = False
            self._away_since = time.monotonic()
            self._retry_at = self._away_since + self._wait

    def moved_on(self) -> bool:
        """Whether the store has begun another life; if so, connect anew. StoreUnavailable."""
        if self._client.epoch() == self.epoch:
            return False
        self.lost()
        self._retry_at = 0.0
        return True

    def flush(self) -> None:
        """Send what waits in the spool. Raises StoreUnavailable."""
        now = time.monotonic()
        if self._pending and now >= self._flush_at:
            self._pending = self._client.flush() > 0
            self._flush_at = now + FLUSH_INTERVAL

    def read(self, block: float) -> list[Any]:
        """The next updates, oldest first. Raises StoreUnavailable."""
        updates: list[Any] = self._follower.read(block)
        return updates

    def missed(self) -> bool:
        """Whether updates were trimmed before they were read, since the last question."""
        missed: bool = self._follower.missed
        self._follower.missed = False
        return missed

    def paused(self, lane: str) -> str:
        """Why nothing is asked in a lane; '' if it is asked. Raises StoreUnavailable."""
        record = self._client.lane(lane)
        return str(record.paused)

    def unfinished(self) -> list[int]:
        """The masters that the service holds and has not ended. Raises StoreUnavailable."""
        masters = self._client.masters(self.repository)
        return [m.id for m in masters if m.phase != "done" and self.ours(m)]

    def ours(self, record: Any) -> bool:
        """Whether a master's record is of this gangadir, and not of one that it is a copy of."""
        return self._roots[0] in record.roots

    def snapshot(self, master: int) -> Any:
        """The service's view of a master; None: unknown to it. Raises StoreUnavailable."""
        with collecting.paused():
            return self._client.snapshot(self.repository, master)

    def job(self, master: int, sub: int) -> Any:
        """One job with its evidence; None: unknown to the service. Raises StoreUnavailable."""
        return self._client.job(self.repository, master, sub)


def new_id() -> str:
    return uuid.uuid4().hex
