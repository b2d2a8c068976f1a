"""What the session knows of the master jobs that the service watches."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gangamon.domain.job import Version

#: Ganga's statuses in which a job is over, and what gangamon calls them.
ENDED = {
    "completed": "completed",
    "failed": "failed",
    "killed": "killed",
    "completed_frozen": "completed",
    "failed_frozen": "failed",
}

#: Refused enqueues, or failed ends, after which a job is left alone.
PATIENCE = 3

#: Ganga's statuses in which a backend is asked about a job.
POLLED = ("submitted", "running")


@dataclass
class Watched:
    """A master job, or a job that was not split. Only the adapter's thread touches it.

    ``made``: when, see ``Reader.made``; None while it is not known.
    ``here``: submitted in this session, so on this host.
    ``fresh``: it was heard that this session submitted it, for the first time.
    ``resolved``: compared with the service's view in this life of the store.
    ``attempts``: sub id -> the attempt the service knows, or that was sent to it.
    ``versions``: sub id -> the newest update seen.
    ``ended``: sub id -> the attempt whose end both sides know.
    ``shown``: sub id -> the attempt whose end Ganga has shown, and that must not be shown again.
    ``pids``: sub id -> (attempt, wrapper process) last sent.
    ``counts``: subjobs by Ganga's status.
    ``look_at``: when its subjobs must be read again (monotonic time), None: no need.
    ``quiet_until``: not before that, however loudly the hooks call.
    ``finish_at``: when to ask whether it is over.
    ``missed``: updates passed by while its statuses were not to change.
    ``again``: it had ended in this session before.
    ``left``: another session had it, so what is in memory may be old.
    ``check``: the user wants it asked about at once.
    ``awaited``: the command with which the service forgets another job of its number: until that is
    acknowledged, what it says may be of the other.
    ``backend``, ``lane``, ``credential``: of its jobs; Ganga's requirement, None if there is none.
    ``sent_at``: when jobs were last handed over (monotonic time).
    """

    id: int
    here: bool
    resolved: bool
    fresh: bool = False
    made: datetime | None = None
    backend: str = ""
    lane: str = ""
    credential: Any = None
    missed: bool = False
    again: bool = False
    left: bool = False
    check: bool = False
    awaited: str = ""
    sent_at: float = -math.inf
    shown: dict[int, int] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    pids: dict[int, tuple[int, int]] = field(default_factory=dict)
    orphans: tuple[int, ...] = ()
    look_at: float | None = 0.0
    quiet_until: float = 0.0
    resolve_at: float = 0.0
    finish_at: float | None = None
    refusals: int = 0
    failures: int = 0
