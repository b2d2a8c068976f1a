"""A real HTCondor on this host: Debian trixie's package in a chroot, private, on loopback, gone at
the end.

Debian 12 has no HTCondor. It runs in mount and process namespaces of its own: nothing is left
mounted, and nothing runs on, when their first process ends.

Jobs run as ``USER``, for HTCondor runs none of root's. ``work``, where they read and write, has the
same path inside and outside, and so have the commands of ``bin``, which run inside.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.integration.backends import trixie
from tests.integration.backends.condor_settings import CLIENT, COMMON, SERVER
from tests.integration.backends.daemons import PATH, WITHIN, free_ports
from tests.support.waiting import tail, until

#: A start that has not come so far by then hangs, which it does once in some fifteen times.
START = 60.0
TRIES = 3

USER, UIDS = "condoruser", {"condor": 4241, "condoruser": 4242}

#: Ganga's jobs are Python programs.
PACKAGES = ("condor", "python3")

COMMANDS = ("condor_q", "condor_history", "condor_rm", "condor_version", "condor_config_val")

NEEDED = {**trixie.NEEDED, "unshare": "util-linux", "nsenter": "util-linux"}


def missing() -> list[str]:
    """What is not there: packages, or the rights to make a chroot."""
    packages = {p for name, p in NEEDED.items() if shutil.which(name, path=PATH) is None}
    return sorted(packages) + (["root's rights"] if os.geteuid() else [])


class Condor:
    """A pool of one host. ``slots``: jobs at the same time. ``settings``: more configuration.
    ``environ``: what its users outside need for the bindings; ``commands``: with the commands."""

    def __init__(self, slots: int = 8, **settings: object) -> None:
        self.slots, self.settings = slots, settings
        # Below it lie unix sockets, and their paths have at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="gm-condor-"))
        self.folder.chmod(0o755)
        self.root = self.folder / "chroot"
        self.inside = self.folder / "pool"  # has the same path in the chroot
        self.work = self.inside / "work"
        self.bin = self.inside / "bin"
        self.conf, self.client = (self.inside / name for name in ("condor_config", "client_config"))
        self.environ = {**os.environ, "CONDOR_CONFIG": str(self.client)}
        self.commands = {**self.environ, "PATH": f"{self.bin}{os.pathsep}{self.environ['PATH']}"}
        #: The schedd's name, by which the collector knows it.
        self.schedd = "tests@pool"
        self._first: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._refused = False

    # --- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Raises AssertionError where no start gets anywhere."""
        trixie.install(self.root, PACKAGES, UIDS)
        for inner in ("log", "spool", "execute", "lock", "run", "work", "bin"):
            (self.inside / inner).mkdir(parents=True, exist_ok=True)
        for inner in ("log", "spool", "execute", "lock", "run"):
            shutil.chown(self.inside / inner, UIDS["condor"], UIDS["condor"])
        self.work.chmod(0o1777)
        self.start_daemons()

    def start_daemons(self) -> None:
        """Start all, as often as it takes: one start in fifteen hangs."""
        for left in reversed(range(TRIES)):
            self._begin()
            try:
                until(self._up, START, "the schedd and the slots answer", self._story)
                return
            except AssertionError:
                self.kill_daemons()
                if not left:
                    raise

    def _up(self) -> bool:
        """Whether the schedd answers, and all slots are known."""
        asked = self.command("condor_status", "-af", "Name")
        return asked.stdout.count("slot") >= self.slots and self.asked("condor_q").returncode == 0

    def _begin(self) -> None:
        self._port = self._port or free_ports(1)[0]
        self._configure()
        inner = str(self.root) + str(self.inside)
        Path(inner).mkdir(parents=True, exist_ok=True)
        script = (
            f"mount -t proc proc {self.root}/proc && mount --rbind /dev {self.root}/dev && "
            f"mount --bind {self.inside} {inner} && "
            f"chroot {self.root} env CONDOR_CONFIG={self.conf} condor_master -f & wait"
        )
        with (self.inside / "log" / "master.out").open("ab") as out:
            self._first = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "private"),
                    *("--pid", "--fork", "--kill-child", "sh", "-c", script),
                ],
                env={**os.environ, "PATH": PATH, "LC_ALL": "C"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._write_commands()

    def kill_daemons(self) -> None:
        """kill -9 of all at once, jobs included: the first process of their namespace."""
        if self._first is None:
            return
        inner = Path(f"/proc/{self._first_pid()}/stat")
        self._first.kill()
        self._first.wait(WITHIN)
        self._first = None

        def gone() -> bool:
            try:
                # A zombie there has waited for all others of its namespace.
                return inner.read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                return True

        until(gone, WITHIN, "the pool has ended")

    def stop_schedd(self) -> None:
        """The schedd and its shadows end, until ``start_schedd``. Jobs run on, and wait for it."""
        self.must("condor_off", "-fast", "-daemon", "schedd")
        until(lambda: self.asked("condor_q").returncode != 0, WITHIN, "the schedd is gone")

    def start_schedd(self) -> None:
        self.must("condor_on", "-daemon", "schedd")
        until(lambda: self.asked("condor_q").returncode == 0, WITHIN, "it answers", self._story)

    def kill_schedd(self) -> None:
        """kill -9: the master starts another one some seconds later."""
        self.signal_schedd(signal.SIGKILL)

    def freeze_schedd(self, frozen: bool) -> None:
        """It hangs: SIGSTOP."""
        self.signal_schedd(signal.SIGSTOP if frozen else signal.SIGCONT)

    def refuse(self, refused: bool = True) -> None:
        """The schedd answers its user's questions no more: DENIED. Jobs go on."""
        self._refused = refused
        self._configure()
        self.must("condor_reconfig", "-daemon", "schedd")
        until(lambda: (self.asked("condor_q").returncode != 0) is refused, WITHIN, "it knows")

    def signal_schedd(self, which: int) -> None:
        found = self.pids("condor_schedd")  # itself, and those it has forked to answer
        assert found
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)

    def close(self) -> None:
        """End it, with all jobs. What it logged last is printed: pytest shows it with a failure."""
        self.kill_daemons()
        for log in sorted((self.inside / "log").glob("*Log")):
            print(tail(log))
        # What was mounted was so in their namespace only.
        shutil.rmtree(self.folder)

    # --- its users --------------------------------------------------------------------------

    def command(
        self, *words: str, user: str = USER, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """A command inside."""
        return subprocess.run(
            [*self._inside(user), *words],
            input=text,
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )

    def asked(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.command("timeout", "20", name, *words)

    def must(self, *words: str, user: str = "root", text: str = "") -> str:
        done = self.command(*words, user=user, text=text)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def submit(self, script: str, *lines: str, count: int = 1, folder: Path | None = None) -> str:
        """The number of a cluster of jobs that run a line of shell; ``lines``: more of its
        description. Its log is ``log`` in ``folder``."""
        folder = folder or Path(tempfile.mkdtemp(dir=self.work))
        folder.chmod(0o777)
        description = "\n".join(
            (
                *("universe = vanilla", "executable = /bin/sh", "transfer_executable = False"),
                f"arguments = \"-c '{script}'\"",
                f"initialdir = {folder}",
                *("log = condorLog", "output = stdout", "error = stderr"),
                *("should_transfer_files = NO", "request_memory = 16", "request_disk = 1"),
                *lines,
                f"queue {count}",
            )
        )
        out = self.must("condor_submit", "-terse", "-", user=USER, text=description)
        return out.partition(".")[0]

    def idle(self, count: int) -> str:
        """The number of a cluster of so many jobs that no slot ever takes, in one call."""
        return self.submit("exit 0", "requirements = False", "log =", count=count)

    def state(self, job: str, attribute: str = "JobStatus") -> str:
        """An attribute of it, '' if the queue does not name it."""
        cluster, _, proc = job.partition(".")
        which = f"ClusterId == {cluster} && ProcId == {proc or 0}"
        return self.must("condor_q", "-allusers", "-constraint", which, "-af", attribute)

    def reaches(self, job: str, *states: str, attribute: str = "JobStatus") -> None:
        what = f"{attribute} of job {job} is {states}"
        until(lambda: self.state(job, attribute) in states, WITHIN, what, self._story)

    def pids(self, name: str = "") -> list[int]:
        """Processes inside (of that name), by their numbers outside."""
        found = []
        ours = self._first_pid()
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if name and (place / "comm").read_text().strip() != name[:15]:
                    continue
                if os.readlink(place / "ns/pid") == os.readlink(f"/proc/{ours}/ns/pid"):
                    found.append(int(place.name))
        return found

    # --- inside -----------------------------------------------------------------------------

    def _first_pid(self) -> int:
        """The first process of the namespaces."""
        assert self._first is not None
        task = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children")
        return int(until(lambda: task.read_text().split(), WITHIN, "unshare has a child")[0])

    def _inside(self, user: str) -> list[str]:
        return [str(self.bin / "inside"), user]

    def _story(self) -> str:
        return "\n".join(tail(log, 8) for log in sorted((self.inside / "log").glob("*Log")))

    def _configure(self) -> None:
        server = {**COMMON, **SERVER, "NUM_CPUS": self.slots, "NUM_SLOTS": self.slots}
        server |= {"NUM_SLOTS_TYPE_1": self.slots, "SCHEDD_NAME": self.schedd, **self.settings}
        places = {
            "COLLECTOR_HOST": f"127.0.0.1:{self._port}",
            "LOCAL_DIR": self.inside,
            "SPOOL": self.inside / "spool",
            "SCHEDD_ADDRESS_FILE": self.inside / "spool" / ".schedd_address",
        }
        server |= {"SHARED_PORT_PORT": self._port, "HISTORY": self.inside / "spool" / "history"}
        server |= {key.upper(): self.inside / key for key in ("log", "execute", "lock", "run")}
        if self._refused:
            server["SCHEDD.DENY_READ"] = f"{USER}@{COMMON['UID_DOMAIN']}"
        # Those outside are taken for USER, whoever they are.
        client = {**COMMON, **CLIENT, "SEC_CLAIMTOBE_USER": USER, "LOG": self.work}
        for path, settings in ((self.conf, server), (self.client, client)):
            text = "".join(f"{k} = {v}\n" for k, v in {**settings, **places}.items())
            path.write_text(text)

    def _write_commands(self) -> None:
        environ = f"CONDOR_CONFIG={self.conf} PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME={self.work}"
        script = (
            "user=$1; shift\n"
            f"exec nsenter --mount --pid --target {self._first_pid()} "
            f"chroot --userspec=$user {self.root} env {environ} USER=$user"
        )
        texts = {"inside": f'{script} "$@"'}
        texts |= {name: f'exec {self.bin}/inside {USER} {name} "$@"' for name in COMMANDS}
        for name, text in texts.items():
            (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.bin / name).chmod(0o755)


@contextlib.contextmanager
def running(pool: Condor) -> Iterator[Condor]:
    try:
        pool.start()
        yield pool
    finally:
        pool.close()
