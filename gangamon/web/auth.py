"""Who may use the page: its password, sessions, and what a request must show.

Without a password the page listens on loopback only. Everybody on that host can reach it then; a
page of another site cannot, for it knows neither the address's name (``Host``) nor the token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import stat
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

from gangamon.errors import BadInput

LOOPBACK = ("127.0.0.1", "::1", "localhost")
COOKIE = "gangamon-session"

#: Seconds that a session lasts without being used, and sessions at the same time.
IDLE, SESSIONS = 12 * 3600.0, 1000

#: Wrong passwords within so many seconds: of one address, of all.
WINDOW, TRIES, TRIES_OF_ALL = 60.0, 5, 100

#: Characters that a password has at least.
SHORTEST = 12


class Refused(Exception):
    """``status``: 400, 401, 403 or 429; ``wait``: seconds after which to try again."""

    def __init__(self, status: int, why: str, wait: int = 0) -> None:
        super().__init__(why)
        self.status, self.why, self.wait = status, why, wait


@dataclass
class Session:
    """``token``: what every change must bring along."""

    token: str
    used: float


def read_password(path: Path) -> str:
    """The first line of a file that only its owner can read, or its group too: so are secrets
    mounted into pods. BadInput."""
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BadInput([f"web.password_file: {path} cannot be read: {why}"]) from error
    if stat.S_IMODE(mode) & 0o037:
        raise BadInput(
            [f"web.password_file: {path} has mode {stat.S_IMODE(mode):04o}; accepted: 0600, 0400, "
             "or 0640, 0440"]
        )  # fmt: skip
    password = lines[0].strip() if lines else ""
    if len(password) < SHORTEST:
        raise BadInput(
            [f"web.password_file: the first line of {path} is too short; accepted: a password of "
             f"at least {SHORTEST} characters"]
        )  # fmt: skip
    return password


def check_address(address: str, password: str) -> None:
    """BadInput: others could reach the page there, and need no password."""
    if not password and address not in LOOPBACK:
        raise BadInput(
            [f"web.address: got {address!r} without a password; accepted: {', '.join(LOOPBACK)}, "
             "or any address with web.password_file"]
        )  # fmt: skip


class Gate:
    """``password`` '': no login. Safe between threads."""

    def __init__(self, password: str) -> None:
        self.login = bool(password)
        self._key = secrets.token_bytes(32)
        self._digest = self._hash(password)
        self._open = Session(secrets.token_urlsafe(32), 0.0)
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._failed: dict[str, deque[float]] = {}
        self._all: deque[float] = deque(maxlen=TRIES_OF_ALL)
        self._lock = Lock()

    def session(self, cookie: str | None, authorization: str | None, peer: str) -> Session | None:
        """Whose request this is; None: nobody's who has logged in. Refused: too many tries.

        A program sends the password in ``Authorization: Bearer``; no browser does that by itself,
        so such a request needs no token (``Session.token`` '')."""
        if not self.login:
            return self._open
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() == "bearer":
            return Session("", 0.0) if self._right(given.strip(), peer) else None
        name = self._name(cookie or "")
        with self._lock:
            found = self._sessions.get(name)
            if found is None:
                return None
            if time.monotonic() - found.used > IDLE:
                del self._sessions[name]
                return None
            found.used = time.monotonic()
            self._sessions.move_to_end(name)
            return found

    def enter(self, password: str, peer: str) -> str | None:
        """The cookie of a new session; None: not the password. Refused: too many tries."""
        if not self._right(password, peer):
            return None
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            self._sessions[self._name(cookie)] = Session(
                secrets.token_urlsafe(32), time.monotonic()
            )
            while len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
        return cookie

    def leave(self, cookie: str | None) -> None:
        with self._lock:
            self._sessions.pop(self._name(cookie or ""), None)

    def check_host(self, headers: Mapping[str, str]) -> None:
        """Refused: the name by which it was asked is not loopback's, so that a page of another
        site, whose name was made to point here, asks. With a login such a page has no session."""
        host = _host(f"//{headers.get('host', '')}")
        if not self.login and host not in LOOPBACK:
            raise Refused(400, "Host: accepted: " + ", ".join(LOOPBACK))

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Refused: a page of another site asks for a change."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if site not in (None, "same-origin", "none"):
            raise Refused(403, "asked by a page of another site")
        if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
            raise Refused(403, "Origin: not this page's own")

    def check_change(self, headers: Mapping[str, str], session: Session) -> None:
        """Refused: the change was not asked for by this page."""
        self.check_origin(headers)
        given = headers.get("x-csrf-token", "")
        if session.token and not hmac.compare_digest(given.encode(), session.token.encode()):
            raise Refused(403, "X-CSRF-Token: missing or not this session's")

    def _right(self, given: str, peer: str) -> bool:
        now = time.monotonic()
        with self._lock:
            mine = self._failed.setdefault(peer, deque(maxlen=TRIES))
            for times, most in ((mine, TRIES), (self._all, TRIES_OF_ALL)):
                if len(times) == most and now - times[0] < WINDOW:
                    wait = int(WINDOW - (now - times[0])) + 1
                    raise Refused(429, f"too many wrong passwords; try again in {wait} s", wait)
            if hmac.compare_digest(self._hash(given), self._digest):
                self._failed.pop(peer, None)
                return True
            mine.append(now)
            self._all.append(now)
            old = [p for p, times in self._failed.items() if not times or now - times[-1] > WINDOW]
            for one in old:
                del self._failed[one]
            return False

    def _hash(self, text: str) -> bytes:
        """Of one length for any text; keyed, so that a dump of it is of no use."""
        return hashlib.blake2b(text.encode(), key=self._key).digest()

    def _name(self, cookie: str) -> str:
        return self._hash(cookie).hex()


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
