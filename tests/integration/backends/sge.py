"""A real Son of Grid Engine 8.1.9 on this host, of Debian's packages: private, gone at the end.

qmaster and execd listen on all interfaces and cannot be told otherwise (commlib binds to
INADDR_ANY), so they live in a network namespace of their own, which has loopback alone. Its
clients enter it: they are the commands in ``bin``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.integration.backends.daemons import WITHIN, Daemons
from tests.support.waiting import tail, until

#: Where Debian has the programs themselves: what lies on the path are slow wrappers of shell.
PROGRAMS = Path("/usr/lib/gridengine")
SHARED = Path("/usr/share/gridengine")

#: Program -> the package of Debian 12 that it is in.
NEEDED = {
    "sge_qmaster": "gridengine-master",
    "sge_execd": "gridengine-exec",
    "qstat": "gridengine-client",
}

CLIENTS = ("qacct", "qalter", "qconf", "qdel", "qhold", "qhost", "qmod", "qstat", "qsub")

#: qmaster and execd: any will do, for nobody else is in their namespace.
PORTS = (6444, 6445)

#: Keeps the namespace, and brings its loopback up (SIOCSIFFLAGS: IFF_UP | IFF_RUNNING).
KEEPER = """
import fcntl, signal, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
print("up", flush=True)
signal.pause()
"""


def missing() -> list[str]:
    """The packages that are not installed."""
    return sorted({p for name, p in NEEDED.items() if not (PROGRAMS / name).exists()})


class GridEngine(Daemons):
    """A cell of one host, which is this one, with ``slots`` slots. Queues: ``fast``, and ``held``,
    in which nothing ever starts. It schedules every second and writes its accounting at once.

    ``environ``: with it the commands on PATH are its clients.
    """

    def __init__(self, slots: int = 16) -> None:
        super().__init__("gm-sge-")
        self.slots = slots
        self.folder.chmod(0o755)
        self.root = self.folder / "root"
        self.common = self.root / "default" / "common"
        self.environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SGE_")},
            "PATH": os.pathsep.join((str(self.folder / "bin"), os.environ["PATH"])),
            "SGE_ROOT": str(self.root),
            "SGE_CELL": "default",
            "SGE_CLUSTER_NAME": "gm",
            "SGE_QMASTER_PORT": str(PORTS[0]),
            "SGE_EXECD_PORT": str(PORTS[1]),
            "SGE_ND": "1",  # its daemons stay in the foreground
        }
        self._keeper: subprocess.Popen[str] | None = None

    # --- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", KEEPER],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "up\n", "no network namespace: it takes root"
        self._lay_out()
        self._spool()
        self.start_master()
        self._configure()
        self._daemon("sge_execd")
        self._until(lambda: self.slots == self._free(), "its host is there")

    def start_master(self) -> None:
        self._daemon("sge_qmaster")
        self._until(lambda: self._does("qconf", "-sh"), "qmaster answers")

    def kill_master(self) -> None:
        """kill -9."""
        self.kill("sge_qmaster")
        (self.folder / "qmaster" / "qmaster.pid").unlink(missing_ok=True)

    def stop_master(self) -> None:
        """It stands still: its port answers, and it does not."""
        self.pause("sge_qmaster")

    def let_master_go_on(self) -> None:
        self.resume("sge_qmaster")

    def renumber(self, last: int) -> None:
        """A master that is started next gives the number after ``last`` first, as it does when it
        has got to the end (9,999,999) or has been set up anew."""
        (self.folder / "qmaster" / "jobseqnum").write_text(f"{last}\n")

    def close(self) -> None:
        """End it, with all jobs. What it logged last is printed: pytest shows it with a failure."""
        for name in list(self._daemons):
            self.kill(name)
        if self._keeper is not None:
            for process in self.inhabitants():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._keeper.kill()
            self._keeper.wait(WITHIN)
            assert self._keeper.stdout is not None
            self._keeper.stdout.close()
        super().close()

    # --- its users --------------------------------------------------------------------------

    def submit(self, script: str, *options: str, queue: str = "fast") -> str:
        """The id of a job that runs a line of shell; of an array its number alone."""
        out = ("-o", "/dev/null", "-e", "/dev/null", "-q", queue, "-S", "/bin/sh")
        return self.run("qsub", "-terse", *out, *options, self._script(script)).partition(".")[0]

    def fill(self, count: int, *options: str) -> list[str]:
        """That many jobs that never start, as fast as qsub submits (some hundred a second)."""
        with ThreadPoolExecutor(8) as pool:
            return list(
                pool.map(lambda _: self.submit("exit 0", *options, queue="held"), range(count))
            )

    def clear(self, job: str) -> None:
        """Of its error; qmod says 1 though it does so."""
        self._command("qmod", "-cj", job)

    def state(self, job: str) -> str:
        """By the plain qstat, which is not what is under test here; '' for one it does not list."""
        rows = (line.split() for line in self.run("qstat", "-u", "*").splitlines()[2:])
        return next((row[4] for row in rows if row[0] == job), "")

    def reaches(self, job: str, *states: str) -> None:
        self._until(lambda: self.state(job) in states, f"job {job} is {states}")

    def records(self, job: str) -> int:
        """How many the accounting has of a job."""
        return self._command("qacct", "-j", job).stdout.count("\njobnumber")

    def accounted(self, *jobs: str, records: int = 1) -> None:
        """They are over: each has so many records in the accounting, and is not in the queue."""
        for job in jobs:
            self._until(
                lambda job=job: self.records(job) >= records and not self.state(job),
                f"job {job} is accounted",
            )

    # --- inside -----------------------------------------------------------------------------

    def inhabitants(self) -> Sequence[psutil.Process]:
        """Whoever lives in the namespace: daemons, shepherds, jobs."""
        assert self._keeper is not None
        ours = self._namespace(self._keeper.pid)
        return [
            process
            for process in psutil.process_iter()
            if process.pid != self._keeper.pid and self._namespace(process.pid) == ours
        ]

    @staticmethod
    def _namespace(pid: int) -> str:
        with contextlib.suppress(OSError):
            return os.readlink(f"/proc/{pid}/ns/net")
        return ""

    def _inside(self, *words: str) -> list[str]:
        assert self._keeper is not None
        return ["nsenter", f"--net=/proc/{self._keeper.pid}/ns/net", *words]

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, env=self.environ, capture_output=True, text=True, timeout=WITHIN, check=False
        )

    def _does(self, *words: str) -> bool:
        return self._command(*words).returncode == 0

    def _free(self) -> int:
        """Slots of hosts that report their load."""
        lines = [
            line.split() for line in self._command("qstat", "-f", "-q", "fast").stdout.splitlines()
        ]
        ready = [row for row in lines if row and row[0].startswith("fast@") and row[3] != "-NA-"]
        return sum(int(row[2].split("/")[2]) for row in ready)

    def _until(self, condition: object, what: str) -> None:
        assert callable(condition)
        until(condition, WITHIN, what, self.story)

    def story(self) -> str:
        logs = sorted(self.folder.rglob("messages"))
        return "\n".join([super().story(), *(tail(log, 8) for log in logs)])

    def _daemon(self, name: str) -> None:
        self.daemon(*self._inside(str(PROGRAMS / name)), name=name)

    def _script(self, line: str) -> str:
        """A file with it: with ``-b y`` qsub would take its quotes away."""
        path = self.folder / "scripts" / f"line{zlib.crc32(line.encode())}.sh"
        if not path.exists():
            path.write_text(f"{line}\n")
        return str(path)

    def _lay_out(self) -> None:
        for inner in ("qmaster/job_scripts", "execd", "bin", "scripts", "tmp"):
            (self.folder / inner).mkdir(parents=True)
        self.common.mkdir(parents=True)
        for place in ("bin", "lib", "utilbin"):
            (self.root / place).mkdir()
            (self.root / place / "lx-amd64").symlink_to(PROGRAMS)
        (self.root / "util").symlink_to(SHARED / "util")
        for client in CLIENTS:
            path = self.folder / "bin" / client
            words = " ".join(self._inside(str(PROGRAMS / client)))
            path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            path.chmod(0o755)
        # A host's name must lead to its address and back: 127.0.0.1 leads to localhost.
        (self.common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        (self.common / "act_qmaster").write_text("localhost\n")
        (self.common / "cluster_name").write_text("gm\n")
        (self.common / "bootstrap").write_text(f"""\
admin_user              root
default_domain          none
ignore_fqdn             true
spooling_method         classic
spooling_lib            libspoolc
spooling_params         {self.common};{self.folder}/qmaster
binary_path             {PROGRAMS}
qmaster_spool_dir       {self.folder}/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
""")

    def _spool(self) -> None:
        """What is there before the first start."""
        changed = {
            "execd_spool_dir": f"{self.folder}/execd",
            "mailer": "/bin/true",
            "min_uid": "0",  # root may submit
            "min_gid": "0",
            "load_report_time": "00:00:01",
            "reporting_params": "accounting=true reporting=false flush_time=00:00:01 "
            "accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00",
        }
        lines = (SHARED / "default-configuration").read_text().splitlines()
        rows = (line.split(None, 1) for line in lines if line[:1] not in ("", "#"))
        text = "".join(f"{name} {changed.get(name, value)}\n" for name, value in rows)
        conf = self.folder / "configuration"
        conf.write_text(text)
        resources = SHARED / "util" / "resources"
        spool = ("classic", "libspoolc", f"{self.common};{self.folder}/qmaster", "init")
        self._prepare("spoolinit", *spool)
        self._prepare("spooldefaults", "configuration", str(conf))
        self._prepare("spooldefaults", "complexes", str(resources / "centry"))
        self._prepare("spooldefaults", "usersets", str(resources / "usersets"))
        self._prepare("spooldefaults", "managers", "root")

    def _prepare(self, program: str, *words: str) -> None:
        self.run(*self._inside(str(PROGRAMS / program), *words))

    def _configure(self) -> None:
        self.run("qconf", "-as", "localhost")
        self._from_file("-Msconf", self._schedule())
        self._from_file("-Ae", _HOST)
        self._from_file("-Ahgrp", "group_name @allhosts\nhostlist localhost\n")
        queue = self.run("qconf", "-sq")  # the template
        for name, slots in (("fast", self.slots), ("held", 1)):
            changed = {
                "qname": name,
                "hostlist": "@allhosts",
                "slots": str(slots),
                "load_thresholds": "NONE",
                "pe_list": "NONE",
                "rerun": "FALSE",
                "shell": "/bin/sh",
                "tmpdir": str(self.folder / "tmp"),
                "initial_state": "disabled" if name == "held" else "default",
            }
            rows = (line.split(None, 1) for line in queue.splitlines())
            self._from_file("-Aq", "".join(f"{k} {changed.get(k, v)}\n" for k, v in rows))

    def _schedule(self) -> str:
        changed = {
            "schedule_interval": "0:0:1",
            "flush_submit_sec": "1",
            "flush_finish_sec": "1",
            "job_load_adjustments": "NONE",
        }
        rows = (line.split(None, 1) for line in self.run("qconf", "-ssconf").splitlines())
        return "".join(f"{k} {changed.get(k, v)}\n" for k, v in rows)

    def _from_file(self, option: str, text: str) -> None:
        path = self.folder / "given"
        path.write_text(text)
        self.run("qconf", option, str(path))


_HOST = """\
hostname localhost
load_scaling NONE
complex_values NONE
user_lists NONE
xuser_lists NONE
projects NONE
xprojects NONE
usage_scaling NONE
report_variables NONE
"""


@contextlib.contextmanager
def running(engine: GridEngine) -> Iterator[GridEngine]:
    try:
        engine.start()
        yield engine
    finally:
        engine.close()
