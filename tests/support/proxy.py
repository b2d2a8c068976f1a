"""A TCP link to a Redis on a unix socket, which can be stalled, cut, half cut and mended."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path


class Link:
    """``stall``: bytes stay where they are. ``cut``: connections are reset, new ones refused.
    ``forget``: what is sent on the present connections vanishes, both ways and for ever, and
    nobody is told; new ones work."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: set[socket.socket] = set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._forgotten: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = 0
        self._bound = self._bind()
        self.port = self._bound.getsockname()[1]
        self.mend()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def stall(self) -> None:
        self._flows.clear()

    def forget(self, lucky: Callable[[], bool] = lambda: True) -> int:
        """As a firewall that has lost some of its table, or all; of how many connections."""
        with self._lock:
            pairs = [pair for pair in self._pairs if pair[0] in self._sockets and lucky()]
            self._pairs = [pair for pair in self._pairs if pair[0] in self._sockets]
            self._forgotten.update(*pairs)
            return len(pairs)

    def cut(self) -> None:
        """All at once, with a reset, as a firewall or a reboot does it."""
        with self._lock:
            listener, self._listener = self._listener, None
            ends, self._sockets = self._sockets, set()
        if listener is not None:
            with contextlib.suppress(OSError):  # wakes the thread that accepts
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            self._bound = self._bind()  # nobody else is to have the port meanwhile
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._flows.set()

    def mend(self) -> None:
        """Bytes flow again, connections are taken again, at the same port."""
        if self._listener is None:
            listener = self._listener = self._bound
            listener.listen(100)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        self._flows.set()

    def close(self) -> None:
        self.cut()
        self._bound.close()

    def _bind(self) -> socket.socket:
        """A socket that has the port and does not listen: connections are refused."""
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.port))
        return bound

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(str(self._target))
            except OSError:
                far.close()
                near.close()
                continue
            with self._lock:
                self._sockets |= {near, far}
                self._pairs.append((near, far))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flows.wait()
                if source not in self._forgotten:
                    sink.sendall(data)
        except OSError:
            pass
        forgotten = source in self._forgotten  # then the other end does not learn of the end
        for end in (source,) if forgotten else (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._sockets.discard(end)
                self._forgotten.discard(end)
            end.close()
