"""Running a script on another host: by the OpenSSH client, one connection a host for all of it.

The client of the system and not a library: what a site asks for (Kerberos, certificates, agents,
jump hosts, aliases, its known hosts) stands in the user's and the site's ssh_config, and no key
comes into our processes. ControlMaster (ssh_config(5)) gives one connection to all of a user's
processes on this host. Nothing is asked of anybody: BatchMode.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gangamon.errors import BackendUnreachable, BadInput, CredentialMissing, TransientError
from gangamon.ssh.stream import MOST_NOISE, Late, Output, Talk, end, text

#: Seconds for which an idle connection is kept.
PERSIST = 120

#: Seconds in which a connection must be there, and within which one that died is noticed.
CONNECT = 20

#: Bytes that a script may print, where all of it is kept.
MOST_OUTPUT = 64 << 20

#: What the client says when it was not let in, or may not use the key (OpenSSH 9.2, sshconnect2.c).
_REFUSED = re.compile(
    "permission denied|too many authentication failures|no more authentication methods"
    "|load key .*(bad permissions|invalid format)|unprotected private key",
    re.I,
)
_UNKNOWN_HOST = re.compile("host key verification failed|host identification has changed", re.I)

_HOST = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][\w.$-]*)@)?"
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
)


@dataclass(frozen=True)
class Host:
    """Where to: ``USER@NAME:PORT``; user and port may be '', then ssh_config says which."""

    name: str
    user: str = ""
    port: str = ""

    @classmethod
    def parse(cls, text: str) -> Host:
        """BadInput for anything else: it comes to stand in a command line."""
        match = _HOST.fullmatch(text)
        if match is None:
            raise BadInput([f"host: got {text!r}; accepted: [USER@]HOST[:PORT]"])
        return cls(match["name"].strip("[]"), match["user"] or "", match["port"] or "")

    def __str__(self) -> str:
        return f"{self.user}@{self.name}" if self.user else self.name


class Ssh:
    """Scripts on one host. ``key``: the file of a private key, '' for what ssh_config says."""

    def __init__(self, host: Host, key: str = "") -> None:
        if key and not os.path.isabs(key):
            raise BadInput([f"key: got {key!r}; accepted: an absolute path"])
        self._host = host
        self._words = [
            *("ssh", "-T", "-x", "-a", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT}"),
            *("-o", f"ServerAliveInterval={CONNECT // 2}", "-o", "ServerAliveCountMax=2"),
            *("-o", f"ControlPath={_sockets()}/{'k' if key else ''}%C"),
            *(("-i", key, "-o", "IdentitiesOnly=yes") if key else ()),
            *(("-l", host.user) if host.user else ()),
            *(("-p", host.port) if host.port else ()),
        ]

    def run(self, script: str, timeout: float) -> str:
        """What a shell script printed, within ``timeout`` seconds. Raises CredentialMissing or
        BackendUnreachable, also where it did not come to its end."""
        with self.stream(script, timeout, timeout) as (out, done):
            text = bytearray()
            while chunk := out.read(1 << 16):
                text += chunk
                if len(text) > MOST_OUTPUT:
                    raise BackendUnreachable(f"{self._host}: it printed more than {MOST_OUTPUT} B")
            return done(bytes(text)).decode("utf-8", "replace")

    @contextlib.contextmanager
    def stream(
        self, script: str, timeout: float, idle: float
    ) -> Iterator[tuple[Output, Callable[[bytes], bytes]]]:
        """What a shell script prints, as it comes, within ``timeout`` seconds, never waiting longer
        than ``idle`` for more; and a function that takes what was last read, checks that the script
        came to its end with exit code 0, and gives that back without the mark of the end."""
        deadline = time.monotonic() + timeout
        mark = made_up()
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
            given.write(
                f"LC_ALL=C; export LC_ALL\nprintf '%s\\n' {mark}\n{script}\n"
                f"printf '\\n%s %s\\n' {mark} $?\n".encode()
            )
            given.seek(0)
            self._connect(deadline)
            process = self._start([*self._words, *self._far("exec /bin/sh -s")], given, errors)
            try:
                out = self._begun(process, mark, errors, deadline, idle)
                yield out, lambda last: self._ended(last, mark, errors)
            except Late:
                # The connection may hang: the next query shall have a new one.
                self._drop()
                raise
            finally:
                end(process)

    def talk(self, script: str, timeout: float, idle: float) -> Talk:
        """A shell script that reads what it is to do from its standard input, begun within
        ``timeout`` seconds; then never waiting longer than ``idle`` for more of what it prints. It
        must be ended. Raises CredentialMissing or BackendUnreachable."""
        mark, deadline = made_up(), time.monotonic() + timeout
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the talk
        try:
            self._connect(deadline)
            words = [*self._words, *self._far("exec /bin/sh -s")]
            process = self._start(words, subprocess.PIPE, errors)
            assert process.stdin is not None
            try:
                # In one command: a shell has read all of it before it does the first thing, and
                # may read ahead till then.
                head = f"LC_ALL=C; export LC_ALL; printf '%s\\n' {mark}"
                with contextlib.suppress(OSError):
                    process.stdin.write(f"{{ {head}\n{script}\n}}\n".encode())
                    process.stdin.flush()
                return Talk(process, self._begun(process, mark, errors, deadline, idle), errors)
            except BaseException as error:
                if isinstance(error, Late):
                    self._drop()
                end(process)
                raise
        except BaseException:
            errors.close()
            raise

    def _begun(
        self,
        process: subprocess.Popen[bytes],
        mark: str,
        errors: IO[bytes],
        deadline: float,
        idle: float,
    ) -> Output:
        """What it prints behind the mark."""
        assert process.stdout is not None
        out = Output(process.stdout, str(self._host), deadline, idle)
        try:
            out.skip_past(f"{mark}\n".encode())
        except EOFError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1)  # its output has ended, or is worth nothing
            raise self._fault(errors, process.poll()) from None
        return out

    def _ended(self, last: bytes, mark: str, errors: IO[bytes]) -> bytes:
        # A logout may print something, too.
        body, found, tail = last.rpartition(f"\n{mark} ".encode())
        if not found:
            raise BackendUnreachable(f"{self._host}: cut off: {text(errors)}")
        code = tail.split(b"\n")[0].decode()
        if code != "0":
            raise BackendUnreachable(f"{self._host}: exit code {code}: {text(errors)}")
        return body

    # --- the connection ---------------------------------------------------------------------

    def _connect(self, deadline: float) -> None:
        """See that there is one."""
        with _alone(deadline):
            if not self._control("check"):
                self._control("exit")
                self._open(deadline)

    def _open(self, deadline: float) -> None:
        """It goes to the background when it is authenticated. Its own stderr is a file: a pipe it
        would hold open for as long as it lives."""
        keep = ("-f", "-N", "-o", "ControlMaster=yes", "-o", f"ControlPersist={PERSIST}")
        with tempfile.TemporaryFile() as errors:
            process = self._start([*self._words, *keep, *self._far()], subprocess.DEVNULL, errors)
            try:
                code = process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise BackendUnreachable(f"{self._host}: no connection in time") from None
            finally:
                end(process)
            if code:
                raise self._fault(errors, code)

    def _control(self, what: str) -> bool:
        """``ssh -O``: ``check``, or ``exit``."""
        try:
            done = subprocess.run(
                [*self._words, "-O", what, *self._far()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=5,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        except OSError as error:
            raise BackendUnreachable(f"ssh: {error.strerror}") from error
        return done.returncode == 0

    def _drop(self) -> None:
        with contextlib.suppress(TransientError):
            self._control("exit")

    def close(self) -> None:
        """End the connection, for all who use it."""
        self._drop()

    def _far(self, *command: str) -> list[str]:
        return ["--", self._host.name, *command]

    def _start(
        self, words: list[str], given: int | IO[bytes], errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                words,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            raise BackendUnreachable(f"ssh: {error.strerror}") from error

    def _fault(self, errors: IO[bytes], code: int | None) -> TransientError:
        said = text(errors)
        if _UNKNOWN_HOST.search(said):
            hint = f"log in once by hand (ssh {self._host}) to accept its host key"
            return BackendUnreachable(f"{self._host}: {said} ({hint})")
        if _REFUSED.search(said):
            return CredentialMissing(f"{self._host}: {said}")
        if code is None:
            return BackendUnreachable(f"{self._host}: no answer but {MOST_NOISE} bytes of a login")
        return BackendUnreachable(f"{self._host}: ssh: exit code {code}: {said or 'no message'}")


@contextlib.contextmanager
def _alone(deadline: float) -> Iterator[None]:
    """Of two processes that open a connection at once one would have another, which stays."""
    with open(f"{_sockets()}/lock", "ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BackendUnreachable("ssh: another process is still connecting") from None
                time.sleep(0.05)
        yield


def _sockets() -> str:
    """A directory of this user's alone, on a local disk, with a short name: sockets lie there."""
    path = Path(tempfile.gettempdir(), f"gangamon-ssh-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise BackendUnreachable(f"{path}: must be a directory of yours, of mode 0700")
    return str(path)


def made_up() -> str:
    """A word that nobody can know before."""
    return f"gangamon-{secrets.token_hex(12)}"


def version() -> str:
    """Of the client; BackendUnreachable if there is none."""
    if shutil.which("ssh") is None:
        raise BackendUnreachable("ssh: there is no such command")
    done = subprocess.run(["ssh", "-V"], capture_output=True, text=True, timeout=30, check=False)
    return done.stderr.strip()
