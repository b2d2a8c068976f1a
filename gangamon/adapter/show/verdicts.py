"""What the service has done for the job whose final transition is being applied: what its
postprocessors said, and where its outputs were put."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """``reason`` is what Ganga would have logged. ``error``: what Ganga's own would have raised.
    ``told``: the status that a notifier has told of. ``put``: (name, location) of the files that
    an output file of the job stands for on its storage."""

    ok: bool
    reason: str = ""
    error: str = ""
    told: str = ""
    put: tuple[tuple[str, str], ...] = ()


class Verdicts(threading.local):
    """One per process. Only the thread that applies a final status ever sees a verdict."""

    def __init__(self) -> None:
        self._held: list[tuple[Any, Verdict]] = []

    @contextmanager
    def holding(self, verdicts: Sequence[tuple[Any, Verdict]]) -> Iterator[None]:
        """Give out (Ganga's postprocessor, its verdict), each once; what has none is Ganga's to
        run."""
        self._held = list(verdicts)
        try:
            yield
        finally:
            self._held = []

    def take(self, processor: Any) -> Verdict | None:
        """The verdict for this very object; None: there is none."""
        for n, (held, verdict) in enumerate(self._held):
            if held is processor:
                del self._held[n]
                return verdict
        return None


verdicts = Verdicts()

#: The classes of Ganga's postprocessors that take a verdict, by name. All others do their work
#: again in the session, and a merger fails for what it finds merged: so the service is not to.
takers: set[str] = set()
