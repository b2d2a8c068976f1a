"""The wall clock."""

from __future__ import annotations

import time


class SystemClock:
    """See ``protocols.Clock``."""

    def now(self) -> float:
        return time.time()
