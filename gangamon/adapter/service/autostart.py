"""A service for a session that has jobs to watch and finds none: started in the background."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gangamon
from gangamon import instance as instances
from gangamon.settings import Settings, hostname

#: The command that people are told.
COMMAND = "gangamon up"

#: Seconds between two looks at whether a service may be started.
LOOK = 2.0

#: Seconds of silence until an instance that is known to run on this host is taken for dead. It is
#: `up` that decides: one that lives is left as it is.
SILENCE = 10.0

#: Least seconds between two starts by this session.
PAUSE = 60.0

#: Starts that bring no answer, after which this session starts none.
STARTS = 2

#: What that means for a session, with what to do about it: one whose jobs gangamon has, and one in
#: shadow mode.
STAND_STILL = "job statuses stand still until it does (%s); what you submit is kept and sent then"
NOT_COMPARED = "nothing is compared until it does (%s)"


class Autostart:
    """Starts ``gangamon up`` detached from the session, and says in one line what becomes of it.

    ``wanted``: [Gangamon] Autostart. ``say``: prints a line at the prompt; ``note``: one that asks
    for nothing, as an INFO of Ganga's. ``meaning``: of the service not being there. Not for several
    threads.
    """

    def __init__(
        self,
        settings: Settings,
        wanted: bool,
        say: Callable[[str], None],
        command: tuple[str, ...] = (sys.executable, "-m", "gangamon", "up"),
        note: Callable[[str], None] | None = None,
        meaning: str = STAND_STILL,
    ) -> None:
        self._note = note or say
        self._meaning = meaning
        self._settings, self._wanted, self._say, self._command = settings, wanted, say, command
        self._child: subprocess.Popen[bytes] | None = None
        self._why = ""
        self._look_at = self._start_at = 0.0
        self._silent_since: float | None = None
        self._failed = self._told = False
        self._starts = 0

    @property
    def log(self) -> Path:
        """What the last start printed."""
        return self._settings.state_dir / "autostart.log"

    @property
    def starting(self) -> bool:
        return self._child is not None

    # --- what the link tells ------------------------------------------------------------------

    def tell(self, up: bool, away: float) -> None:
        """The service has been away for some seconds, or is back."""
        if up:
            if self._told:
                self._note(f"gangamon: the service is back after {away:.0f} s")
            self._told = False
        elif not self.starting:
            self._stands_still("the service does not answer")

    def answered(self) -> None:
        """The service is there."""
        self._silent_since = None
        if self._reap() and self._starts:
            self._starts = 0
            self._note("gangamon: the service runs")

    # --- starting -----------------------------------------------------------------------------

    def look(self) -> None:
        """The service does not answer and there is work for it: start it if nobody else has to.
        Never waits."""
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        if not self._reap() or self._failed or now < max(self._look_at, self._start_at):
            return
        self._look_at = now + LOOK
        self._why = self._refusal()
        if self._why:
            return
        if self._may_answer():
            return
        if self._starts >= STARTS:
            self._gave_up(f"'{COMMAND}' went well, and it does not answer; see 'gangamon ps'")
            return
        self._start(now)

    def _refusal(self) -> str:
        """Why it is not for this session to start one; '' if it may. As advice: what to do."""
        settings = self._settings
        if settings.redis_url:
            return "redis.url is set: it is started where that server is, or by 'gangamon up'"
        found = instances.read(settings.instance_file)
        if found is not None and found.host != hostname():
            since = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.started))
            return (
                f"it runs on {found.host} since {since}, this is {hostname()}: work there, or end "
                f"it there with 'gangamon down', or set redis.url to a server that both reach; if "
                f"{found.host} is gone for good: 'gangamon up --take-over'"
            )
        try:
            mark = instances.ended_mark(settings).read_text(encoding="utf-8").strip()
        except OSError:
            mark = ""
        if mark:
            return f"'gangamon down' ended it: {mark}; '{COMMAND}' starts it"
        return "" if self._wanted else f"'{COMMAND}' starts it"

    def _may_answer(self) -> bool:
        """Whether an instance is known that was not silent for long enough to be taken for dead."""
        found = instances.read(self._settings.instance_file)
        if found is None:
            return False
        silent = time.monotonic() - (self._silent_since or 0.0)
        # One that another session has started since was not silent before.
        return min(silent, time.time() - found.started) < SILENCE

    def _start(self, now: float) -> None:
        self._start_at = now + PAUSE
        try:
            self._settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(
                self._settings.state_dir / "autostart.lock", os.O_RDWR | os.O_CREAT, 0o600
            )
        except OSError as error:
            self._gave_up(f"{self._settings.state_dir}: {error.strerror}")
            return
        try:
            if not _take(lock):
                self._why = "another session is starting it"
                self._start_at = 0.0
                return
            if self._may_answer():  # started between the last look and the lock
                self._start_at = 0.0
                return
            self._run(lock)
        except OSError as error:
            self._gave_up(f"{error.filename or self._command[0]}: {error.strerror}")
        finally:
            os.close(lock)

    def _run(self, lock: int) -> None:
        """The lock is held by `up` as long as it is at work, whether the session lives or not."""
        home = os.path.dirname(os.path.dirname(os.path.abspath(gangamon.__file__)))
        given = instances.environment(os.environ)
        path = [p for p in given.get("PYTHONPATH", "").split(os.pathsep) if p]
        # Ganga may have found us by RUNTIME_PATH only.
        given["PYTHONPATH"] = os.pathsep.join([*path, *([] if home in path else [home])])
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._child = subprocess.Popen(
                self._command,
                cwd="/",
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock,),
            )
        finally:
            os.close(descriptor)
        self._starts += 1
        self._note(
            f"gangamon: no service runs: one is started on {hostname()} in the background "
            "('gangamon ps' shows it, 'gangamon down' ends it)"
        )

    def _reap(self) -> bool:
        """Whether no start is under way."""
        if self._child is None:
            return True
        code = self._child.poll()
        if code is None:
            return False
        self._child = None
        if code:
            self._gave_up(_first_lines(self.log) or f"exit code {code}")
        return True

    def _gave_up(self, fault: str) -> None:
        self._failed, self._starts = True, 0
        self._why = f"see why with '{COMMAND}'"
        self._stands_still(f"the service could not be started: {fault}")

    def _stands_still(self, fault: str) -> None:
        self._told = True
        self._say(f"gangamon: {fault}: {self._meaning % (self._why or self._refusal() or _TRY)}")


_TRY = f"'{COMMAND}' starts it"


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: `up` has its own
        return True
    return True


def _first_lines(path: Path, count: int = 2) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(line.removeprefix("gangamon: ") for line in lines[:count])
