"""Celery's signals: what a worker says when it starts, and how its log lines look."""

from __future__ import annotations

import gc
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from celery import signals

from workers import logs


def connect(announce: Callable[[str], None], log_format: str) -> None:
    """Install the receivers (kept alive: ``weak=False``). ``announce``: called once with the name
    of each beat and worker, when it begins. ``log_format``: of the settings."""

    def ready(sender: Any, **_: Any) -> None:
        _ready(sender)
        announce(sender.hostname)

    def began(**_: Any) -> None:
        announce(f"beat@{socket.gethostname()}:{os.getpid()}")

    def formatted(logger: logging.Logger, **_: Any) -> None:
        for handler in logger.handlers:
            handler.setFormatter(logs.formatter(log_format))
        # Two lines for each tick would bury everything else.
        for name in ("celery.worker.strategy", "celery.app.trace", "celery.beat"):
            logging.getLogger(name).setLevel(logging.WARNING)

    signals.after_setup_logger.connect(formatted, weak=False)
    signals.after_setup_task_logger.connect(formatted, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    signals.beat_init.connect(began, weak=False)


def _ready(sender: Any) -> None:
    # What is loaded by now stays; a poll makes and drops tens of thousands of objects, none of them
    # in a cycle. With Python's thresholds a fifth of its time goes into looking for one.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    logging.getLogger(__name__).info("ready: %s", sender.hostname)
