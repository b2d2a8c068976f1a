"""The simulated system as a process: queries, record, control, bad clients, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Seen
from gangamon.domain.status import JobStatus
from gangamon.errors import BackendUnreachable
from gangamon.testing.simulator import record, wire
from gangamon.testing.simulator.process import Simulator
from tests.support.simulated import all_ended, backend, items, serving, statuses
from tests.support.waiting import until


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[Simulator]:
    with all_ended(tmp_path) as simulator:
        yield simulator


def test_a_query(ended: Simulator) -> None:
    """What is asked about is answered, with times of the wall clock and the facts of the end."""
    seen = backend().poll(ended.lane, items(3))["1.3"]
    assert isinstance(seen, Seen)
    t0 = ended.call("describe")["t0"]
    assert (seen.status, seen.exit_code, seen.site) == (JobStatus.COMPLETED, 0, "SIM")
    assert seen.started_at == pytest.approx(t0 + 0.02)
    assert seen.ended_at == pytest.approx(t0 + 0.0506)


def test_the_chunk(ended: Simulator) -> None:
    """Too many ids in one request are refused, and the setting is named; a smaller limit asks
    several times."""
    with pytest.raises(BackendUnreachable, match=r"413 too many ids: got 20; accepted: 10.*jobs"):
        backend().poll(ended.lane, items(*range(20)))
    before = ended.call("stats")["queries"].get("list", 0)
    answers = backend(jobs=10).poll(ended.lane, items(*range(20)))
    assert set(statuses(answers)) == {JobStatus.COMPLETED}
    assert ended.call("stats")["queries"]["list"] == before + 2
    assert ended.call("stats")["refused"] == 1


def test_all_of_an_owner(ended: Simulator) -> None:
    """Named by the owner instead of ids; another owner has none."""
    with wire.Link(ended.endpoint, 10.0) as link:
        assert len(link.call("list", owner="simulated")["jobs"]) == 20
        with pytest.raises(wire.Refused, match="400 owner: got 'bob'; accepted: simulated"):
            link.call("list", owner="bob")


def test_over_tcp(tmp_path: Path) -> None:
    """Where the path of a socket would be too long it listens on the loopback interface."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    with Simulator("quiet", folder) as simulator:
        assert simulator.endpoint.startswith("127.0.0.1:")
        assert statuses(backend().poll(simulator.lane, items(1))) == [JobStatus.RUNNING]


def test_the_cost_of_a_query(tmp_path: Path) -> None:
    """It is waited for."""
    with serving(tmp_path, "[jobs]\ncount = 20\n[list]\nfixed = 0.5\n") as simulator:
        begun = time.monotonic()
        backend().poll(simulator.lane, items(1))
        assert time.monotonic() - begun >= 0.5


def test_queries_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """However long they last, many are under way at the same time."""
    scenario = "[jobs]\ncount = 20\n[list]\nfixed = 3600.0\n"
    with ThreadPoolExecutor(8) as pool, serving(tmp_path, scenario) as simulator:
        asked = backend(timeout=3600.0)
        waits = [pool.submit(asked.poll, simulator.lane, items(1)) for _ in range(8)]
        until(lambda: simulator.call("stats")["concurrent"] == 8, 60, "eight are under way")
        simulator.close()
        for one in waits:
            with pytest.raises(BackendUnreachable, match="closed the connection"):
                one.result(60)


def test_the_record_holds_what_was_said(ended: Simulator) -> None:
    """Each status once, also an untrue one; what nobody was told is not there."""
    backend().poll(ended.lane, items(1, 2))
    backend().second_source(ended.lane, items(3))
    ended.fault("stale", seconds=1e9)
    backend().poll(ended.lane, items(1))
    ended.fault("timeout")
    with pytest.raises(BackendUnreachable):
        backend(timeout=0.2).poll(ended.lane, items(5))
    done = {(str(n), 0, "Done") for n in (1, 2, 3)}
    assert record.read(ended.record) == done | {("1", 0, "Waiting")}
    assert len(ended.record.read_text().splitlines()) == 4


def test_stats(ended: Simulator) -> None:
    """Queries by source, ids asked, rows answered, and queries by minute."""
    backend().poll(ended.lane, items(1, 2, 99))
    backend().second_source(ended.lane, items(3))
    stats = ended.call("stats")
    assert stats["queries"] == {"list": 1, "accounting": 1}
    assert (stats["ids"], stats["rows"], sum(stats["minutes"])) == (4, 3, 2)


def test_control(ended: Simulator) -> None:
    """Submit, kill and the truth; what is wrong is refused with what is accepted."""
    assert ended.call("submit", count=2, ids=["7@2"])["ids"] == ["7@2", "20", "21"]
    ended.call("kill", ids=["20"])
    said = {row[0]: row[1] for row in ended.call("truth", ids=["20", "7@2", "99"])["jobs"]}
    assert said["20"] == "Killed" and set(said) == {"20", "7@2"}
    assert len(ended.call("truth")["jobs"]) == 23
    assert {row[1] for row in ended.call("truth", t=3.0)["jobs"]} >= {"Running"}
    for op, fields, why in (
        ("sing", {}, "op: got 'sing'; accepted: list, accounting, download, describe"),
        ("fault", {"fault": {"kind": "x"}}, "fault.kind: got 'x'"),
        ("list", {"ids": [1]}, "ids: accepted: a list of native ids"),
        ("kill", {}, "400 KeyError"),
    ):
        with pytest.raises(wire.Refused, match=why):
            ended.call(op, **fields)


@pytest.mark.parametrize(
    "sent", [b"", b"\0", b"\0\0\0\4nope", b"\xff\xff\xff\xff", b"\0\0\0\2[]", wire.frame(b"\xff")]
)
def test_bad_clients_do_no_harm(ended: Simulator, sent: bytes) -> None:
    """Rubbish, half a frame, and going away in the middle: others are served."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(ended.endpoint.removeprefix("unix:"))
        client.sendall(sent)
    assert statuses(backend().poll(ended.lane, items(1))) == [JobStatus.COMPLETED]


@pytest.mark.parametrize("endpoint", ["unix:/none/there", "127.0.0.1:1", "nowhere", "h:x", "h:0"])
def test_no_server(endpoint: str) -> None:
    """The endpoint is named."""
    with pytest.raises(BackendUnreachable, match=endpoint):
        backend(timeout=2.0).poll(Lane("Simulated", endpoint), items(1))


def test_a_server_that_hangs(ended: Simulator) -> None:
    """A stopped process: the query gives up in time."""
    assert ended.process is not None
    os.kill(ended.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(BackendUnreachable, match="no answer"):
            backend(timeout=0.3).poll(ended.lane, items(1))
    finally:
        os.kill(ended.process.pid, signal.SIGCONT)


def test_a_clean_end(ended: Simulator) -> None:
    """SIGTERM with a client that waits: exit code 0, and the socket is gone."""
    ended.fault("timeout")
    path = Path(ended.endpoint.removeprefix("unix:"))
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(backend(timeout=180.0).poll, ended.lane, items(1))
        until(lambda: ended.call("stats")["concurrent"] == 1, 120, "a client waits")
        assert ended.close() == 0
        with pytest.raises(BackendUnreachable, match="closed the connection"):
            waits.result(60)
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["no-such"], "accepted: a TOML file, or one of dirac, hostile, quiet"),
        (["quiet", "--socket", "/none/there"], "/none/there: No such file"),
    ],
)
def test_what_is_wrong_with_the_command(arguments: list[str], why: str) -> None:
    """One line, exit code 2, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "gangamon.testing.simulator", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert why in done.stderr and len(done.stderr.splitlines()) == 1
