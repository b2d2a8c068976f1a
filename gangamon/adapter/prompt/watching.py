"""``monitor.watch``: look, draw, sleep, until the job is over or the user has seen enough."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future

from GangaCore.Core.exceptions import GangaValueError

from gangamon.adapter.prompt.bar import Bar
from gangamon.adapter.prompt.figures import Figures, Rate
from gangamon.adapter.prompt.survey import ahead
from gangamon.errors import GangamonError
from gangamon.protocols import Master

#: Seconds between two looks at the session's jobs; between two questions to the service.
LOOK, ASK = 0.5, 2.0


class _Service:
    """The service's view, asked for now and then; nobody waits for it."""

    def __init__(self, ask: Callable[[], Future[Master | None] | None]) -> None:
        self._ask, self._ask_at = ask, 0.0
        self._asked: Future[Master | None] | None = None
        self._known: Master | None = None

    def newest(self) -> Master | None:
        if self._asked is not None and self._asked.done():
            try:
                self._known = self._asked.result()
            except GangamonError:
                self._known = None
            self._asked = None
        if self._asked is None and time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + ASK
            self._asked = self._ask()
        return self._known


def watch(
    look: Callable[[], Figures],
    ask: Callable[[], Future[Master | None] | None],
    first: str,
    timeout: float | None,
) -> bool:
    """Whether the job is over. ``look``: its figures, GangaValueError if it is gone; ``ask``: for
    its record at the service, without waiting; ``first``: a line to begin with.

    A KeyboardInterrupt, wherever it comes, ends this and nothing else: no lock of Ganga is held,
    and the adapter's thread does not take part."""
    begun, rate = time.monotonic(), Rate()
    bar, service = Bar(sys.stdout), _Service(ask)
    try:
        if first:
            sys.stdout.write(first + "\n")
        while True:
            figures = look()
            now = time.monotonic()
            rate.note(now, figures.done)
            bar.show(figures, rate, ahead(figures, service.newest()))
            if figures.over:
                return True
            left = LOOK if timeout is None else min(LOOK, begun + timeout - now)
            if left <= 0:
                return False
            time.sleep(left)
    except GangaValueError:
        bar.close()
        sys.stdout.write("the job is gone\n")
        return False
    except KeyboardInterrupt:
        return False
    finally:
        bar.close()
