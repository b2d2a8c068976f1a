"""What the service's mergers said about the job whose final transition is now being applied."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """``reason`` is what Ganga would have logged."""

    ok: bool
    reason: str = ""


class Verdicts(threading.local):
    """One per process. Only the thread that applies a final status ever sees a verdict."""

    def __init__(self) -> None:
        self._job: Any = None
        self._rest: list[Verdict | None] = []

    @contextmanager
    def holding(self, job: Any, verdicts: Sequence[Verdict | None]) -> Iterator[None]:
        """Give out ``verdicts`` one by one, in the order of the job's text mergers; None: that
        merger was not gangamon's, it is Ganga's to run."""
        self._job, self._rest = job, list(verdicts)
        try:
            yield
        finally:
            self._job, self._rest = None, []

    def take(self, job: Any) -> Verdict | None:
        """The next text merger's verdict for this job; None: there is none."""
        if job is not self._job or not self._rest:
            return None
        return self._rest.pop(0)


verdicts = Verdicts()
