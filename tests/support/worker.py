"""The service as processes: Celery workers and beat, to be killed and started again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil
from celery import Celery

from gangamon import redis_url, settings
from gangamon.client import Client
from gangamon.store.redis import RedisStore
from tests.support.local_jobs import ROOT
from tests.support.redis import PrivateRedis
from tests.support.sentinel import Sentries
from tests.support.waiting import tail, until

OWNER = "alice"
LEASE = 3.0
WORKERS = ("tick", "poll", "transfer", "merge")

#: Queues, pool and size of each kind of worker, as `gangamon up` runs them, but smaller. A second
#: one of a kind has a ``-`` in its name: ``poll-2``.
KINDS = {
    "tick": ("tick", "threads", 2),
    "poll": ("poll.Local,poll.Simulated", "threads", 4),
    "transfer": (f"transfer.{OWNER}", "threads", 4),
    "merge": (f"merge.{OWNER}", "prefork", 1),
}


class Service:
    """Redis and the processes below one folder. ``app``: the module that celery loads. ``url``:
    where the processes find Redis, if not at its own socket. ``more``: GANGAMON_ variables.
    ``redis``: to be used in the place of a private one; ended with the service."""

    def __init__(
        self,
        folder: Path,
        app: str = "workers.app",
        url: str = "",
        more: Mapping[str, str] | None = None,
        redis: Sentries | PrivateRedis | None = None,
    ) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.data = folder / "data"
        for path in (self.state, self.data, folder / "logs", folder / "redis"):
            path.mkdir(parents=True, exist_ok=True)
        self.redis = redis if redis is not None else PrivateRedis(folder / "redis")
        self.url = url or self.redis.url
        self._app = app
        self._more = dict(more or {})
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._all: list[psutil.Process] = []
        self._messages: Celery | None = None
        #: Names of what has ended by itself.
        self.ended: list[str] = []
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    # --- processes --------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start workers and wait until they are ready; beats are named ``beat...``."""
        seen = {name: self._log(name).stat().st_size for name in names if self._log(name).exists()}
        for name in names:
            with self._lock:
                self._launch(name)
        for name in names:
            if not name.startswith("beat"):  # it says nothing; its ticks will
                until(
                    lambda name=name: "ready: " in self.said(name, seen.get(name, 0)),
                    120,
                    f"{name} is ready",
                    lambda name=name: tail(self._log(name)),
                )

    def supervise(self) -> None:
        """From now on start again what ends by itself, as `gangamon up` does: Celery's workers
        end when Redis goes away while they acknowledge a message."""
        self._supervisor.start()

    def _supervise(self) -> None:
        while not self._over.wait(0.2):
            with self._lock:
                for name, process in list(self._running.items()):
                    if process.poll() is not None:
                        self.ended.append(name)
                        self._launch(name)

    def _launch(self, name: str) -> None:
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                self._command(name), cwd=ROOT, env=self._environment(), stdout=log, stderr=log
            )
        self._all.append(psutil.Process(self._running[name].pid))

    def kill(self, name: str) -> None:
        """kill -9 of a whole tree, at once."""
        with self._lock:
            process = self._running.pop(name)
        tree = self._tree(process)
        for one in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait(60)
        psutil.wait_procs(tree, 60)

    def close(self) -> None:
        """End all of it. What it logged last is printed: pytest shows that with a failure."""
        self._over.set()
        if self._supervisor.is_alive():
            self._supervisor.join(60)
        for name in list(self._running):
            self.kill(name)
        left = [process for process in self._all if process.is_running()]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, 60)
        if self._messages is not None:
            self._messages.close()
        self.redis.close()
        for log in sorted((self.folder / "logs").iterdir()):
            print(tail(log))

    def said(self, name: str, since: int = 0) -> str:
        """What a process has logged."""
        return self._log(name).read_bytes()[since:].decode(errors="replace")

    def _tree(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        try:
            parent = psutil.Process(process.pid)
            tree = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        self._all += tree[1:]
        return tree

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _command(self, name: str) -> list[str]:
        celery = [sys.executable, "-m", "celery", "-A", self._app]
        if name.startswith("beat"):
            schedule = str(self.folder / name)
            return [*celery, "beat", "-l", "INFO", "--pidfile=", "-s", schedule]
        queues, pool, size = KINDS[name.partition("-")[0]]
        return [
            *(*celery, "worker", "-n", f"{name}@test", "-Q", queues, "--pool", pool),
            *("-c", str(size), "--without-gossip", "--without-mingle", "-l", "INFO"),
        ]

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GANGAMON_")}
        return {**kept, **self.variables()}

    # --- ways in ----------------------------------------------------------------------------

    def variables(self, state: Path | None = None) -> dict[str, str]:
        return {
            "GANGAMON_STATE_DIR": str(state or self.state),
            "GANGAMON_REDIS_URL": self.url,
            "GANGAMON_OWNER": OWNER,
            "GANGAMON_ROOTS": str(self.data),
            "GANGAMON_CONFIG": os.devnull,
            "GANGAMON_WORKERS_LEASE_SECONDS": str(LEASE),
            **self._more,
        }

    def client(self) -> Client:
        return Client(settings.load(self.variables()))

    def store(self) -> RedisStore:
        """The store itself, past any proxy."""
        return RedisStore(self.redis.url, "gm", connection=self.redis.connection())

    def messages(self) -> Celery:
        """To send messages by hand."""
        if self._messages is None:
            url = redis_url.parse(self.redis.url).broker()
            self._messages = Celery("by-hand", broker=url, set_as_current=False)
            self._messages.conf.update(
                task_ignore_result=True,
                broker_transport_options={"global_keyprefix": "gm:celery:"},
            )
        return self._messages

    def tick(self) -> None:
        """One tick's message."""
        self.messages().send_task("gangamon.tick", queue="tick", ignore_result=True)
