"""CustomMerger and CustomChecker: the user's code is bounded, and never decides twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from gangamon.domain.command import CheckerSpec
from gangamon.domain.status import JobStatus
from gangamon.errors import CheckFailed, CheckImpossible, LeftToSession, MergeFailed
from gangamon.postprocess import verify
from gangamon.postprocess.custom import CustomChecker, CustomMerger
from gangamon.protocols import CheckOrder, CodeLimits, Manifest, MergeOrder
from gangamon.testing.factories import merge_order
from tests.support.waiting import until

JOIN = """
def mergefiles(file_list, output_file):
    with open(output_file, "w") as out:
        for path in file_list:
            with open(path) as file:
                out.write(file.read())
    return True
"""


class Job:
    """Three ended subjobs, and the user's module."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.target = root / "42" / "output"
        self.module = root / "mine.py"
        self.inputs = []
        for sub in range(3):
            output = root / "42" / str(sub) / "output"
            output.mkdir(parents=True)
            (output / "out.dat").write_text(f"{sub}\n")
            self.inputs.append((f"42.{sub}", JobStatus.COMPLETED, str(output)))

    def order(self, code: str) -> MergeOrder:
        self.module.write_text(textwrap.dedent(code))
        order = merge_order(
            str(self.target), self.inputs, "out.dat", options={"module": str(self.module)}
        )
        return MergeOrder(order.fqid, 1, order.spec, order.target, order.inputs)

    def merge(self, code: str, limits: CodeLimits | None = None) -> Manifest:
        merger = CustomMerger()
        merger.limits = limits or CodeLimits()
        return merger.run(self.order(code))

    def check(self, code: str, fqid: str = "42", limits: CodeLimits | None = None) -> None:
        self.module.write_text(textwrap.dedent(code))
        spec = CheckerSpec("CustomChecker", (), (), options={"module": str(self.module)})
        checker = CustomChecker()
        checker.limits = limits or CodeLimits()
        sub = self.root / "42" / fqid.partition(".")[2] / "output"
        subjobs = self.inputs if "." not in fqid else []
        checker.check(CheckOrder(fqid, spec, str(sub), "a name", subjobs))

    def names(self) -> set[str]:
        found = {str(p.relative_to(self.target)) for p in self.target.rglob("*")}
        return found - {".gangamon-merge.json"}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def test_what_it_makes_appears_and_what_it_prints_does_not(job: Job) -> None:
    """The output, what it wrote beside that, and Ganga's summary."""
    done = job.merge(
        JOIN.replace("return True", "open(output_file + '.log', 'w').close(); print('hello')")
        + "\nplain = mergefiles\ndef mergefiles(a, b):\n    plain(a, b)\n    return True\n"
    )
    assert (job.target / "out.dat").read_text() == "0\n1\n2\n"
    assert job.names() == {"out.dat", "out.dat.log", "out.dat.merge_summary"}
    assert [name for name, _, _ in done.files] == ["out.dat", "out.dat.log"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('my error')", "executing the custom merge: my error. Merge will fail."),
        ("return 0", "The custom merge did not return True, merge will fail."),
        ("print('last words'); return False", "It printed:\nlast words"),
        ("deeper()", "NameError: name 'deeper' is not defined"),
        ("import os; os.kill(os.getpid(), 6)", "it was ended by SIGABRT"),
        ("import os; os._exit(3)", "it ended with exit code 3"),
        ("raise SystemExit(2)", "SystemExit(2)"),
    ],
)
def test_its_error_comes_back_in_full_and_nothing_is_shown(job: Job, body: str, said: str) -> None:
    """With the line of the user's code, and Ganga's note of the failure."""
    with pytest.raises(MergeFailed) as caught:
        job.merge(
            f"""
            def mergefiles(file_list, output_file):
                open(output_file, "w").write("half")
                {body}
            """
        )
    assert said in str(caught.value)
    if "raise" in body:
        assert f'{job.module}", line 4, in mergefiles' in str(caught.value)
    assert job.names() == {"out.dat.merge_summary"}
    text = (job.target / "out.dat.merge_summary").read_text()
    assert text.startswith("# -- Error in Merge -- #\n\tPostProcessException: ")


def test_what_it_prints_is_bounded(job: Job) -> None:
    """The last of it is kept, however much there was."""
    with pytest.raises(MergeFailed, match="the end") as caught:
        job.merge(
            """
            def mergefiles(file_list, output_file):
                for _ in range(2000):
                    print("x" * 1000)
                print("the end")
            """
        )
    assert len(str(caught.value)) < 50_000


def test_it_is_killed_in_time_with_all_that_it_started(job: Job, tmp_path: Path) -> None:
    """Also its own processes, and the reason says by which setting."""
    pids = tmp_path / "pids"
    with pytest.raises(MergeFailed, match=r"killed after 2 s \(workers.code_seconds\)"):
        job.merge(
            f"""
            import os, subprocess, time
            def mergefiles(file_list, output_file):
                child = subprocess.Popen(["sleep", "600"])
                with open({str(pids)!r}, "w") as file:
                    file.write(f"{{os.getpid()}} {{child.pid}}")
                time.sleep(600)
            """,
            CodeLimits(seconds=2),
        )
    if pids.exists():  # it may have been killed before it got there
        for pid in pids.read_text().split():
            until(lambda pid=pid: gone(int(pid)), 60, f"{pid} is gone")  # type: ignore[misc]


def test_its_memory_is_bounded(job: Job) -> None:
    """Python says MemoryError where it is refused memory."""
    with pytest.raises(MergeFailed, match="MemoryError"):
        job.merge(
            """
            def mergefiles(file_list, output_file):
                return bool(bytearray(2 << 30))
            """,
            CodeLimits(megabytes=1024),
        )


def test_what_stays_behind_does_not_hold_the_merge(job: Job) -> None:
    """A process in the background, which has its output, is ended with it."""
    job.merge(
        """
        import subprocess
        def mergefiles(file_list, output_file):
            open(output_file, "w").write(str(subprocess.Popen(["sleep", "600"]).pid))
            return True
        """
    )
    pid = int((job.target / "out.dat").read_text())
    until(lambda: gone(pid), 60, "it is gone")


KILLED = """
import sys
from pathlib import Path
from tests.unit.test_custom_code import Job
job = Job.__new__(Job)
job.root = Path(sys.argv[1])
job.target, job.module = job.root / "42" / "output", job.root / "mine.py"
from gangamon.domain.status import JobStatus
job.inputs = [(f"42.{n}", JobStatus.COMPLETED, str(job.root / f"42/{n}/output")) for n in range(3)]
job.merge(Path(sys.argv[2]).read_text())
"""


def test_a_killed_worker_takes_its_code_along_and_the_next_one_merges_once(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 of the worker while the code runs: no process, no partial file; then one output, and
    nothing left of the one that was killed."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    code = tmp_path / "code.py"
    code.write_text(
        textwrap.dedent(
            f"""
            import os, time
            def mergefiles(file_list, output_file):
                with open(output_file, "w") as out:
                    out.write("half")
                with open({str(tmp_path / "pid")!r} + ".part", "w") as file:
                    file.write(str(os.getpid()))
                os.rename({str(tmp_path / "pid")!r} + ".part", {str(tmp_path / "pid")!r})
                time.sleep(600)
            """
        )
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(job.root), str(code)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(temporary)},
        start_new_session=True,
    )
    try:
        until((tmp_path / "pid").exists, 120, "the code runs")
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    pid = int((tmp_path / "pid").read_text())
    until(lambda: gone(pid), 60, "the code is gone")
    assert not (job.target / "out.dat").exists()
    assert os.listdir(temporary) != []
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    job.merge(JOIN)
    assert (job.target / "out.dat").read_text() == "0\n1\n2\n"
    assert job.names() == {"out.dat", "out.dat.merge_summary"}
    assert os.listdir(temporary) == []


def test_a_second_merger_may_overwrite_what_the_first_has_made(job: Job) -> None:
    """As in Ganga: what counts is the last, and the check of what was merged knows it."""
    job.merge(JOIN)
    other = job.root / "other.py"
    other.write_text(JOIN.replace("file.read()", "file.read() * 2"))
    order = job.order(JOIN)
    again = replace(order.spec, overwrite=True, options={"module": str(other)})
    CustomMerger().run(replace(order, spec=again))
    assert (job.target / "out.dat").read_text() == "0\n0\n1\n1\n2\n2\n"
    assert verify(str(job.target)) == []


@pytest.mark.parametrize(
    "body",
    [
        "import GangaCore.GPI",
        "from ganga import GPI",
        "job.backend.id",
        "job.subjobs.select()",
        "job.comment = 'seen'",
        "getattr(job, 'application', None)",
        "try:\n        job.backend\n    except BaseException:\n        pass",
    ],
)
def test_what_needs_a_session_is_left_to_it(job: Job, body: str) -> None:
    """Whatever the code makes of the refusal, its word does not count."""
    with pytest.raises(LeftToSession):
        job.check(f"def check(job):\n    {body}\n    return False\n")


def test_a_module_that_others_can_write_is_left_to_the_session(job: Job) -> None:
    """A worker runs without anybody who looks."""
    order = job.order(JOIN)
    job.module.chmod(0o666)
    with pytest.raises(LeftToSession, match="may write it"):
        CustomMerger().run(order)
    assert not job.target.exists()


def test_a_checker_sees_the_master_and_its_subjobs(job: Job) -> None:
    """By Ganga's names; True passes."""
    job.check(
        """
        def check(j):
            assert (j.id, j.fqid, j.getFQID("/"), j.name) == (42, "42", "42", "a name")
            assert j.master is None and len(j.subjobs) == 3
            assert [s.id for s in j.subjobs] == [0, 1, 2] and j.subjobs(1).fqid == "42.1"
            assert open(j.subjobs[2].outputdir + "out.dat").read() == "2\\n"
            return j.subjobs[-1].status == "completed"
        """
    )


def test_a_checker_sees_a_subjob(job: Job) -> None:
    """With its own directory and number; False fails it."""
    with pytest.raises(CheckFailed, match=r"returned False for job\(42.1\)"):
        job.check(
            """
            def check(j):
                assert (j.id, j.master.id, len(j.subjobs)) == (1, 42, 0)
                return open(j.outputdir + "out.dat").read() == "2\\n"
            """,
            "42.1",
        )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def check(j): return 1", "did not return True or False"),
        ("def check(j): raise KeyError('x')", "executing the module: 'x', CustomChecker will do"),
        ("def check(j", "was never closed"),
        ("", "name 'check' is not defined"),
        ("import time\ntime.sleep(600)", "killed after 1 s"),
    ],
)
def test_a_checker_that_cannot_say_fails_nobody(job: Job, code: str, said: str) -> None:
    """As in Ganga; the reason is for its debug directory."""
    with pytest.raises(CheckImpossible) as caught:
        job.check(code, limits=CodeLimits(seconds=1 if "sleep" in code else 300))
    assert str(caught.value).startswith("PostProcessException: ")
    assert said in str(caught.value)
