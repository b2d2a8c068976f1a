"""Celery's signals: what a worker says when it starts, and how its log lines look."""

from __future__ import annotations

import logging
from typing import Any

from celery import signals

FORMAT = "%(asctime)s %(levelname)s %(processName)s %(name)s: %(message)s"


def connect() -> None:
    """Install the receivers (kept alive: ``weak=False``)."""
    signals.after_setup_logger.connect(_quiet, weak=False)
    signals.worker_ready.connect(_ready, weak=False)


def _quiet(logger: logging.Logger, **_: Any) -> None:
    for handler in logger.handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
    # Two lines for each tick would bury everything else.
    for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _ready(sender: Any, **_: Any) -> None:
    logging.getLogger(__name__).info("ready: %s", sender.hostname)
