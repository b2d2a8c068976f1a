"""``python -m benchmarks.torture.client FOLDER``: a session that may be killed at any moment.

As the adapter does it: it submits what its own record says was not acknowledged, follows the
update stream, applies what is newer by (attempt, restart, rank), and remembers how far it has
read. What it applied and where it stands is one line of its log, so both are there or neither.

Each line: ``{"p": position, "t": time, "e": [[epoch, at, master, jobs, ack, final], ...]}``; jobs
are [sub, attempt, restart, status, ended at].
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.torture import plan as plans
from gangamon import settings
from gangamon.client import Ack, Client, Follower, JobUpdate, MasterFinal, Update
from gangamon.domain.command import Command
from gangamon.domain.job import Version
from gangamon.domain.status import RANK, JobStatus
from gangamon.errors import StoreUnavailable

LOG = "applied.jsonl"
PLAN = "plan.json"

#: Batches submitted in one go.
AT_ONCE = 50


@dataclass(frozen=True)
class Line:
    """``at``: when these updates were applied, seconds since the epoch."""

    position: str
    at: float
    updates: tuple[Update, ...]


class Log:
    """Reads on where it stopped; a line that a kill has cut off is none."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG
        self.offset = 0

    def read(self) -> Iterator[Line]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.offset += len(line)
                found = json.loads(line)
                yield Line(found["p"], found["t"], tuple(_update(e) for e in found["e"]))


class Applied:
    """What the session holds: the newest version of each job, and the ends of the masters.
    ``dropped``: updates that were not newer."""

    def __init__(self) -> None:
        self.versions: dict[tuple[int, int], Version] = {}
        self.statuses: dict[tuple[int, int], JobStatus] = {}
        self.acks: dict[str, Ack] = {}
        self.finals: dict[tuple[str, int, int], MasterFinal] = {}
        self.applied = 0
        self.dropped = 0

    def take(self, update: Update) -> None:
        if update.ack is not None:
            self.acks[update.ack.command_id] = update.ack
        if update.final is not None:
            self.finals[update.epoch, update.master, update.final.attempt] = update.final
        for job in update.jobs:
            key = (update.master, job.sub)
            version = Version(job.attempt, job.restart, RANK[job.status])
            if key in self.versions and version <= self.versions[key]:
                self.dropped += 1
                continue
            self.versions[key], self.statuses[key] = version, job.status
            self.applied += 1


class Session:
    def __init__(self, folder: Path) -> None:
        self.plan = plans.read(folder / PLAN)
        self.applied = Applied()
        log, position = Log(folder), "0"
        for line in log.read():
            position = line.position
            for update in line.updates:
                self.applied.take(update)
        self._log = os.open(log.path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._log, log.offset)
        os.lseek(self._log, 0, os.SEEK_END)
        self._client = Client(settings.load(), folder / "spool")
        self._follower = Follower(self._client, self.plan.repository, position)
        commands: list[tuple[float, Command]] = [(0.0, self.plan.register())]
        commands += self.plan.commands()
        self._waiting = [(at, c) for at, c in commands if c.id not in self.applied.acks]

    def run(self) -> None:
        while True:
            now = time.time() - self.plan.t0
            due = [c for at, c in self._waiting[:AT_ONCE] if at <= now]
            for command in due:
                self._client.submit(command)
            self._waiting = self._waiting[len(due) :]
            try:
                self._client.flush()
                self._note(self._follower.read(block=0.2, count=500))
            except StoreUnavailable:
                time.sleep(0.1)  # as the adapter waits before it asks again

    def _note(self, updates: list[Update]) -> None:
        if not updates:
            return
        for update in updates:
            self.applied.take(update)
        entries = [_entry(update) for update in updates]
        line = {"p": self._follower.position, "t": time.time(), "e": entries}
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(self._log, data) :]


def _entry(update: Update) -> list[Any]:
    ack, final = update.ack, update.final
    return [
        update.epoch,
        update.at,
        update.master,
        [[j.sub, j.attempt, j.restart, j.status.value, j.ended_at] for j in update.jobs],
        [ack.command_id, ack.ok, ack.reason] if ack else None,
        [final.attempt, final.status.value, final.results] if final else None,
    ]


def _update(entry: list[Any]) -> Update:
    epoch, at, master, jobs, ack, final = entry
    return Update(
        epoch,
        at,
        master,
        tuple(JobUpdate(s, a, r, JobStatus(status), {}, end) for s, a, r, status, end in jobs),
        Ack(*ack) if ack else None,
        MasterFinal(final[0], JobStatus(final[1]), final[2]) if final else None,
    )


if __name__ == "__main__":
    session = Session(Path(sys.argv[1]))
    sys.stdout.write("ready: client\n")
    sys.stdout.flush()
    session.run()
