"""Ends are told once, before they are committed, and again with the same id if that failed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gangamon.domain.command import CheckerSpec, MergerSpec, NotifierSpec
from gangamon.domain.observation import Observation
from gangamon.domain.status import JobStatus
from gangamon.errors import LeftToSession, TransientError
from gangamon.protocols import MergeOrder
from tests.support.backend import DONE, FAILED
from tests.support.commands import OWNER, REPOSITORY, the_master
from tests.support.rig import CHECK, MERGE, NOTIFY, Rig

MAIL = (NotifierSpec("Notifier", {"address": "me@example.org"}),)
MERGERS = (MergerSpec("TextMerger", ("stdout",)),)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def run(rig: Rig, *seen: Observation, **given: Any) -> None:
    """Subjobs that end so, up to the end of their outputs."""
    for sub in range(len(seen)):
        (rig.folder / "7" / str(sub) / "output").mkdir(parents=True, exist_ok=True)
    rig.begin(len(seen), **{"notifiers": MAIL, **given})
    rig.backend.answers = [{f"7.{n}": one for n, one in enumerate(seen)}]
    rig.ask()
    rig.fetch_all()


def stages(rig: Rig) -> None:
    for queue, stage in ((MERGE, rig.merge), (CHECK, rig.check), (NOTIFY, rig.notify)):
        rig.hurry(queue)
        stage.run(rig.claim(queue).token, "w1")


def told(rig: Rig) -> list[tuple[str, str]]:
    return [(event.fqid, event.status.value) for event in rig.notifier.told]


def test_each_end_is_told_once(rig: Rig) -> None:
    """Subjobs as they end, then the master, with the counts and the reason."""
    run(rig, DONE, FAILED)
    assert sorted(told(rig)) == [("7.0", "completed"), ("7.1", "failed")]
    assert [e.reason for e in rig.notifier.told if e.fqid == "7.1"] == ["exit code 3"]
    stages(rig)
    assert told(rig)[2:] == [("7", "failed")]
    assert rig.notifier.told[-1].subjobs[JobStatus.FAILED] == 1
    (final,) = rig.updates("f")
    assert json.loads(final["notify"]) == {"ok": True, "told": False, "problems": []}
    assert len({event.id for event in rig.notifier.told}) == 3


def test_a_notifier_that_fails_holds_nobody_up(rig: Rig) -> None:
    """The end is committed, and the master's result says why nobody was told."""

    def away(event: object) -> None:
        raise TransientError("no server")

    rig.notifier.does = away
    run(rig, DONE)
    stages(rig)
    assert the_master(rig.store).status is JobStatus.COMPLETED
    (final,) = rig.updates("f")
    assert json.loads(final["notify"])["problems"] == ["Notifier: no server"]


def killed(*_: object, **__: object) -> None:
    raise SystemExit


def test_a_crash_after_a_subjob_was_told_of_tells_it_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 between the mail and the commit: at least once, and known to be the same."""
    rig.begin(1, notifiers=MAIL)
    rig.backend.answers = [{"7.0": DONE}]
    rig.ask()
    with monkeypatch.context() as patch:
        patch.setattr(rig.store, "commit", killed)
        with pytest.raises(SystemExit):
            rig.fetch_all()
    rescue(rig)
    rig.fetch_all()
    first, second = rig.notifier.told
    assert first == second
    assert rig.statuses() == [JobStatus.COMPLETED]


def test_a_crash_after_a_master_was_told_of_tells_it_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Likewise."""
    run(rig, DONE)
    for queue, stage in ((MERGE, rig.merge), (CHECK, rig.check)):
        rig.hurry(queue)
        stage.run(rig.claim(queue).token, "w1")
    rig.hurry(NOTIFY)
    with monkeypatch.context() as patch:
        token = rig.claim(NOTIFY).token
        patch.setattr(rig.store, "commit_stage", killed)
        with pytest.raises(SystemExit):
            rig.notify.run(token, "w1")
    rescue(rig)
    rig.hurry(NOTIFY)
    rig.notify.run(rig.claim(NOTIFY).token, "w2")
    _, first, second = rig.notifier.told
    assert first == second and first.fqid == "7"
    assert the_master(rig.store).status is JobStatus.COMPLETED


def rescue(rig: Rig) -> None:
    """The lease of who died is over."""
    for key in rig.redis.scan_iter("gm:*lease*"):
        if rig.redis.type(key) == "zset":
            for token in rig.redis.zrange(key, 0, -1):
                rig.redis.zadd(key, {token: 0})
    rig.store.rescue()


def test_what_the_session_decides_the_session_tells(rig: Rig) -> None:
    """A merger left to it: the master is not told of here."""

    def left(order: MergeOrder) -> None:
        raise LeftToSession("it imports GangaCore")

    rig.merger.does = left
    run(rig, DONE, mergers=MERGERS)
    stages(rig)
    assert told(rig) == [("7.0", "completed")]
    (final,) = rig.updates("f")
    assert "problems" not in json.loads(final["notify"])
    (merge,) = json.loads(final["merge"])["mergers"]
    assert merge["left"] and merge["reason"] == "it imports GangaCore"


def test_a_checker_that_fails_a_subjob_is_what_is_told(rig: Rig) -> None:
    """Not the backend's word."""
    checker = CheckerSpec("FileChecker", ("stdout",), ("x",))
    (rig.folder / "7" / "0" / "output").mkdir(parents=True)
    (rig.folder / "7" / "0" / "output" / "stdout").write_text("x\n")
    run(rig, DONE, checkers=(checker,))
    assert told(rig) == [("7.0", "failed")]


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]], list[int]]]:
    """Its address, what was posted, and the answers it gives: the last one stays."""
    posted: list[dict[str, Any]] = []
    answers = [200]

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posted.append({**body, "key": self.headers["Idempotency-Key"]})
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/secret", posted, answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


def test_the_webhook_is_posted_the_event(
    tmp_path: Path, hook: tuple[str, list[dict[str, Any]], list[int]]
) -> None:
    """With a line for a chat, and a key by which it is known if it comes twice."""
    address, posted, _ = hook
    rig = Rig(tmp_path, webhook=address)
    run(rig, DONE, DONE)
    stages(rig)
    (event,) = posted
    assert event["key"] == event["id"] == f"{REPOSITORY}:7@1"
    assert event["text"] == "Ganga job 7 test has completed (2 completed)"
    assert event["status"] == "completed" and event["subjobs"] == {"completed": 2}
    (final,) = rig.updates("f")
    assert json.loads(final["notify"])["told"] is True


def test_a_webhook_that_fails_is_told_without_its_address(
    tmp_path: Path, hook: tuple[str, list[dict[str, Any]], list[int]]
) -> None:
    """With many a chat whoever knows the address may write there."""
    address, _, answers = hook
    answers[:] = [503]
    rig = Rig(tmp_path, webhook=address)
    run(rig, DONE)
    stages(rig)
    (final,) = rig.updates("f")
    found = json.loads(final["notify"])
    assert found["told"] is False and found["reason"] == "127.0.0.1: answered 503"
    assert "secret" not in final["notify"]
    assert the_master(rig.store).status is JobStatus.COMPLETED
    assert OWNER not in found["reason"]
