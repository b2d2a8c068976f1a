"""The JobStore over Redis: every write is one Lua verb."""

from __future__ import annotations

from gangamon.store.claims import Claims
from gangamon.store.commits import Commits
from gangamon.store.dead import Dead
from gangamon.store.growth import Growth
from gangamon.store.intake import Intake
from gangamon.store.lanes import Lanes
from gangamon.store.processes import Processes


class RedisStore(Intake, Claims, Commits, Lanes, Growth, Dead, Processes):
    """See ``protocols.JobStore``. One per process; safe between threads and across forks."""
