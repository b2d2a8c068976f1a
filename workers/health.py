"""``python -m workers.health tick | worker NAME | http URL | port NUMBER``: health checks of
containers. Exit code 0: well; 1, with one line that says why: not.

- ``tick``: the last tick is recent: beat sends them, and a worker takes them.
- ``worker NAME``: Celery's worker ``NAME@HOSTNAME`` of this host answers.
"""

from __future__ import annotations

import socket
import sys
import urllib.request
from collections.abc import Callable

#: Seconds: longer than a fail-over takes, shorter than a person's patience.
LATE = 60.0
PATIENCE = 20.0


def tick() -> str:
    """What is wrong; '' if nothing."""
    from gangamon import settings
    from gangamon.client import Client

    conf = settings.load()
    age = Client(conf).tick_age()
    late = max(LATE, 10 * conf.tick_seconds)
    if age is None:
        return "there was no tick"
    return f"the last tick was {age:.0f} s ago" if age > late else ""


def worker(name: str) -> str:
    from workers.app import app

    node = f"{name}@{socket.gethostname()}"
    answers = app.control.inspect(destination=[node], timeout=PATIENCE).ping()
    return "" if answers else f"{node} does not answer"


def http(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return "" if answer.status == 200 else f"{url}: {answer.status}"


def port(number: str) -> str:
    with socket.create_connection(("127.0.0.1", int(number)), PATIENCE):
        return ""


CHECKS: dict[str, Callable[..., str]] = {"tick": tick, "worker": worker, "http": http, "port": port}


def main(arguments: list[str]) -> int:
    try:
        fault = CHECKS[arguments[0]](*arguments[1:])
    except (IndexError, KeyError, TypeError):
        sys.stderr.write(__doc__ or "")
        return 2
    except Exception as error:  # noqa: BLE001  # whatever it is, it is not well, and is said
        fault = f"{type(error).__name__}: {error}"
    if fault:
        sys.stdout.write(f"{fault}\n")
    return 1 if fault else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
