"""Daemons of a private installation in a folder under /tmp, ended with it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from tests.support.waiting import tail, until

#: Seconds until a daemon answers on a machine that stands still.
WITHIN = 120.0

PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

#: Debian's Python, which sees the modules of Debian's packages.
DEBIAN = "/usr/bin/python3"


def python_of(folder: Path, requirements: Path, *options: str) -> Path:
    """The Python of a new environment in this folder, with what a file pins from PyPI and nothing
    else. ``options``: of venv. Takes about 20 s."""
    python = folder / "bin" / "python"
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-compile")
    quiet = ("--disable-pip-version-check", "--root-user-action=ignore")
    for words in (
        (DEBIAN, "-m", "venv", *options, str(folder)),
        (str(python), *pip, *quiet, "--requirement", str(requirements)),
    ):
        done = subprocess.run(words, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return python


def free_ports(count: int) -> list[int]:
    """Of loopback, and different from each other."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            found = stack.enter_context(socket.socket())
            found.bind(("127.0.0.1", 0))
            ports.append(int(found.getsockname()[1]))
        return ports


class Daemons:
    """``folder``: their own; ``environ``: what they and their clients run with."""

    def __init__(self, prefix: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        (self.folder / "log").mkdir()
        self.environ = {**os.environ, "PATH": PATH}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def daemon(self, *words: str, name: str) -> None:
        program = shutil.which(words[0], path=PATH)
        assert program is not None, words[0]
        with (self.folder / "log" / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                [program, *words[1:]],
                env=self.environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def kill(self, name: str, signal_: int = signal.SIGKILL) -> None:
        """End one that runs."""
        daemon = self._daemons.pop(name)
        daemon.send_signal(signal_)
        daemon.wait(WITHIN)

    def pause(self, name: str) -> None:
        """It stands still, with its connections, until ``resume``."""
        self.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.signal(name, signal.SIGCONT)

    def signal(self, name: str, signal_: int) -> None:
        self._daemons[name].send_signal(signal_)

    def run(self, *words: str, text: str = "") -> str:
        """A command that must succeed; what it printed."""
        done = subprocess.run(
            words, env=self.environ, input=text, capture_output=True, text=True, timeout=WITHIN
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def until_listens(self, port: int) -> None:
        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(listens, WITHIN, f"port {port} is open", self.story)

    def start_mariadb(self, *options: str) -> None:
        """On ``FOLDER/db.sock``, and where ``options`` say."""
        data, user = self.folder / "db", getpass.getuser()
        self.run(
            *("mariadb-install-db", "--no-defaults", f"--user={user}", f"--datadir={data}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        self.daemon(
            *("mariadbd", "--no-defaults", f"--user={user}", f"--datadir={data}"),
            *(f"--socket={self.folder}/db.sock", f"--pid-file={self.folder}/db.pid"),
            # It is thrown away at the end.
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"),
            *("--innodb-log-file-size=16M", "--skip-name-resolve"),
            *options,
            name="mariadbd",
        )

        def answers() -> bool:
            with contextlib.suppress(AssertionError):
                self.mariadb("select 1;")
                return True
            return False

        until(answers, WITHIN, "the database answers", self.story)

    def mariadb(self, statements: str) -> str:
        socket_ = f"--socket={self.folder}/db.sock"
        return self.run("mariadb", "--no-defaults", socket_, "--user=root", text=statements)

    def story(self) -> str:
        return "\n".join(tail(log, 12) for log in sorted((self.folder / "log").glob("*")))

    def close(self) -> None:
        """End all. What they logged last is printed: pytest shows it with a failure."""
        for name in reversed(list(self._daemons)):
            self.kill(name)
        print(self.story())
        shutil.rmtree(self.folder)
