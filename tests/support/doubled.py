"""The Celery application with every message sent twice, and an older one once more."""

from __future__ import annotations

from gangamon.dispatch import CeleryQueue
from gangamon.protocols import Claim
from workers.app import app

__all__ = ["app"]

_send = CeleryQueue.send
_sent: list[Claim] = []


def _twice(self: CeleryQueue, claim: Claim) -> None:
    _send(self, claim)
    _send(self, claim)
    _sent.append(claim)
    if len(_sent) > 5:
        _send(self, _sent.pop(0))


CeleryQueue.send = _twice  # type: ignore[method-assign]
app.conf.beat_schedule["tick-again"] = dict(app.conf.beat_schedule["tick"])
