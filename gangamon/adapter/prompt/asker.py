"""Questions to the service, by a thread of their own: nobody waits longer than he wants to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from typing import Any, TypeVar

from gangamon.errors import StoreUnavailable

T = TypeVar("T")


class Asker:
    """``make``: a new client. One question at a time: behind one that hangs no other is begun.

    The client is its own: the adapter's thread and its line to the service are left alone.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._client: Any = None
        self._lock = threading.Lock()
        self._last: Future[Any] | None = None

    def ask(self, question: Callable[[Any], T], within: float) -> T:
        """What ``question(client)`` returns or raises; StoreUnavailable after ``within`` seconds.
        What it does goes on all the same."""
        deadline = time.monotonic() + within
        while True:
            asked = self.begin(question)
            if asked is not None:
                return _answer(asked, deadline, within)
            if (last := self._last) is not None:
                _settled(last, deadline, within)

    def begin(self, question: Callable[[Any], T]) -> Future[T] | None:
        """Ask and wait for nothing; None: another question is under way."""
        with self._lock:
            if self._last is not None and not self._last.done():
                return None
            self._last = future = Future[T]()
            threading.Thread(
                target=self._run, args=(question, future), name="gangamon-asks", daemon=True
            ).start()
            return future

    def _run(self, question: Callable[[Any], Any], future: Future[Any]) -> None:
        try:
            if self._client is None:
                self._client = self._make()
            answer = question(self._client)
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
            if isinstance(error, StoreUnavailable):
                self._client = None  # the service may come back elsewhere
            future.set_exception(error)
        else:
            future.set_result(answer)


def _answer(asked: Future[T], deadline: float, within: float) -> T:
    try:
        return asked.result(max(0.0, deadline - time.monotonic()))
    except NoAnswer:
        raise StoreUnavailable(f"no answer within {within:g} s") from None


def _settled(last: Future[Any], deadline: float, within: float) -> None:
    """Returns when an earlier question is over, however it went."""
    try:
        last.exception(max(0.0, deadline - time.monotonic()))
    except NoAnswer:
        raise StoreUnavailable(f"no answer within {within:g} s, nor before") from None
