"""Beat's one entry. The tick is idempotent: one or two plain beats may run side by side."""

from __future__ import annotations

from typing import Any

from workers.routing import TICK


def schedule(seconds: float) -> dict[str, Any]:
    """Celery settings. A tick that has waited three periods is stale: the next one does it."""
    return {
        "beat_scheduler": "celery.beat:Scheduler",
        "beat_max_loop_interval": max(0.05, min(seconds, 1.0)),
        "beat_schedule": {
            "tick": {
                "task": "gangamon.tick",
                "schedule": seconds,
                "options": {"queue": TICK, "expires": max(3.0, 3 * seconds)},
            }
        },
    }
