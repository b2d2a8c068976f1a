"""What docs/security.md promises: each role is held to its own by a real Redis under the generated
ACL file, and what is forged, hostile or another owner's is refused."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from redis.exceptions import NoPermissionError

from gangamon.cli import main
from gangamon.domain.status import JobStatus
from gangamon.errors import BadInput, NotPermitted
from tests.integration.backends.daemons import free_ports
from tests.support.commands import REPOSITORY, enqueue
from tests.support.guarded import Guarded
from tests.support.invariants import Watch, check_end
from tests.support.local_jobs import ROOT, LocalMaster
from tests.support.page import ask_at
from tests.support.waiting import tail, until
from tests.support.worker import OWNER

#: Something that no job needs to have told, found wherever it is written.
MARK = "MARKED-CREDENTIAL-7f3a"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    found = Guarded(tmp_path_factory.mktemp("guarded"))
    try:
        found.redis.start()
        found.start("tick", "beat")
        # Who ticks notes which server this is; the others may only read it, and would ask again.
        until(lambda: found.redis.connection().get("gm:life"), 120, "a tick")
        found.start("poll", "transfer", "merge")
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def ended(service: Guarded) -> Iterator[LocalMaster]:
    """A master job of alice that has run, fetched and merged under the ACL."""
    master = LocalMaster(service.data, 1, 30, failing=frozenset({3}))
    try:
        watch = Watch(service.session(), REPOSITORY)
        master.run(spread=0.5, length=0.3)
        master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.finals(1), 120, "the master ends under the ACL")
        check_end(watch, service.store(), OWNER, master)
        yield master
    finally:
        master.close()


def test_a_job_runs_through_the_roles(service: Guarded, ended: LocalMaster) -> None:
    """Polled, fetched, merged and told, and Redis refused none of the processes anything."""
    assert refused(service) == []


_DANGEROUS = [
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("KEYS", "*"),
    ("ACL", "LIST"),
    ("SHUTDOWN", "NOSAVE"),
    ("CLIENT", "KILL", "ID", "1"),
    ("CLIENT", "LIST"),
    ("CLIENT", "PAUSE", "1"),
]
_NOBODYS = [
    ("DEL", "gm:epoch"),
    ("SET", "gm:epoch", "mine"),
    ("XADD", "gm:inbox:bob", "*", "c", "{}"),
    ("SET", "another:cell", "x"),
    *_DANGEROUS,
]
_OTHERS = [
    ("XADD", f"gm:updates:bob:{REPOSITORY}", "*", "k", "t"),
    ("HGETALL", f"gm:m:bob:{REPOSITORY}:1"),
    ("HSET", f"gm:m:bob:{REPOSITORY}:1:state", "0", "x"),
    ("XRANGE", f"gm:updates:bob:{REPOSITORY}", "-", "+"),
    *_NOBODYS,
]
_OWN = [
    ("XADD", f"gm:updates:{OWNER}:{REPOSITORY}", "*", "k", "t"),
    ("HSET", f"gm:m:{OWNER}:{REPOSITORY}:1:state", "0", "x"),
    ("ZADD", f"gm:due:fetch.{OWNER}", "0", "x"),
    ("LPUSH", f"gm:celery:transfer.{OWNER}", "x"),
    ("LPUSH", "gm:celery:tick", "x"),
    ("EVAL", "return redis.call('DEL', 'gm:epoch')", "0"),
    ("PUBLISH", "celery", "x"),
]
#: user -> what it must not do, each a command on a key of another, or one that is nobody's.
REFUSED = {
    f"gangamon-client-{OWNER}": [*_OTHERS, *_OWN],
    "gangamon-reader": [
        *(one for one in [*_OTHERS, *_OWN] if one[0] not in ("HGETALL", "XRANGE")),
        ("XADD", f"gm:inbox:{OWNER}", "*", "c", "{}"),
    ],
    "gangamon-metrics": [one for one in [*_OTHERS, *_OWN] if one[0] not in ("HGETALL", "XRANGE")],
    f"gangamon-worker-{OWNER}": [
        *_OTHERS,
        ("XADD", f"gm:inbox:{OWNER}", "*", "c", "{}"),
        ("HSET", f"gm:repo:{OWNER}:{REPOSITORY}", "roots", '["/"]'),
        ("LPUSH", "gm:celery:tick", "x"),
        ("LPUSH", "gm:celery:transfer.bob", "x"),
        ("LPUSH", f"gm:celery:transfer.{OWNER}2", "x"),
        ("HGETALL", "gm:claim:bob:0123456789abcdef"),
        ("HGETALL", "gm:claim:0123456789abcdef"),
        ("EVAL", f"return redis.call('DEL', 'gm:m:bob:{REPOSITORY}:1')", "0"),
    ],
    "gangamon-poll": [
        *_NOBODYS,
        ("ZADD", f"gm:taken:{OWNER}", "0", "x"),
        ("HSET", f"gm:repo:{OWNER}:{REPOSITORY}", "roots", '["/"]'),
        ("LPUSH", "gm:celery:tick", "x"),
    ],
    "gangamon-tick": [*_DANGEROUS, ("SET", "another:cell", "x")],
    "gangamon-flower": [*_OTHERS, *_OWN[:4], ("LPUSH", "gm:celery:tick", "x")],
    # It cuts the clients of a master off that is one no more.
    "gangamon-sentinel": [
        *(one for one in _OTHERS if one[:2] != ("CLIENT", "KILL")),
        ("GET", "gm:epoch"),
    ],
    "gangamon-replica": [*_OTHERS, ("GET", "gm:epoch")],
}


@pytest.mark.parametrize("user", sorted(REFUSED))
def test_each_role_is_refused_what_it_must_not_do(service: Guarded, user: str) -> None:
    """By Redis itself, command by command; nothing of it had an effect."""
    connection = service.connected(user)
    before = service.redis.connection().get("gm:epoch")
    for words in REFUSED[user]:
        with pytest.raises((NoPermissionError, redis.ResponseError)) as caught:
            connection.execute_command(*words)
        assert "permission" in str(caught.value), f"{words}: {caught.value}"
    assert service.redis.connection().get("gm:epoch") == before
    service.redis.connection().acl_log_reset()


class Program:
    """One of gangamon's or Celery's programs as a user of the ACL; it listens at ``port``."""

    def __init__(self, service: Guarded, user: str, words: Sequence[str], **more: str) -> None:
        self.log = service.folder / "logs" / f"{user}.log"
        environ = {**service.environment(user), **more}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=ROOT, env=environ, stdout=log, stderr=log
            )

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(60)


def test_flower_shows_tasks_as_its_role(service: Guarded, ended: LocalMaster) -> None:
    """Its workers, and the tasks of a job that runs meanwhile; refused nothing."""
    (port,) = free_ports(1)
    words = ["celery", "-A", "workers.app", "flower", f"--port={port}", "--address=127.0.0.1",
             f"--conf={ROOT / 'config' / 'flowerconfig.py'}"]  # fmt: skip
    service.redis.connection().acl_log_reset()
    flower = Program(service, "gangamon-flower", words, FLOWER_UNAUTHENTICATED_API="true")
    master = LocalMaster(service.data, 5, 10)

    def told(path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                return json.load(answer)
        except OSError:
            return None

    try:
        log = partial(tail, flower.log)
        until(lambda: told("/api/workers?refresh=1"), 120, "Flower knows the workers", log)
        watch = Watch(service.session(), REPOSITORY)
        master.run(spread=0.2, length=0.1)
        master.submit(watch.client, REPOSITORY)
        watch.until(lambda: watch.finals(5), 120, "the master ends")

        def ran() -> set[str]:
            return {task["name"] for task in (told("/api/tasks") or {}).values()}

        wanted = {"gangamon.poll", "gangamon.fetch", "gangamon.merge", "gangamon.notify"}
        until(lambda: wanted <= ran(), 120, "Flower shows them", log)
        assert {name.partition("@")[0] for name in told("/api/workers")} >= {"poll", "transfer"}
    finally:
        master.close()
        flower.close()
    assert refused(service) == []


def test_metrics_are_those_of_the_cell_as_their_role(service: Guarded, ended: LocalMaster) -> None:
    """All of `gangamon metrics`, of Redis's own too; refused nothing."""
    service.redis.connection().acl_log_reset()
    done = subprocess.run(
        [sys.executable, "-m", "gangamon", "metrics", "--once"],
        env=dict(service.environment("gangamon-metrics")),
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "\ngangamon_up 1.0\n" in done.stdout
    for name in ("gangamon_redis_info{", "gangamon_lane_jobs{", "gangamon_processes{"):
        assert f"\n{name}" in done.stdout
    assert refused(service) == []


def test_the_page_shows_all_as_the_reader(service: Guarded, ended: LocalMaster) -> None:
    """Every page of it; what it would change is refused, and it says so."""
    service.redis.connection().acl_log_reset()
    admin, lane = service.redis.connection(), ended.commands(REPOSITORY)[0].lane
    claims = {f"{OWNER}:feed": f"fetch.{OWNER}", "feed": f"poll.{lane}"}
    page = Program(service, "gangamon-reader", ["gangamon", "web"])
    try:
        said = until(
            lambda: re.search(r"^job page: (\S+)/$", page.log.read_text(), re.MULTILINE),
            120, "the page listens", partial(tail, page.log),
        )  # fmt: skip
        ask = partial(ask_at, said[1])
        until(lambda: ask("/healthz").status == 200, 120, "it answers", partial(tail, page.log))
        job = f"/jobs/{REPOSITORY}/1"
        for token, queue in claims.items():
            admin.hset(f"gm:claim:{token}", mapping={"q": queue, "by": "t@h:x 1", "left": 1})
            admin.zadd("gm:leases", {token: 1000 * (time.time() + 3600)})
        seen = {lease["queue"] for lease in ask("/api/v1/queues").json()["leases"]}
        assert set(claims.values()) <= seen
        assert {lease.queue for lease in service.session().leases(100)} == {f"fetch.{OWNER}"}
        service.redis.connection().acl_log_reset()  # of the polls' claims, to the session
        for path in ("/", job, "/lanes", "/queues", "/sites", "/trends"):
            assert ask(path).status == 200, path
        for path in ("subjobs", "subjobs/3", "causes", "sites"):
            assert ask(f"/api/v1{job}/{path}").status == 200, path
        assert ask(f"/api/v1{job}").json()["row"]["subjobs"]["failed"] == 1
        assert refused(service) == []
        told = ask("/metrics").body
        assert "\ngangamon_up 1.0\n" in told
        assert "gangamon_redis" not in told  # INFO is left to the role of the exporter
        found = re.search(r'name="token" content="([^"]+)"', ask("/").body)
        assert found is not None
        body = json.dumps({"lane": ask("/api/v1/lanes").json()[0]["lane"], "reason": "no"})
        answer = ask("/api/v1/lanes/pause", "POST", body, X_CSRF_Token=found[1],
                     Content_Type="application/json")  # fmt: skip
        assert answer.status == 403, answer.body
        assert "may not do this" in answer.json()["error"]
    finally:
        page.close()
        admin.zrem("gm:leases", *claims)
        admin.delete(*(f"gm:claim:{token}" for token in claims))
        admin.acl_log_reset()


def refused(service: Guarded) -> list[tuple[str, str, str]]:
    """What Redis has refused since the last test."""
    log = service.redis.connection().acl_log()
    return [(entry["username"], entry["reason"], entry["object"]) for entry in log]


def test_nobody_comes_in_without_a_login(service: Guarded) -> None:
    """The default user is off; a wrong password is refused."""
    path = str(service.redis.socket)  # type: ignore[union-attr]
    for login in ({}, {"username": f"gangamon-client-{OWNER}", "password": "no"}):
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=path, protocol=2, **login).ping()  # type: ignore[arg-type]
    assert Path(path).stat().st_mode & 0o777 == 0o700


def test_a_command_about_another_owners_job_is_refused(
    service: Guarded, ended: LocalMaster
) -> None:
    """bob's commands name alice's repository and job: what they reach is bob's: none."""
    bob = service.session("bob")
    stream = Watch(bob, REPOSITORY)
    bob.submit(enqueue(1, "forged", 1, workspace=str(ended.workspace)))
    stream.until(lambda: any(u.ack for u in stream.updates), 120, "an answer")
    (ack,) = [u.ack for u in stream.updates if u.ack]
    assert not ack.ok
    assert "not registered" in ack.reason
    state = service.store().master(OWNER, REPOSITORY, 1)
    assert state is not None
    assert state.status is JobStatus.FAILED
    assert service.session().snapshot(REPOSITORY, 1) is not None
    with pytest.raises(NotPermitted):
        service.session("bob").store.master(OWNER, REPOSITORY, 1)


def test_a_path_outside_of_the_roots_is_refused(service: Guarded, ended: LocalMaster) -> None:
    """Also one that comes there by a link, or by '..'."""
    watch = Watch(service.session(), REPOSITORY)
    link = service.data / "link"
    link.symlink_to("/etc")
    with pytest.raises(BadInput, match="without"):
        watch.client.submit(enqueue(1, "dots", 69, workspace=f"{service.data}/../../x"))
    for n, path in enumerate(("/etc/cron.d", str(link / "x"))):
        watch.client.submit(enqueue(1, f"outside{n}", 70 + n, workspace=path))
    wanted = {f"outside{n}" for n in range(2)}

    def answers() -> dict[str, Any]:
        return {u.ack.command_id: u.ack for u in watch.updates if u.ack}

    watch.until(lambda: wanted <= set(answers()), 120, "both answers")
    for command in wanted:
        assert not answers()[command].ok
        assert "outside the registered roots" in answers()[command].reason


@pytest.mark.parametrize(
    "arguments",
    [
        {"jobs": 1, "claim": "0123456789abcdef", "v": 1},
        {"jobs": 1, "claim": f"{OWNER}:0123456789abcdef", "v": 1},
        {"jobs": 1, "claim": "x", "v": 99},
        {"jobs": 1, "claim": "x", "v": 1, "workspace": "/etc"},
        {"jobs": 1, "claim": ["x"], "v": 1},
    ],
    ids=["poll-token", "own-token", "version", "argument", "type"],
)
def test_a_forged_task_message_has_no_effect(
    service: Guarded, ended: LocalMaster, arguments: dict[str, Any]
) -> None:
    """It names a claim that nobody made: there is nothing to do. Then a job comes through."""
    before = _jobs(service)
    for task, queue in (("fetch", f"transfer.{OWNER}"), ("poll", "poll.Local")):
        service.messages().send_task(
            f"gangamon.{task}", args=("x",), kwargs=arguments, queue=queue, ignore_result=True
        )
    until(lambda: _idle(service), 120, "the messages are done with")
    assert _jobs(service) == before


def test_a_pickle_is_not_opened(service: Guarded, tmp_path: Path) -> None:
    """A message of any other kind than json is discarded unread, and the worker goes on."""
    trace = tmp_path / "opened"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (trace,)

    with service.messages().connection_for_write() as connection:
        producer = connection.Producer()
        producer.publish(
            pickle.dumps(Bomb()),
            routing_key=f"transfer.{OWNER}",
            content_type="application/x-python-serialize",
            content_encoding="binary",
            headers={"task": "gangamon.fetch", "id": "bomb"},
        )
    until(lambda: not _waiting(service), 120, "the message is taken")
    until(
        lambda: "ContentDisallowed" in service.said("transfer"), 120, "it is refused",
        lambda: service.said("transfer")[-2000:],
    )  # fmt: skip
    assert not trace.exists()


def _idle(service: Guarded) -> bool:
    """Nothing waits for the two workers, and they have nothing in hand."""
    if _waiting(service):
        return False
    asked = service.messages().control.inspect(["transfer@test", "poll@test"], timeout=5)
    answers = [
        answer for kind in (asked.reserved(), asked.active()) for answer in (kind or {}).values()
    ]
    return len(answers) == 4 and not any(answers)


def _waiting(service: Guarded) -> int:
    connection = service.redis.connection()
    names = (f"gm:celery:transfer.{OWNER}", "gm:celery:poll.Local")
    return sum(int(connection.llen(name)) for name in names)  # type: ignore[arg-type]


def _jobs(service: Guarded) -> dict[str, str]:
    found: dict[str, str] = service.redis.connection().hgetall(f"gm:m:{OWNER}:{REPOSITORY}:1:state")  # type: ignore[assignment]
    return found


def test_no_credential_comes_into_redis_or_the_journal(
    service: Guarded, ended: LocalMaster
) -> None:
    """A proxy is named by its path. After a job that has one has come and ended, its content is in
    no key, no message, no line of the journal or of a log; nor is any password of Redis."""
    proxy = service.data / "x509up"
    proxy.write_text(f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----\n")
    proxy.chmod(0o600)
    master = LocalMaster(service.data, 2, 10)
    watch = Watch(service.session(), REPOSITORY)
    lane = ""
    try:
        master.run(spread=0.1, length=0.1)
        for command in master.commands(REPOSITORY):
            command = replace(command, lane=replace(command.lane, credential=str(proxy)))
            lane = str(command.lane)
            watch.client.submit(command)
        watch.until(lambda: watch.finals(2), 120, "the master ends")
    finally:
        master.close()
    connection = service.redis.connection()
    keys = list(connection.scan_iter(count=1000))
    assert any(lane in key for key in keys), "nothing named the proxy"
    secrets = [path.read_text() for path in service.secrets.iterdir()]
    files = [p for where in ("state", "logs") for p in (service.folder / where).rglob("*")]
    assert any(p.is_file() and proxy.name.encode() in p.read_bytes() for p in files)
    for secret in (MARK, *secrets):
        word = secret.encode()
        assert [key for key in keys if word in key.encode() + _dumped(connection, key)] == []
        assert [p for p in files if p.is_file() and word in p.read_bytes()] == []


def _dumped(connection: redis.Redis, key: str) -> bytes:
    """All that a key holds, as text."""
    kind = str(connection.type(key))
    read: dict[str, Callable[[], Any]] = {
        "string": lambda: connection.get(key),
        "hash": lambda: connection.hgetall(key),
        "set": lambda: connection.smembers(key),
        "zset": lambda: connection.zrange(key, 0, -1),
        "list": lambda: connection.lrange(key, 0, -1),
        "stream": lambda: connection.xrange(key),
        "none": lambda: "",
    }
    return str(read[kind]()).encode()


def test_a_hostile_name_is_harmless_at_the_terminal(service: Guarded, ended: LocalMaster) -> None:
    """A job's name and a refusal with terminal sequences: shown as text, each on its line."""
    name = "\x1b]0;owned\x07\x1b[2J\x9b31m\nroot@host# \u202egpj"
    workspace = service.data / "h"
    workspace.mkdir()
    watch = Watch(service.session(), REPOSITORY)
    command = replace(enqueue(1, "hostile", 66, workspace=str(workspace)), name=name)
    watch.client.submit(command)
    watch.until(
        lambda: any(u.ack and u.ack.command_id == "hostile" for u in watch.updates),
        120,
        "an answer",
    )
    variables = service.variables(service.folder / "state-cli")
    variables["GANGAMON_REDIS_URL"] = service.as_(f"gangamon-client-{OWNER}")
    ran = CliRunner().invoke(main, ["status"], env=variables)
    assert ran.exit_code == 0, ran.output
    (line,) = [line for line in ran.output.splitlines() if line.startswith("job 66 ")]
    assert r"\x1b]0;owned\x07\x1b[2J\x9b31m\nroot@host# \u202egpj" in line
    for option in (["why", name], ["why", "66", "--repository", name]):
        ran = CliRunner().invoke(main, option, env=variables)
        assert ran.exit_code == 2
        assert not any(mark in ran.output for mark in "\x1b\x07\x9b\u202e")
