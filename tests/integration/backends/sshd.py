"""A real sshd on loopback: private, with a key of its own, gone at the end."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from gangamon.ssh import Host, Ssh
from tests.support.waiting import tail, until

WITHIN = 120.0

PROGRAM = Path("/usr/sbin/sshd")


def missing() -> list[str]:
    """The packages that are not installed."""
    return [] if PROGRAM.exists() and shutil.which("ssh") else ["openssh-server"]


class Sshd:
    """``bin``: to be put before PATH; its ssh reads no configuration but ours. ``endpoint``: as a
    lane has it. ``temporary``: where the client's sockets are to lie."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gm-ssh-"))
        self.bin = self.folder / "bin"
        self.temporary = self.folder / "t"
        self.noise = self.folder / "noise.sh"
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        self.endpoint = f"{getpass.getuser()}@127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped: set[psutil.Process] = set()

    def start(self) -> None:
        for path in (self.bin, self.temporary):
            path.mkdir()
        for name in ("host", "id"):
            words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))
            subprocess.run(words, check=True, timeout=WITHIN)
        self.greet("")
        # The login shells of those who run this may do much more, and start shells of their own.
        login = self.folder / "login"
        login.write_text(f'#!/bin/sh\n. {self.noise}\neval "$SSH_ORIGINAL_COMMAND"\n')
        login.chmod(0o755)
        self.let_in()
        self.known_hosts = self.folder / "known_hosts"
        public = " ".join((self.folder / "host.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")
        (self.folder / "sshd_config").write_text(f"""
ListenAddress 127.0.0.1:{self.port}
HostKey {self.folder}/host
PidFile none
AuthorizedKeysFile {self.folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
MaxStartups 100
ForceCommand {self.folder}/login
""")
        config = self.folder / "ssh_config"
        config.write_text(
            f"IdentityFile {self.folder}/id\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {self.known_hosts}\nGlobalKnownHostsFile none\n"
            "StrictHostKeyChecking yes\n"
        )
        client = self.bin / "ssh"
        client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        client.chmod(0o755)
        self.serve()

    def serve(self) -> None:
        # Where it shuts its unprivileged part in, when it runs as root.
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROGRAM), "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._listens, WITHIN, "sshd listens", lambda: tail(self.folder / "log"))

    def let_in(self) -> None:
        shutil.copy(self.folder / "id.pub", self.folder / "authorized_keys")

    def lock_out(self) -> None:
        (self.folder / "authorized_keys").write_text("")

    def turn_away(self) -> None:
        """All who are in, too."""
        self.lock_out()
        self._cut()

    def signal(self, which: int) -> None:
        """To it and its connections: SIGSTOP and SIGCONT. Whoever was stopped is let go on, also
        where its parent has ended since."""
        assert self._process is not None
        found = {psutil.Process(self._process.pid), *self.connections()}
        if which == signal.SIGSTOP:
            self._stopped |= found
        elif which == signal.SIGCONT:
            found |= self._stopped
            self._stopped = set()
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(which)

    def greet(self, script: str) -> None:
        """What each login runs from now on, before what was asked for."""
        self.noise.write_text(f"{script}\n")

    def logins(self) -> int:
        return (self.folder / "log").read_text().count("Accepted publickey")

    def connections(self) -> list[psutil.Process]:
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def stop(self) -> None:
        """It is gone, and its connections with it."""
        self._cut()
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(WITHIN)
            self._process = None

    def _cut(self) -> None:
        for process in self.connections():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def close(self) -> None:
        self.stop()
        clients = [p for p in psutil.process_iter() if self._is_client(p)]
        for process in clients:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        print(tail(self.folder / "log"))
        shutil.rmtree(self.folder)

    def _is_client(self, process: psutil.Process) -> bool:
        """Connections in the background: ssh changes what it shows as its command line."""
        with contextlib.suppress(psutil.Error):
            return process.name() == "ssh" and any(
                str(self.folder) in word for word in process.cmdline()
            )
        return False

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def connection(self) -> Ssh:
        return Ssh(Host.parse(self.endpoint))


@contextlib.contextmanager
def running() -> Iterator[Sshd]:
    server = Sshd()
    try:
        server.start()
        yield server
    finally:
        server.close()
