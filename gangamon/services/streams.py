"""Outputs of many jobs at once, where a fetcher can bring them at less cost than one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from gangamon.errors import PermanentError
from gangamon.protocols import Fetcher, FetchOrder, Streaming

log = logging.getLogger(__name__)

Fetchers = Callable[[str], Fetcher]


@contextmanager
def streamed(fetcher: Fetchers, orders: Iterable[FetchOrder]) -> Iterator[Fetchers]:
    """``fetcher``, for as long as one works at these orders."""
    of: dict[str, list[FetchOrder]] = {}
    for order in orders:
        of.setdefault(order.lane.backend, []).append(order)
    found: dict[str, Fetcher] = {}
    with ExitStack() as stack:
        for backend, those in of.items():
            if len(those) < 2:
                continue
            try:
                kind = fetcher(backend)
                if isinstance(kind, Streaming):
                    found[backend] = stack.enter_context(kind.stream(those))
            except PermanentError:
                pass  # it cannot be loaded: each of its jobs will say so
            except Exception:
                log.exception("fetcher %s: its stream failed; its jobs go one by one", backend)
        yield lambda backend: found.get(backend) or fetcher(backend)
