"""The program in DIRAC's environment, started and asked; with a fake of DIRAC (see its module)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gangamon.backends.dirac import DiracBackend
from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Seen
from gangamon.errors import BackendUnreachable, CredentialMissing, OutputMissing, StorageAway
from gangamon.fetchers.dirac import DiracFetcher
from gangamon.grid.dirac import process
from gangamon.grid.dirac.process import Program, Programs
from gangamon.protocols import FAIL, OK, WARN
from gangamon.testing.conformance import snapshot
from gangamon.testing.factories import fetch_order, poll_item
from tests.support.fakedirac import FakeDirac
from tests.support.waiting import until

WITHIN = 60.0
DONE = {"Status": "Done", "MinorStatus": "Execution Complete", "Owner": "tester"}


@pytest.fixture
def fake(tmp_path: Path) -> FakeDirac:
    folder = tmp_path / "dirac"
    folder.mkdir()
    return FakeDirac(folder)


@pytest.fixture
def program(fake: FakeDirac) -> Iterator[Program]:
    found = Program(str(fake.source), "-")
    yield found
    found.end()


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    yield
    process.PROGRAMS.close()


def ask(program: Program, do: str = "hello", within: float = WITHIN, **given: object) -> object:
    return program.ask(time.monotonic() + within, do, **given)


def lane(fake: FakeDirac) -> Lane:
    return Lane("Dirac", str(fake.source))


# --- its life ---------------------------------------------------------------------------------


def test_it_answers_whatever_dirac_prints(fake: FakeDirac, program: Program) -> None:
    fake.knows(jobs={"1": DONE}, start="babbles")
    for _ in range(3):
        assert ask(program) == {"dirac": "9.9.9", "user": "tester"}
        answer = ask(program, "states", ids=[1, 2])
        assert isinstance(answer, dict)
        assert set(answer["jobs"]) == {"1"}


def test_it_does_not_start(fake: FakeDirac, program: Program) -> None:
    fake.knows(start="dies")
    with pytest.raises(BackendUnreachable, match=r"ended.*no configuration"):
        ask(program)
    assert not program.alive


def test_it_hangs(fake: FakeDirac, program: Program) -> None:
    ask(program)
    fake.knows(hangs=True)
    with pytest.raises(BackendUnreachable, match="no answer in time"):
        ask(program, "states", within=1, ids=[1])
    assert not program.alive
    assert not os.path.exists(program.folder)


def test_it_dies_while_it_is_asked(fake: FakeDirac, program: Program) -> None:
    fake.knows(exits=True)
    with pytest.raises(BackendUnreachable, match="ended"):
        ask(program, "states", ids=[1])


def test_an_error_of_diracs_is_told_and_it_lives_on(fake: FakeDirac, program: Program) -> None:
    fake.knows(error=["Can't connect", 0])
    with pytest.raises(BackendUnreachable, match="Can't connect"):
        ask(program, "states", ids=[1])
    fake.knows(error=["Unauthorized query", 1111])
    with pytest.raises(CredentialMissing, match="Unauthorized"):
        ask(program, "states", ids=[1])
    with pytest.raises(BackendUnreachable, match="KeyError"):
        ask(program, "nonsense")
    assert program.alive


def test_too_long_an_answer(
    fake: FakeDirac, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.knows(jobs={str(n): DONE for n in range(1000)})
    monkeypatch.setattr(process, "MOST_ANSWER", 1000)
    with pytest.raises(BackendUnreachable, match="1000 bytes"):
        ask(program, "states", ids=list(range(1000)))


def test_a_long_question_does_not_block(fake: FakeDirac, program: Program) -> None:
    fake.knows(jobs={"1": DONE})
    answer = ask(program, "states", ids=list(range(1, 200_000)))
    assert isinstance(answer, dict)
    assert set(answer["jobs"]) == {"1"}


def test_it_ends_with_the_worker(fake: FakeDirac) -> None:
    """Also in the middle of a call, and leaves no folder."""
    fake.knows(hangs=True)
    script = (
        "import sys, threading, time\n"
        "from gangamon.grid.dirac.process import Program\n"
        "p = Program(sys.argv[1], '-')\n"
        "print(p._process.pid, p.folder, flush=True)\n"
        "p.ask(time.monotonic() + 60, 'hello')\n"
        "threading.Thread(target=p.ask, args=(time.monotonic() + 60, 'states'),"
        " kwargs={'ids': [1]}, daemon=True).start()\n"
        "print('asked', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(fake.source)], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        pid, folder = worker.stdout.readline().split()
        assert worker.stdout.readline() == "asked\n"
        worker.kill()
    until(lambda: not psutil.pid_exists(int(pid)), WITHIN, "the program is gone")
    until(lambda: not os.path.exists(folder), WITHIN, "its folder is gone")


def running() -> list[psutil.Process]:
    """The helper processes: other tests may have started other children of this one."""
    return [c for c in psutil.Process().children() if "gangamon-dirac-" in c.cwd()]


def test_a_killed_one_is_replaced(fake: FakeDirac) -> None:
    fake.knows(jobs={"1": DONE})
    backend, item = DiracBackend(), poll_item("1", "/none", native_id="1")
    for _ in range(2):
        assert isinstance(backend.poll(lane(fake), [item])["1"], Seen)
        (child,) = running()
        child.kill()
        child.wait()


def test_no_more_of_them_than_the_worker_bears(
    fake: FakeDirac, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MOST", 2)
    programs = Programs()
    try:
        soon = time.monotonic() + WITHIN
        with (
            programs.lent(str(fake.source), "-", soon) as one,
            programs.lent(str(fake.source), "-", soon) as two,
            pytest.raises(BackendUnreachable, match="busy"),
            programs.lent(str(fake.source), "-", time.monotonic() + 0.2),
        ):
            pass
        assert one is not two
        with programs.lent(str(fake.source), "-", soon) as again:
            assert again in (one, two)
        # Room is made for another proxy by ending one that is idle.
        with programs.lent(str(fake.source), f"{fake.folder}/other", soon) as other:
            assert [p.alive for p in (one, two)].count(True) == 1
            assert other.alive
        monkeypatch.setattr(process, "IDLE", -1.0)
        with programs.lent(str(fake.source), "-", soon):
            assert not any(p.alive for p in (one, two, other))
    finally:
        programs.close()


def test_several_threads(fake: FakeDirac) -> None:
    fake.knows(jobs={str(n): DONE for n in range(1, 9)})
    found: list[object] = []

    def poll(number: int) -> None:
        item = poll_item(str(number), "/none", native_id=str(number))
        found.append(DiracBackend().poll(lane(fake), [item])[str(number)])

    threads = [threading.Thread(target=poll, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN)
    assert len(found) == 8
    assert all(isinstance(o, Seen) for o in found)
    assert len(running()) <= process.MOST


def test_the_doctor(fake: FakeDirac) -> None:
    fake.knows(jobs={"1": DONE})
    found = {f.name: f for f in DiracBackend().doctor(lane(fake))}
    assert {name: f.level for name, f in found.items()} == {
        "credential": WARN,
        "environment": OK,
        "version": OK,
        "user": OK,
    }
    assert found["version"].text == "DIRAC 9.9.9"
    fake.knows(start="dies")
    process.PROGRAMS.close()
    broken = replace(lane(fake), credential="/nonexistent/proxy")
    found = {f.name: f for f in DiracBackend().doctor(broken)}
    assert {name: f.level for name, f in found.items()} == {"credential": FAIL, "environment": FAIL}
    assert "no configuration" in found["environment"].text


def test_all_that_are_missed_get_their_turn(fake: FakeDirac) -> None:
    """One query has time for some stories only; each of the others comes later."""
    items = [poll_item(str(n), "/none", native_id=str(n)) for n in range(1, 101)]
    told: set[str] = set()

    def some() -> bool:
        answers = DiracBackend().second_source(lane(fake), items)
        assert set(answers) == {item.key for item in items}
        absent = {key for key, o in answers.items() if isinstance(o, Absent)}
        assert len(absent) == 50
        told.update(absent)
        return len(told) == 100

    until(some, WITHIN, "all have been asked about")


# --- where DIRAC is ---------------------------------------------------------------------------


def environ(program: Program) -> dict[str, str]:
    ask(program)
    return psutil.Process(program._process.pid).environ()


def test_a_source_with_arguments(fake: FakeDirac, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    found = Program(f"{fake.source} one 'two words'", "-")
    try:
        variables = environ(found)
    finally:
        found.end()
    assert variables["ARGS"] == "one two words"
    assert variables["PYTHONPATH"] == str(fake.folder)


def test_an_environment_as_json(fake: FakeDirac) -> None:
    path = fake.folder / "env.json"
    variables = {"PYTHONPATH": str(fake.folder), "FROM": "json", "PATH": os.environ["PATH"]}
    path.write_text(json.dumps(variables))
    found = Program(f"json:{path}", "-")
    try:
        assert environ(found)["FROM"] == "json"
    finally:
        found.end()


def test_the_workers_own(fake: FakeDirac, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fake.folder / "os"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").write_text(
        f'#!/bin/sh\nPYTHONPATH={fake.folder} exec {sys.executable} "$@"\n'
    )
    (home / "bin" / "python").chmod(0o755)
    with pytest.raises(BackendUnreachable, match="DiracEnvSource"):
        Program("node1", "-")
    monkeypatch.setenv("DIRACOS", str(home))
    found = Program("node1", "-")
    try:
        assert ask(found) == {"dirac": "9.9.9", "user": "tester"}
    finally:
        found.end()


def test_what_others_could_change_is_not_run(fake: FakeDirac) -> None:
    before = set(os.listdir("/tmp"))
    for path, mode in ((fake.source, 0o666), (fake.source, 0o664)):
        path.chmod(mode)
        with pytest.raises(BackendUnreachable, match="others can change it"):
            Program(str(path), "-")
    fake.source.unlink()
    for endpoint in (str(fake.source), str(fake.folder), "/'", "json:/nonexistent"):
        with pytest.raises(BackendUnreachable):
            Program(endpoint, "-")
    assert not [n for n in set(os.listdir("/tmp")) - before if n.startswith("gangamon-dirac-")]


def test_the_proxy_is_the_lanes(fake: FakeDirac) -> None:
    with (fake.folder / "DIRAC/Core/Security/ProxyInfo.py").open("w") as file:
        file.write(
            "import os\ndef getProxyInfo(proxy=False, disableVOMS=False):\n"
            "    return {'OK': True, 'Value': {'username': os.environ['X509_USER_PROXY']}}\n"
        )
    found = Program(str(fake.source), "/some/proxy")
    try:
        answer = ask(found)
    finally:
        found.end()
    assert isinstance(answer, dict)
    assert answer["user"] == "/some/proxy"


def test_parameters_that_are_away_spoil_no_status(fake: FakeDirac, program: Program) -> None:
    fake.knows(**{"jobs": {"1": DONE}, "no parameters": True})
    answer = ask(program, "states", ids=[1])
    assert isinstance(answer, dict)
    assert answer["jobs"]["1"]["status"] == "Done"


# --- files on the grid ------------------------------------------------------------------------


@pytest.fixture
def output(tmp_path: Path) -> Path:
    found = tmp_path / "42" / "output"
    found.mkdir(parents=True)
    return found


def archived(folder: Path, **files: bytes) -> str:
    path = folder / "big.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            (folder / name).write_bytes(content)
            tar.add(folder / name, name)
    return str(path)


def test_an_oversized_sandbox(fake: FakeDirac, output: Path, tmp_path: Path) -> None:
    """It lies on the grid, and is removed there only when all is in place."""
    lfn = "/gm/user/t/tester/big.tar.gz"
    world = {
        "jobs": {"7": DONE},
        "parameters": {"7": {"OutputSandboxLFN": lfn, "UploadedOutputData": lfn}},
        "grid": {lfn: archived(fake.folder, a=b"one", b=b"two")},
    }
    fake.knows(**world)
    asked = fetch_order(str(output), [str(tmp_path)], native_id="7", lane=lane(fake))
    first = DiracFetcher().fetch(asked)
    assert [path for path, _, _ in first.files] == ["a", "b"]
    assert fake.removed == [lfn]
    assert DiracFetcher().fetch(asked) == first
    assert fake.removed == [lfn]


def test_where_its_files_are(fake: FakeDirac, output: Path, tmp_path: Path) -> None:
    """As Ganga writes it for DiracFile.setLocation; anew, not twice, after another attempt."""
    place, gone = "/gm/user/t/tester/data.root", "/gm/user/t/tester/lost.root"
    fake.knows(
        jobs={"7": DONE},
        parameters={"7": {"UploadedOutputData": f"{place}, {gone}"}},
        metadata={place: {"GUID": "ABC"}},
        replicas={place: ["SE-B", "SE-A"]},
    )
    (output / "__postprocesslocations__").write_text("MassStorageFile:::x&&y->z:::\n")
    asked = fetch_order(
        str(output),
        [str(tmp_path)],
        native_id="7",
        lane=lane(fake),
        extra={"sandbox": False, "dirac_files": '["*.root", "data.*", "other.txt"]'},
    )
    expected = (
        "MassStorageFile:::x&&y->z:::\n"
        f"DiracFile:::*.root&&data.root->{place}:::['SE-A', 'SE-B']:::ABC\n"
        f"DiracFile:::data.*&&data.root->{place}:::['SE-A', 'SE-B']:::ABC\n"
        "DiracFile:::*.root&&lost.root->###FAILED###:::No such file:::NotAvailable\n"
    )
    for attempt in (1, 2):
        DiracFetcher().fetch(fetch_order(**{**vars(asked), "attempt": attempt}))
        assert (output / "__postprocesslocations__").read_text() == expected


def test_a_file_without_end(
    fake: FakeDirac, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MOST_FILE", 1024 * 1024)
    lfn = "/gm/endless.tar"
    (fake.folder / "endless").write_bytes(bytes(2 * 1024 * 1024))
    fake.knows(
        jobs={"7": DONE},
        parameters={"7": {"OutputSandboxLFN": lfn}},
        grid={lfn: str(fake.folder / "endless")},
    )
    asked = fetch_order(str(output), [str(tmp_path)], native_id="7", lane=lane(fake))
    with pytest.raises(OutputMissing, match="larger"):
        DiracFetcher().fetch(asked)
    assert snapshot(str(output)) == {}


def test_the_grid_is_away(fake: FakeDirac, output: Path, tmp_path: Path) -> None:
    """However long: the sandbox waits there."""
    fake.knows(jobs={"7": DONE}, parameters={"7": {"OutputSandboxLFN": "/gm/somewhere"}}, grid={})
    asked = fetch_order(str(output), [str(tmp_path)], native_id="7", lane=lane(fake))
    with pytest.raises(StorageAway, match="somewhere"):
        DiracFetcher().fetch(asked)
