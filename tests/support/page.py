"""The job page over a real Redis, with jobs that move when a test says so."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import ssl
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gangamon import settings
from gangamon.client import Client
from gangamon.domain.command import Register
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Fetched, Observation
from gangamon.domain.transition import AbsencePolicy, advance
from gangamon.protocols import Change, Master
from gangamon.store.redis import RedisStore
from gangamon.web.app import create_app
from gangamon.web.auth import Gate
from gangamon.web.serve import listen, server, url_of
from tests.support.commands import OWNER, REPOSITORY, enqueue, spec, the_master
from tests.support.redis import PrivateRedis
from tests.support.rig import Rig
from tests.support.waiting import until

LANE = Lane("Slurm", "cluster.example.org")
BATCH = 100


def move(store: RedisStore, master: Master, seen: Mapping[int, Observation]) -> None:
    """Commit what was seen of some subjobs, as the owner's own word: that needs no claim."""
    jobs = store.jobs(master, list(seen))
    now = time.time()
    changes = [
        Change(sub, jobs[sub], advance(jobs[sub], what, AbsencePolicy(), now))
        for sub, what in seen.items()
    ]
    done = store.commit("", uuid.uuid4().hex, master, changes, None)
    assert done.refused == 0


class Answer:
    """``body``: text, unpacked."""

    def __init__(self, found: http.client.HTTPResponse) -> None:
        self.status, self.headers = found.status, found.headers
        body = found.read()
        packed = self.headers.get("Content-Encoding") == "gzip"
        self.body = (gzip.decompress(body) if packed else body).decode()

    def json(self) -> Any:
        return json.loads(self.body)


def ask_at(
    url: str,
    path: str,
    method: str = "GET",
    body: str = "",
    authority: Path | None = None,
    **headers: str,
) -> Answer:
    """One request; ``_`` in a header's name is ``-``. ``authority``: of an address of https."""
    where = urlsplit(url)
    host, port = str(where.hostname), where.port
    connection = http.client.HTTPConnection(host, port, timeout=60)
    if where.scheme == "https":
        context = ssl.create_default_context(cafile=str(authority))
        connection = http.client.HTTPSConnection(host, port, timeout=60, context=context)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with contextlib.closing(connection):
        connection.request(method, path, body or None, named)
        return Answer(connection.getresponse())


class World:
    """A store, and a service that takes commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis = PrivateRedis(folder)
        self.redis.start()
        self.connection = self.redis.connection()
        self.rig = Rig(folder, connection=self.connection)
        self.store = self.rig.store
        self.store.epoch()
        self.store.register(OWNER, Register("r", REPOSITORY, (str(folder),)))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def client(self) -> Client:
        environ = {
            "GANGAMON_STATE_DIR": str(self.folder / "state"),
            "GANGAMON_OWNER": OWNER,
            "GANGAMON_CONFIG": os.devnull,
            "GANGAMON_REDIS_URL": self.redis.url,
        }
        return Client(settings.load(environ))

    def master(
        self, number: int, subjobs: int, name: str = "test", attempt: int = 1, lane: Lane = LANE
    ) -> None:
        """Enqueue a master job."""
        for first in range(0, subjobs, BATCH):
            specs = [spec(n, attempt) for n in range(first, min(subjobs, first + BATCH))]
            command = enqueue(
                specs, uuid.uuid4().hex, number, subjobs, workspace=f"{self.folder}/{number}",
                lane=lane,
            )  # fmt: skip
            command = type(command)(**{**vars(command), "name": name})
            faults = self.store.enqueue(OWNER, "", command)
            assert not faults, faults

    def move(self, number: int, seen: Mapping[int, Observation]) -> None:
        """Commit what was seen of some subjobs."""
        move(self.store, the_master(self.store, number), seen)

    def finish(self, number: int, seen: Mapping[int, Observation]) -> None:
        """The same, and the outputs are brought."""
        self.move(number, seen)
        self.move(number, dict.fromkeys(seen, Fetched(True)))

    def set_aside(self, number: int, sub: int, reason: str) -> None:
        """A dead letter of a subjob."""
        queue = f"poll.{LANE}"
        found = until(lambda: self.store.claim(queue, 1000, 3600.0, 1000), 60, "all are due")
        assert found is not None
        for member in found.members:
            (batch,) = self.store.batches([member])
            if batch.master.id == number and sub in batch.jobs:
                self.store.set_aside(found.token, queue, member, batch.master, sub, reason)
            self.store.commit(found.token, member, batch.master, [], 0.05)

    def close_service(self) -> None:
        """No command is taken in any more."""
        self._ended.set()
        self._thread.join(60)

    def close(self) -> None:
        self.close_service()
        self.redis.close()

    def _serve(self) -> None:
        """What a tick does with commands."""
        while not self._ended.wait(0.02):
            self.rig.intake.run()
            self.store.note_tick()


class Page:
    """The page, listening at ``url`` (without the closing slash)."""

    def __init__(self, world: World, password: str = "", prefix: str = "") -> None:
        listening = listen("127.0.0.1", 0)
        self.url = url_of("127.0.0.1", listening.getsockname()[1]).rstrip("/")
        self.app = create_app(world.client, Gate(password), prefix)
        self._server = server(self.app, "error")
        self._thread = threading.Thread(target=self._server.run, args=([listening],), daemon=True)
        self._thread.start()
        until(lambda: self._server.started, 120, "the page listens")

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(60)
