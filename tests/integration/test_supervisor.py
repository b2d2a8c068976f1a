"""`gangamon up`, `ps`, `down`: real processes, as a user starts them."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from gangamon import instance
from gangamon import settings as configuration
from gangamon.settings import hostname
from tests.support.proxy import Link
from tests.support.waiting import until
from workers.supervisor import processes, redis_server

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "redis",
    "beat",
    "flower",
    "worker-tick",
    "worker-poll",
    "worker-transfer",
    "worker-merge",
}


class Gangamon:
    """The command line, with a state directory of its own."""

    def __init__(self, state: Path) -> None:
        self.state = state.resolve()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "GANGAMON_STATE_DIR": str(state),
            "XDG_CONFIG_HOME": str(state.parent / "no-config"),
        }

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from gangamon.cli import main; main()", *arguments],
            cwd=self.state.parent,
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        with self.start(*arguments, **variables) as process:
            out, err = process.communicate(timeout=300)
            return process.returncode, out, err

    def up(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self.run("up", "--json", *arguments)
        assert code == 0, err
        report: dict[str, Any] = json.loads(out)
        return report

    def ps(self) -> dict[str, Any]:
        _, out, _ = self.run("ps", "--json")
        report: dict[str, Any] = json.loads(out)
        return report

    def program(self, name: str) -> dict[str, Any]:
        (found,) = (p for p in self.ps()["programs"] if p["name"] == name)
        return found

    def left(self) -> list[psutil.Process]:
        return processes.of_state(self.state)


@pytest.fixture
def gangamon(tmp_path: Path) -> Iterator[Gangamon]:
    found = Gangamon(tmp_path / "state")
    yield found
    processes.sweep(found.state)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gangamon, dict[str, Any]]]:
    """One instance for the tests that leave it running."""
    found = Gangamon(tmp_path_factory.mktemp("running") / "state")
    try:
        yield found, found.up()
        code, out, err = found.run("down")
        assert (code, err) == (0, "")
        assert out.startswith("ended; it ran since ")
        assert found.left() == []
    finally:
        processes.sweep(found.state)


def redis_socket(report: dict[str, Any]) -> Path:
    return Path(report["redis_url"].removeprefix("unix://"))


# --- one that runs --------------------------------------------------------------------------


def test_everything_runs_once_up_returns(running: tuple[Gangamon, dict[str, Any]]) -> None:
    """`up` returns only when all programs run, and `ps` says so with exit code 0."""
    gangamon, report = running
    code, out, _ = gangamon.run("ps", "--json")
    assert code == 0
    programs = json.loads(out)["programs"]
    assert {p["name"] for p in programs} == PROGRAMS
    assert {p["state"] for p in programs} == {"RUNNING"}
    assert report["host"] == hostname()
    assert redis_server.ping(redis_socket(report)) == "PONG"


def test_every_process_is_marked(running: tuple[Gangamon, dict[str, Any]]) -> None:
    """Whatever supervisord started carries the instance's id, so that none can be missed."""
    gangamon, report = running
    below = psutil.Process(report["pid"]).children(recursive=True)
    assert len(below) >= len(PROGRAMS)
    marked = {p.pid for p in gangamon.left()}
    assert {p.pid for p in below if p.is_running()} <= marked


def test_a_second_up_says_where_it_runs(running: tuple[Gangamon, dict[str, Any]]) -> None:
    """It starts nothing, and its exit code is 0."""
    gangamon, report = running
    before = {p.pid for p in gangamon.left()}
    code, out, err = gangamon.run("up")
    assert (code, err) == (0, "")
    assert out.startswith(f"already running on {hostname()} since ")
    for wanted in (f"pid {report['pid']}", report["redis_url"], report["flower_url"]):
        assert wanted in out
    assert {p.pid for p in gangamon.left()} == before


def test_flower_wants_its_password(running: tuple[Gangamon, dict[str, Any]]) -> None:
    """Nobody else on the machine can look; the password is in no command line."""
    gangamon, report = running
    path = Path(report["flower_password_file"])
    assert path.stat().st_mode & 0o777 == 0o600
    password = path.read_text().strip()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(report["flower_url"], timeout=60)
    with refused.value as answer:
        assert answer.code == 401
    login = base64.b64encode(f"gangamon:{password}".encode()).decode()
    request = urllib.request.Request(
        report["flower_url"], headers={"Authorization": f"Basic {login}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    assert not any(password in " ".join(p.cmdline()) for p in gangamon.left())


def test_the_sockets_are_the_owners(running: tuple[Gangamon, dict[str, Any]]) -> None:
    """Both sockets have mode 0700, in a directory of mode 0700."""
    _, report = running
    for path in (redis_socket(report), Path(report["supervisor"])):
        assert path.stat().st_mode & 0o777 == 0o700
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_doctor_finds_nothing_wrong(running: tuple[Gangamon, dict[str, Any]]) -> None:
    """Every check of a healthy instance is there, and none fails."""
    gangamon, _ = running
    code, out, _ = gangamon.run("doctor", "--json")
    found = {check["name"]: check["level"] for check in json.loads(out)}
    assert code == 0, out
    assert "FAIL" not in found.values()
    assert {f"program {name}" for name in PROGRAMS} <= found.keys()
    assert found.keys() >= {
        "settings",
        "versions",
        "state dir",
        "local dir",
        "disk space",
        "open files",
        "redis server",
        "instance",
        "redis version",
        "redis persistence",
        "redis eviction",
        "redis memory",
        "tick",
        "clock",
        "processes",
        "process versions",
        "process settings",
        "logout",
    }


def test_a_killed_redis_comes_back_with_its_data(running: tuple[Gangamon, dict[str, Any]]) -> None:
    """Restarted by itself, on the same socket, with what it had acknowledged; and counted."""
    gangamon, report = running
    path = redis_socket(report)
    redis_server.ask(path, "SET", "test:kept", "yes")
    before = gangamon.program("redis")
    os.kill(before["pid"], signal.SIGKILL)
    until(
        lambda: gangamon.program("redis")["pid"] not in (None, before["pid"]),
        120,
        "another process",
    )
    until(lambda: redis_server.ping(path) == "PONG", 120, "it answers")
    assert redis_server.ask(path, "GET", "test:kept") == "yes"
    until(lambda: gangamon.program("redis")["state"] == "RUNNING", 120, "it runs")
    assert gangamon.program("redis")["restarts"] == before["restarts"] + 1
    redis_server.ask(path, "DEL", "test:kept")


def test_restart_starts_a_program_again(running: tuple[Gangamon, dict[str, Any]]) -> None:
    """Another process, running; a name that is none is refused with those that are."""
    gangamon, _ = running
    before = gangamon.program("beat")["pid"]
    code, out, err = gangamon.run("restart", "beat")
    assert (code, out, err) == (0, "restarted: beat\n", "")
    assert gangamon.program("beat")["pid"] != before
    code, _, err = gangamon.run("restart", "bet")
    assert code == 2
    assert "bet: unknown; accepted: beat, flower" in err


# --- ends -----------------------------------------------------------------------------------


def test_nothing_outlives_supervisord(gangamon: Gangamon) -> None:
    """Killed with -9 it ends nothing itself, yet all is gone in seconds; `up` works again."""
    report = gangamon.up()
    redis_server.ask(redis_socket(report), "SET", "test:kept", "yes")
    os.kill(report["pid"], signal.SIGKILL)
    until(lambda: gangamon.left() == [], 120, "nothing is left", gangamon.left)
    code, out, _ = gangamon.run("ps")
    assert code == 3
    assert "nothing runs" in out
    again = gangamon.up("--no-flower")
    assert again["id"] != report["id"]
    assert again["flower_url"] == ""
    assert redis_server.ask(redis_socket(again), "GET", "test:kept") == "yes"
    assert gangamon.run("down")[0] == 0
    assert gangamon.left() == []
    assert not (gangamon.state / "instance.json").exists()
    assert gangamon.run("down") == (0, "nothing runs\n", "")


def test_the_foreground_ends_with_a_signal(gangamon: Gangamon) -> None:
    """For containers and systemd: it stays, and SIGTERM ends everything; exit code 0."""
    with gangamon.start("up", "--foreground", "--no-flower", "--json") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["already"] is False
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert gangamon.left() == []
    assert not (gangamon.state / "instance.json").exists()


def test_down_ends_one_in_the_foreground(gangamon: Gangamon) -> None:
    """From another shell: both end well."""
    with gangamon.start("up", "--foreground", "--no-flower", "--json") as process:
        assert process.stdout and process.stdout.readline()
        code, out, err = gangamon.run("down")
        assert (code, err) == (0, "")
        assert out.startswith("ended; it ran since ")
        assert process.wait(60) == 0
    assert gangamon.left() == []


def never_ready(gangamon: Gangamon) -> Path:
    """A Redis that never answers: until then `up` is at work, and not over before the test is."""
    server = gangamon.state.parent / "redis-server"
    server.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo Redis server v=7.0.0 && exit\nexec sleep 3600\n"
    )
    server.chmod(0o755)
    return server


def test_a_start_that_is_broken_off_leaves_nothing(gangamon: Gangamon) -> None:
    """Ctrl-C before all runs ends what had been started."""
    with gangamon.start("up", GANGAMON_REDIS_SERVER=str(never_ready(gangamon))) as process:
        until(lambda: len(gangamon.left()) > 1, 120, "something was started")
        process.send_signal(signal.SIGINT)
        assert process.wait(240) == 1
        assert process.stderr
        assert "ended before everything ran" in process.stderr.read()
    assert gangamon.left() == []


def test_a_start_that_was_killed_is_cleaned_up(gangamon: Gangamon) -> None:
    """`up` killed with -9 cannot clean up; the next `down` finds what it had started."""
    with gangamon.start("up", GANGAMON_REDIS_SERVER=str(never_ready(gangamon))) as process:
        until(lambda: len(gangamon.left()) > 1, 120, "something was started")
        process.kill()
        process.wait(120)
    code, out, _ = gangamon.run("down")
    assert code == 0
    assert "left over" in out
    assert gangamon.left() == []


def test_two_at_the_same_time_start_one(gangamon: Gangamon) -> None:
    """The second waits for the first, and says where it runs."""
    with gangamon.start("up", "--no-flower", "--json") as one:
        second = gangamon.up("--no-flower")
        out, err = one.communicate(timeout=300)
        assert one.returncode == 0, err
    first = json.loads(out)
    assert first["id"] == second["id"]
    assert sorted([first["already"], second["already"]]) == [False, True]
    assert gangamon.run("down")[0] == 0


# --- what is refused ------------------------------------------------------------------------


def refused(gangamon: Gangamon, *arguments: str, code: int = 2, **variables: str) -> str:
    """One line on stderr, and nothing runs."""
    found, out, err = gangamon.run(*arguments, **variables)
    assert (found, out) == (code, ""), err
    assert gangamon.left() == []
    assert "Traceback" not in err
    return err


def test_a_port_in_use_is_refused(gangamon: Gangamon) -> None:
    """The line names the key, the value and the fix; nothing was started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        err = refused(gangamon, "up", GANGAMON_FLOWER_PORT=port)
    assert f"flower.port {port}" in err
    assert "Address already in use" in err
    assert "GANGAMON_FLOWER_PORT=0" in err
    assert not (gangamon.state / "instance.json").exists()


def test_a_redis_that_does_not_answer_is_refused(gangamon: Gangamon) -> None:
    """A configured one is asked first; its password is not shown."""
    err = refused(gangamon, "up", GANGAMON_REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert "redis.url: got redis://***@127.0.0.1:1/0: cannot be reached" in err
    assert "secret" not in err


def test_the_doctor_asks_a_redis_that_is_configured(gangamon: Gangamon, tmp_path: Path) -> None:
    """One that may lose or drop jobs is a failure; one that does not let us in is said."""
    server = redis_server.find(configuration.load({}))
    command = [server.path, "--port", "0", "--dir", str(tmp_path), "--save", ""]
    command += ["--unixsocket", str(tmp_path / "s"), "--requirepass", "right"]
    command += ["--maxmemory-policy", "allkeys-lru"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        link = Link(tmp_path / "s")
        try:
            until(lambda: "NOAUTH" in redis_server.ping(tmp_path / "s"), 120, "it answers")
            found = {}
            for password in ("right", "wrong"):
                url = link.url.replace("//", f"//:{password}@")
                code, out, err = gangamon.run("doctor", "--json", GANGAMON_REDIS_URL=url)
                assert (code, err) == (1, "")
                found[password] = {c["name"]: (c["level"], c["text"]) for c in json.loads(out)}
        finally:
            link.close()
            process.kill()
    assert found["right"]["redis persistence"] == ("FAIL", "appendonly is off")
    assert found["right"]["redis eviction"][0] == "FAIL"
    level, text = found["wrong"]["redis"]
    assert level == "WARN"
    assert "cannot be asked: invalid username-password pair" in text


def test_a_missing_server_is_refused(gangamon: Gangamon) -> None:
    """The line names the key, the value and what is accepted."""
    err = refused(gangamon, "up", GANGAMON_REDIS_SERVER="/no/such/redis-server")
    assert "redis.server: got '/no/such/redis-server': no such program; accepted: " in err


def test_a_server_that_fails_is_shown(gangamon: Gangamon, tmp_path: Path) -> None:
    """Exit code 1, with the last lines of its log, and everything ended."""
    server = tmp_path / "redis-server"
    server.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo Redis server v=7.0.0 && exit\n"
        "echo no luck today >&2\nexit 9\n"
    )
    server.chmod(0o755)
    err = refused(gangamon, "up", code=1, GANGAMON_REDIS_SERVER=str(server))
    assert "redis did not start: " in err
    assert "no luck today" in err


def test_data_that_another_server_holds_are_not_opened(gangamon: Gangamon) -> None:
    """Two servers on one append-only file would spoil it; the reason is shown."""
    local = gangamon.state / "local"
    local.mkdir(parents=True, mode=0o700)
    lock = local / f"redis-{hostname()}.lock"
    with lock.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        err = refused(gangamon, "up", code=1)
    assert f"{lock}: locked by another process; not started" in err


def test_bad_settings_are_all_named(gangamon: Gangamon) -> None:
    """One line for each fault."""
    err = refused(gangamon, "up", GANGAMON_COLOUR="red", GANGAMON_LOG_LEVEL="loud")
    assert len(err.splitlines()) == 2
    assert all(line.startswith("gangamon: GANGAMON_") for line in err.splitlines())


def test_another_hosts_instance_is_left_alone(gangamon: Gangamon) -> None:
    """In a shared home: each command says where it runs; only --take-over goes on."""
    gangamon.state.mkdir(mode=0o700)
    path = gangamon.state / "instance.json"
    other = instance.Instance("x", "nodeA.example.org", 1, "unix:///x", "", "/x", time.time())
    other.save(path)
    err = refused(gangamon, "up")
    assert "running on nodeA.example.org since " in err
    assert "--take-over" in err
    assert "running on nodeA.example.org" in refused(gangamon, "down")
    code, out, _ = gangamon.run("ps")
    assert code == 2
    assert "running on nodeA.example.org" in out
    assert instance.read(path) == other
    # A name alone decides: nothing on this host is taken for it.
    replace(other, host=hostname()).save(path)
    assert gangamon.run("ps")[0] == 3


def test_the_server_extra_is_asked_for(gangamon: Gangamon) -> None:
    """A host with the client alone gets one line, not a traceback."""
    code = (
        "import gangamon.cli.service as s; s.NEEDED = ('no_such_package_at_all',);"
        "from gangamon.cli import main; main(['ps'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=gangamon.environment, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert ran.stderr == "gangamon: needs the server extra: pip install 'gangamon[server]'\n"


def test_the_commands_of_the_service_load_nothing_heavy(gangamon: Gangamon) -> None:
    """A shell prompt is not kept waiting: neither redis nor celery is imported to find `ps`."""
    code = (
        "import sys; from gangamon.cli import main; main.get_command(None, 'ps');"
        "print([m for m in ('redis', 'celery', 'psutil', 'supervisor') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=gangamon.environment, capture_output=True, text=True
    )
    assert ran.stdout == "[]\n", ran.stderr
