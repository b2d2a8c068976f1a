"""Keeps the leases of the claims that this process works on, however long the work takes."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gangamon.errors import TransientError
from gangamon.protocols import JobStore

log = logging.getLogger(__name__)


class LeaseKeeper:
    """One thread per process renews all leases in hand, three times per lease.

    If the process dies the leases run out, and ``rescue`` gives the work to another.
    """

    def __init__(self, store: JobStore, lease: float) -> None:
        self.lease = lease
        self._store = store
        self._tokens: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._pid = 0

    @contextmanager
    def hold(self, token: str) -> Iterator[None]:
        with self._lock:
            if self._pid != os.getpid():  # first use, or a forked child: threads do not fork
                self._pid = os.getpid()
                self._tokens = set()
                threading.Thread(target=self._run, name="leases", daemon=True).start()
            self._tokens.add(token)
        try:
            yield
        finally:
            with self._lock:
                self._tokens.discard(token)

    def _run(self) -> None:
        while not self._wake.wait(self.lease / 3):
            with self._lock:
                tokens = list(self._tokens)
            if tokens:
                try:
                    self._store.renew(tokens, self.lease)
                except TransientError as error:
                    log.warning("leases not renewed: %s", error)
