"""``python -m benchmarks page``: the job page over 100,000 subjobs, with 20 viewers.

One master job; its subjobs move all the while, 100 transitions a second, committed by the real
store. The page is a process of its own, `gangamon web`. One viewer is a real Chromium, in which
first content and the time from a commit to its row are measured; the 20 others are connections that
ask what the page's scripts ask: all follow the stream; 5 show the first subjobs, 5 those that run
(asked for again every two seconds), 5 the list of jobs, 3 the lanes, 2 the queues (every 5 and 4
seconds).
"""

from __future__ import annotations

import http.client
import json
import random
import shutil
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from benchmarks import figures
from benchmarks.support import OWNER, REPOSITORY, Service, Verdict, parser, until
from gangamon.domain.command import BATCH_SIZE, Enqueue, JobSpec, Register
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Fetched, Observation, Seen
from gangamon.domain.status import JobStatus
from gangamon.store.redis import RedisStore
from tests.support.page import move

LANE = Lane("Slurm", "cluster.example.org")
SITES = [f"node{n:03d}.example.org" for n in range(200)]
NUMBER = 42

#: Transitions a second, in commits of so many; viewers; measured updates.
RATE, COMMIT = 100, 20
VIEWERS, UPDATES = 20, 40

JOB = f"/jobs/{REPOSITORY}/{NUMBER}"
RUNNING = f"/api/v1{JOB}/subjobs?status=running"

#: What a viewer asks for again, and after how many seconds.
KINDS: list[tuple[str, float]] = [
    *[("", 0.0)] * 5, *[(RUNNING, 2.0)] * 5, *[("", 0.0)] * 5, *[("/api/v1/lanes", 5.0)] * 3,
    *[("/api/v1/queues", 4.0)] * 2,
]  # fmt: skip

#: What is opened, and what of it counts as content. The last asks nothing of the store and runs no
#: script: what is left is the browser's own time.
EMPTY = "an empty page"
SHOWN = {
    "the list of jobs": ("/", "tbody tr"),
    "one job": (JOB, "tbody tr"),
    EMPTY: ("/nowhere", "main"),
}

#: Seconds from asking until the whole page has come, without scripts and styles.
HTML = "performance.getEntriesByType('navigation')[0].responseEnd / 1000"

#: Notes, by the page's own clock, in seconds since it was asked for, the first frame that shows it.
#: Who drives the browser learns of it later: when the scripts have run, too.
PAINTED = """
  window.painted = new Promise((done) => {
    const look = () => document.querySelector("CONTENT")
      ? setTimeout(() => done(performance.now() / 1000)) : requestAnimationFrame(look);
    requestAnimationFrame(look);
  });
"""

#: Notes when the text of a subjob's row changes, in milliseconds since the epoch.
WATCH = """() => {
  window.mark = 1;
  window.changed = {};
  const note = () => {
    for (const row of document.querySelectorAll("#panel-subjobs tbody tr")) {
      const key = row.dataset.key + " " + row.querySelector(".status").textContent;
      window.changed[key] ??= Date.now();
    }
  };
  note();
  new MutationObserver(note).observe(document.querySelector("#panel-subjobs"),
    { childList: true, subtree: true });
}"""


def main(argv: list[str] | None = None) -> int:
    given = parser("page").parse_args(argv)
    subjobs, seconds = (10_000, 15.0) if given.quick else (100_000, 60.0)
    verdict = Verdict()
    with Service() as service:
        _fill(service.store, subjobs)
        page = _Served(service)
        print(f"\n{subjobs} subjobs of one job, {RATE} transitions a second, {VIEWERS} viewers\n")
        with _Moving(service.store, subjobs):
            verdict.note("CPU without viewers", page.cpu(seconds / 2), "cores")
            with _Viewers(page.url):
                busy = page.cpu(seconds)
                _browse(page.url, service.store, verdict)
            verdict.bound(f"CPU with {VIEWERS} viewers", busy, 0.10, "cores")
        verdict.note("memory of the page", page.process.memory_info().rss / 2**20, "MiB")
    return verdict.end(given.json)


def _fill(store: RedisStore, subjobs: int) -> None:
    store.epoch()
    store.register(OWNER, Register("r", REPOSITORY, ("/data",)))
    for first in range(0, subjobs, BATCH_SIZE):
        specs = [
            JobSpec(sub, 1, JobStatus.SUBMITTED, str(7_000_000 + sub), {})
            for sub in range(first, min(subjobs, first + BATCH_SIZE))
        ]
        command = Enqueue(
            uuid.uuid4().hex, REPOSITORY, NUMBER, subjobs, "bench", LANE, "/data/42", (),
            tuple(specs),
        )  # fmt: skip
        faults = store.enqueue(OWNER, "", command)
        assert not faults, faults
    for first in range(0, subjobs // 2, BATCH_SIZE):
        _move(store, {sub: _running() for sub in range(first, first + BATCH_SIZE)})


def _running() -> Seen:
    return Seen("R", JobStatus.RUNNING, "bench", site=random.choice(SITES), started_at=time.time())


def _move(store: RedisStore, seen: Mapping[int, Observation]) -> None:
    master = store.master(OWNER, REPOSITORY, NUMBER)
    assert master is not None
    move(store, master, seen)


class _Moving:
    """Subjobs run and end, at ``RATE``. Those of the first page are left alone."""

    def __init__(self, store: RedisStore, subjobs: int) -> None:
        self._store, self._subjobs = store, subjobs
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        starts, ends = self._subjobs // 2, 100
        size = COMMIT // 2
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due += 1.5 * COMMIT / RATE  # each round is three transitions of so many
            # No more than there are: then they only end.
            if starts + size < self._subjobs:
                _move(self._store, {starts + n: _running() for n in range(size)})
            done = Seen("CD", JobStatus.COMPLETED, "bench", ended_at=time.time(), exit_code=0)
            if ends + size < starts:
                _move(self._store, {ends + n: done for n in range(size)})
                _move(self._store, {ends + n: Fetched(True) for n in range(size)})
            starts, ends = starts + size, ends + size


class _Served:
    """`gangamon web`, and what it costs."""

    def __init__(self, service: Service) -> None:
        service.program("page", [sys.executable, "-m", "gangamon", "web"])
        until(lambda: "job page: " in service.said("page"), 60, "the page listens")
        line = next(x for x in service.said("page").splitlines() if x.startswith("job page: "))
        self.url = line.removeprefix("job page: ").rstrip("/")
        self.process = service.process("page")
        until(self._answers, 60, "the page answers")

    def cpu(self, seconds: float) -> float:
        """Cores that it takes, on average over so many seconds."""
        before, begun = sum(self.process.cpu_times()[:2]), time.monotonic()
        time.sleep(seconds)
        used = sum(self.process.cpu_times()[:2]) - before
        return float(used / (time.monotonic() - begun))

    def _answers(self) -> bool:
        try:
            return _get(_connect(self.url), "/healthz")[0] == 200
        except OSError:
            return False


class _Viewers:
    """Connections that do as the page's scripts do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._follow, args=kind) for kind in KINDS]
        self.whole = 0

    def __enter__(self) -> _Viewers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        assert self.whole == len(KINDS), "a viewer was lost"

    def _follow(self, path: str, every: float) -> None:
        stream = _connect(self._url)
        stream.request("GET", "/api/v1/events")
        answer = stream.getresponse()
        assert answer.status == 200
        due = time.monotonic() + random.random() * (every or 1.0)
        while not self._ended.is_set():
            line = answer.readline()
            assert line, "the stream has ended"
            if line.startswith(b"data: "):
                json.loads(line[6:])
            if path and time.monotonic() >= due:
                due = time.monotonic() + every
                # A connection that rests for five seconds has been ended, as a browser's has.
                asking = _connect(self._url)
                assert _get(asking, path)[0] == 200
                asking.close()
        stream.close()
        with self._lock:
            self.whole += 1


def _connect(url: str) -> http.client.HTTPConnection:
    where = urlsplit(url)
    return http.client.HTTPConnection(str(where.hostname), where.port, timeout=60)


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def _browse(url: str, store: RedisStore, verdict: Verdict) -> None:
    """First content, and the time from a commit to the row of what it moved."""
    from playwright.sync_api import sync_playwright

    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if binary is None:
        raise SystemExit("benchmarks page: needs chromium (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        first: dict[str, list[float]] = {what: [] for what in SHOWN}
        html: dict[str, list[float]] = {what: [] for what in SHOWN}
        tab = browser.new_context(base_url=url).new_page()
        tab.goto("/login")  # the browser itself is warm, its cache is not
        for _ in range(5):
            for what, (path, content) in SHOWN.items():
                fresh = browser.new_context(base_url=url).new_page()
                fresh.add_init_script(PAINTED.replace("CONTENT", content))
                fresh.goto(path, wait_until="commit")
                first[what].append(fresh.evaluate("() => window.painted"))
                html[what].append(fresh.evaluate(HTML))
                fresh.context.close()
        loads: list[str] = []
        tab.on("request", lambda r: loads.append(r.url) if r.is_navigation_request() else None)
        tab.goto(JOB)
        tab.wait_for_selector("html[data-live=yes]")
        tab.evaluate(WATCH)
        late = [_update(tab, store, n) for n in range(UPDATES)]
        reloads = len(loads) - 1 + (tab.evaluate("window.mark") != 1)
        browser.close()
    for what, times in first.items():
        if what != EMPTY:
            verdict.bound(f"first content, {what}, the longest of 5", max(times), 1.0, "s")
        verdict.note(f"first content, {what}, median", statistics.median(times), "s")
        verdict.note(f"its html is there, {what}, median", statistics.median(html[what]), "s")
    print(figures.line("from a commit to its row", late, "s"))
    verdict.bound("from a commit to its row, the longest", max(late), 1.0, "s")
    verdict.bound("loads of the whole page by updates", reloads, 0, "")


def _update(tab: Any, store: RedisStore, n: int) -> float:
    """Seconds until the row of a subjob of the first page shows what was committed."""
    _move(store, {n: Seen("CD", JobStatus.COMPLETED, "bench", ended_at=time.time(), exit_code=0)})
    done = 1000 * time.time()
    key = f"{n} {JobStatus.COMPLETING.value}"
    handle = tab.wait_for_function("(key) => window.changed[key]", arg=key, timeout=30_000)
    time.sleep(random.random() / 2)  # not in step with the page's own rhythm
    return max(0.0, (float(handle.json_value()) - done) / 1000)
