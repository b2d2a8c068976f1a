"""What a test does beside its main thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def beside(act: Callable[[], object]) -> Iterator[None]:
    """``act`` in a thread meanwhile. Its error comes first: it may be the cause of ours."""
    with ThreadPoolExecutor(1) as pool:
        acted = pool.submit(act)
        try:
            yield
        finally:
            acted.result()
