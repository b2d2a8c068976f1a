"""Celery's app of the workers, whose stages kill their own process with -9 now and then.

``GM_DEATHS`` names a directory; a death of a stage takes one of the files ``STAGE-0``, ``STAGE-1``,
... that lie there, so that there are as many as were planned; ``GM_SHARE`` of the calls for a
subjob do.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gangamon.fetchers.local import LocalFetcher
from gangamon.postprocess.mail import Notifier
from gangamon.postprocess.search import FileChecker
from gangamon.postprocess.text import TextMerger
from workers.app import app as app

_PLACE, _SHARE = Path(os.environ["GM_DEATHS"]), float(os.environ["GM_SHARE"])

#: stage -> (whose method is in it, its name, the share of calls that die, seconds from the call's
#: begin within which they do: some in the stage, some in its commit).
STAGES: dict[str, tuple[Any, str, float, float]] = {
    "fetch": (LocalFetcher, "fetch", _SHARE, 0.01),
    "check": (FileChecker, "check", _SHARE, 0.004),
    "grow": (TextMerger, "grow", 0.5, 0.05),
    "merge": (TextMerger, "run", 1.0, 0.05),
    "notify": (Notifier, "tell", _SHARE, 0.02),
}


def _deadly(stage: str) -> None:
    owner, name, share, within = STAGES[stage]
    stock: Callable[..., Any] = getattr(owner, name)

    def call(*given: Any) -> Any:
        if random.random() < share and _granted(stage):
            wait = random.uniform(0.0, within)
            threading.Thread(target=_die, args=(wait,), daemon=True).start()
        return stock(*given)

    setattr(owner, name, call)


def _granted(stage: str) -> bool:
    for path in _PLACE.glob(f"{stage}-*"):
        try:
            path.unlink()
        except FileNotFoundError:
            continue  # another has just died of it
        return True
    return False


def _die(wait: float) -> None:
    time.sleep(wait)
    os.kill(os.getpid(), signal.SIGKILL)


for _stage in STAGES:
    _deadly(_stage)
