"""Celery's queues: who works on what."""

from __future__ import annotations

from gangamon.client import Client

TICK = "tick"


def poll_queues() -> list[str]:
    """One queue for each kind of backend, so that one that hangs holds up no other."""
    return [f"poll.{name}" for name in Client.backends()]


def transfer_queue(owner: str) -> str:
    """Worked by processes of the owner: files are theirs."""
    return f"transfer.{owner}"


def merge_queue(owner: str) -> str:
    return f"merge.{owner}"
