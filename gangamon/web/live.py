"""One reader of the owner's updates for all viewers: it keeps the masters' rows, and tells every
viewer what has changed, a few times a second at most, in one text made once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter, OrderedDict
from threading import Event, Lock, Thread
from typing import Any

from gangamon.client import Client, Update
from gangamon.errors import GangamonError, StoreUnavailable
from gangamon.protocols import Master
from gangamon.views import jobs as views
from gangamon.views.subjobs import Subjobs
from gangamon.web.trends import Trends

log = logging.getLogger(__name__)

#: Seconds between two events: what happens meanwhile is told together.
PERIOD = 0.25

#: Seconds: between looks at what no update tells of; between signs of life.
LOOK, BEAT = 5.0, 2.0

#: Updates read of a repository by one call.
READ = 500

#: Subjobs of one master that an event names; if more have moved, viewers ask for what they show.
NAMED = 300

#: Masters whose subjobs are held, those last looked at, and of how many of them the facts.
HELD, WITH_FACTS = 16, 4

#: Events that wait for one viewer; one that is further behind begins anew.
BEHIND = 64

Key = tuple[str, int]


class Viewer:
    """Takes events as they come; None: it was too slow, and must begin anew."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, event: bytes) -> None:
        """In the loop's thread."""
        if self.events.qsize() < BEHIND:
            self.events.put_nowait(event)
        else:
            while not self.events.empty():
                self.events.get_nowait()
            self.events.put_nowait(None)


class Live:
    """``rows``: each master's record as it was last read. ``away``: why the store cannot be asked,
    '' while it can."""

    def __init__(self, client: Client) -> None:
        self.away = "not asked yet"
        #: How many changes were told: by it a page knows whether it missed one before it followed.
        self.told = 0
        self.trends = Trends()
        self._client = client
        self._lock = Lock()
        self._rows: dict[Key, dict[str, Any]] = {}
        self._sums: Counter[str] = Counter()
        self._held: OrderedDict[Key, Subjobs] = OrderedDict()
        self._viewers: set[Viewer] = set()
        self._positions: dict[str, str] = {}
        self._epoch = ""
        self._relist: set[str] = set()
        self._look_at = self._beat_at = 0.0
        self._ended = Event()
        self.ready = Event()
        self._thread = Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join(10)

    # --- for the viewers --------------------------------------------------------------------

    def join(self, viewer: Viewer) -> None:
        with self._lock:
            self._viewers.add(viewer)

    def leave(self, viewer: Viewer) -> None:
        with self._lock:
            self._viewers.discard(viewer)

    def viewers(self) -> int:
        with self._lock:
            return len(self._viewers)

    def rows(self) -> list[dict[str, Any]]:
        """All masters, the newest of each repository first."""
        with self._lock:
            found = list(self._rows.values())
        return sorted(found, key=lambda row: (row["repository"], -row["job"]))

    def sums(self) -> dict[str, int]:
        """Subjobs by status, over all masters."""
        with self._lock:
            return {status: n for status, n in self._sums.items() if n > 0}

    def subjobs(self, repository: str, number: int) -> Subjobs | None:
        """Those of a master, as they are now; None: not known. Raises StoreUnavailable."""
        master = self._client.master(repository, number)
        return None if master is None else self.subjobs_of(master)

    def subjobs_of(self, master: Master) -> Subjobs:
        """The same of its record as it was just read."""
        key = (master.repository, master.id)
        with self._lock:
            # Before its states are read: it is told of what happens meanwhile.
            held = self._held.setdefault(key, Subjobs(self._client, master))
            self._held.move_to_end(key)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
            others = list(self._held.values())[:-WITH_FACTS]
        for other in others:
            other.forget_facts()
        held.refresh(master)
        return held

    # --- the reader -------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._begin()
                while not self._ended.is_set():
                    self._step()
            except StoreUnavailable as error:
                self._lost(str(error))
            except GangamonError as error:
                log.error("updates cannot be read: %s", error)
                self._lost(str(error))
            self._ended.wait(1.0)

    def _lost(self, why: str) -> None:
        self.away = why
        self._tell({"away": why})

    def _begin(self) -> None:
        """From where to read is asked first: what happens meanwhile is then told twice."""
        self._epoch = self._client.epoch()
        self._positions = {}
        with self._lock:
            self._rows, self._sums = {}, Counter()
            self._held.clear()
        self._look()
        self.away = ""
        self.ready.set()
        self._tell({"again": True})

    def _look(self) -> None:
        """What no update tells of: repositories and masters that came or went."""
        self._look_at = time.monotonic() + LOOK
        fresh = [r for r in self._client.repositories() if r not in self._positions]
        for repository in fresh:
            self._positions[repository] = self._client.position(repository)
        self._list(set(self._positions), again=True)

    def _list(self, repositories: set[str], again: bool = False) -> None:
        """``again``: read the open ones again, too, of which the number of subjobs may have grown
        without a transition."""
        changed: list[dict[str, Any]] = []
        gone: list[Key] = []
        for repository in repositories:
            numbers = set(self._client.numbers(repository))
            with self._lock:
                known = {number for r, number in self._rows if r == repository}
                wanted = numbers - known
                if again:
                    open_ones = (
                        n for n in numbers & known if not self._rows[repository, n]["ended"]
                    )
                    wanted |= set(open_ones)
            changed += self._renew(repository, sorted(wanted))
            gone += [(repository, number) for number in known - numbers]
        with self._lock:
            for key in gone:
                self._sums.subtract(self._rows.pop(key)["subjobs"])
                self._held.pop(key, None)
        if changed or gone:
            self._tell({"masters": changed, "gone": gone, "sums": self.sums()})

    def _renew(self, repository: str, numbers: list[int]) -> list[dict[str, Any]]:
        """Read records again; those rows that are other than they were."""
        changed = []
        for master in self._client.records(repository, numbers):
            row = _row(master)
            with self._lock:
                old = self._rows.get((repository, master.id))
                if old == row:
                    continue
                if old is not None:
                    self._sums.subtract(old["subjobs"])
                self._sums.update(row["subjobs"])
                self._rows[repository, master.id] = row
            changed.append(row)
        return changed

    def _step(self) -> None:
        if self._positions:
            wait = max(0.01, min(1.0, self._beat_at - time.monotonic()))
            news = self._client.news(self._positions, wait, READ)
        else:
            news = {}
            self._ended.wait(1.0)
        if news:
            self._take(news)
        now = time.monotonic()
        if now >= self._look_at:
            if self._client.epoch() != self._epoch:
                self._begin()
            self._look()
        elif self._relist:
            relist, self._relist = self._relist, set()
            self._list(relist)
        if now >= self._beat_at:
            self._beat_at = now + BEAT
            self._beat()
        if news:
            self._ended.wait(PERIOD)

    def _take(self, news: Any) -> None:
        """Updates of some repositories: to those that hold subjobs, then to the viewers."""
        moved: dict[Key, dict[int, str]] = {}
        finals: set[Key] = set()
        for repository, entries in news.items():
            for position, update in entries:
                self._positions[repository] = position
                if update.epoch != self._epoch and update.ack is None:
                    continue
                if update.ack is not None:
                    self._relist.add(repository)
                elif update.final is not None:
                    finals.add((repository, update.master))
                else:
                    self._note(repository, update, moved)
        changed = []
        for repository in news:
            numbers = {n for r, n in (*moved, *finals) if r == repository}
            changed += self._renew(repository, sorted(numbers))
        if changed or moved:
            subs = {
                f"{repository}/{number}": jobs if len(jobs) <= NAMED else None
                for (repository, number), jobs in moved.items()
            }
            self._tell({"masters": changed, "subs": subs, "sums": self.sums()})

    def _note(self, repository: str, update: Update, moved: dict[Key, dict[int, str]]) -> None:
        key = (repository, update.master)
        with self._lock:
            held, row = self._held.get(key), self._rows.get(key)
        if held is not None:
            held.apply(update.jobs)
        mine = moved.setdefault(key, {})
        for job in update.jobs:
            mine[job.sub] = job.status.value
            self.trends.note(row["lane"] if row else "", update.at, job)

    def _beat(self) -> None:
        sums = self.sums()
        event: dict[str, Any] = {"tick_age": self._client.tick_age(), "sums": sums}
        point = self.trends.sample(time.time(), sums)
        if point is not None:
            event["point"] = point
        self._tell(event)

    def _tell(self, event: dict[str, Any]) -> None:
        if not event.keys() <= {"tick_age", "sums", "point"}:
            self.told += 1
        text = b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
        with self._lock:
            viewers = list(self._viewers)
        for loop in {viewer.loop for viewer in viewers}:
            mine = [viewer for viewer in viewers if viewer.loop is loop]
            if not loop.is_closed():
                loop.call_soon_threadsafe(_hand_out, mine, text)


def _hand_out(viewers: list[Viewer], text: bytes) -> None:
    for viewer in viewers:
        viewer.put(text)


def _row(master: Master) -> dict[str, Any]:
    row = views.as_dict(master)
    del row["results"]  # they may be long; the job's own page shows them
    return {**row, "done": views.over(master)}
