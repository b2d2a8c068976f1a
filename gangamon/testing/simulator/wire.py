"""How the simulated system is spoken to: frames of 4 bytes of length (big endian) and a body.

A request is one frame of json, ``{"op": ..., ...}``; an answer is one frame of json, ``{"error":
{"code", "text"}}`` if it did not work. The answer to a download is followed by a frame of bytes.
One request at a time on a connection.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

from gangamon.errors import BackendUnreachable

HEAD = struct.Struct(">I")

#: Longest frame accepted: the status of some million jobs.
LONGEST = 1 << 28

#: Codes of errors, as of HTTP.
BAD_REQUEST, NO_CREDENTIAL, NOT_FOUND, NOT_YET, TOO_MANY, BROKEN = 400, 401, 404, 409, 413, 500


class Refused(BackendUnreachable):
    """It answered with an error. ``code``: one of those above."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def frame(body: bytes) -> bytes:
    return HEAD.pack(len(body)) + body


class Link:
    """A connection, for as long as a ``with``. All of it must be done within ``timeout`` s.

    Raises BackendUnreachable for whatever goes wrong on the way, and Refused for an error.
    """

    def __init__(self, endpoint: str, timeout: float) -> None:
        self._endpoint = endpoint
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def __enter__(self) -> Link:
        try:
            if self._endpoint.startswith("unix:"):
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.settimeout(self._left())
                self._socket.connect(self._endpoint.removeprefix("unix:"))
            else:
                host, _, port = self._endpoint.rpartition(":")
                if not host or not port.isdecimal():
                    raise self._failed("is no endpoint; accepted: unix:/PATH or HOST:PORT")
                self._socket = socket.create_connection((host, int(port)), self._left())
        except (OSError, OverflowError) as error:
            self.__exit__()
            raise self._failed(_why(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(self, op: str, **fields: Any) -> dict[str, Any]:
        """Ask one thing; the answer's json object."""
        assert self._socket is not None
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(frame(json.dumps({"op": op, **fields}).encode()))
        except OSError as error:
            raise self._failed(_why(error)) from error
        try:
            answer = json.loads(self.body())
        except ValueError as error:
            raise self._failed(f"no json: {error}") from error
        if not isinstance(answer, dict):
            raise self._failed("an answer that is no object")
        if "error" in answer:
            told = answer["error"]
            raise Refused(int(told["code"]), f"{self._endpoint}: {told['code']} {told['text']}")
        return answer

    def body(self) -> bytes:
        """The next frame."""
        (length,) = HEAD.unpack(self._read(HEAD.size))
        if length > LONGEST:
            raise self._failed(f"a frame of {length} bytes")
        return bytes(self._read(length))

    def _read(self, length: int) -> bytearray:
        assert self._socket is not None
        found = bytearray()
        while len(found) < length:
            try:
                self._socket.settimeout(self._left())
                part = self._socket.recv(min(length - len(found), 1 << 20))
            except OSError as error:
                raise self._failed(_why(error)) from error
            if not part:
                raise self._failed("closed the connection")
            found += part
        return found

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._failed(f"no answer within {self._timeout:g} s")
        return left

    def _failed(self, why: str) -> BackendUnreachable:
        return BackendUnreachable(f"{self._endpoint}: {why}")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(getattr(error, "strerror", None) or error)
