"""Facts of this host for the doctor: credentials, ticket caches, what happens at logout."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from gangamon import instance
from gangamon.domain.lane import Lane
from gangamon.errors import CredentialMissing
from gangamon.grid import credential
from gangamon.settings import Settings, hostname
from gangamon.views.logins import Caches, Held, Logout, afs_ends, ticket_ends

#: Where drop-ins of logind.conf(5) lie; of one name the last counts, and all in the names' order.
LOGIND = ("usr/lib", "run", "etc")


def credentials(
    lanes: Iterable[str], environ: Mapping[str, str], user: int, home: Path
) -> Iterator[Held]:
    """Those that lanes name, which are needed; and those of this shell, as far as there are any.
    ``home``: what the service keeps, which may lie in AFS."""
    named = {Lane.parse(name).credential for name in lanes}
    files = {name for name in named if name.startswith("/")}
    for path in sorted(files):
        yield _file(path, True)
    usual = environ.get("X509_USER_PROXY") or f"/tmp/x509up_u{user}"
    if usual not in files and ("X509_USER_PROXY" in environ or os.path.exists(usual)):
        yield _file(usual, False)
    if shutil.which("klist") is not None:
        said = _say("klist")
        if said or "KRB5CCNAME" in environ:
            place = environ.get("KRB5CCNAME", "the default ticket cache")
            ends = ticket_ends(said)
            missing = "" if ends is not None else "klist shows no ticket-granting ticket"
            yield Held("Kerberos ticket", place, ends, missing, needed=False)
    if any(str(path).startswith("/afs/") for path in (home, Path.home())):
        ends = afs_ends(_say("tokens"), time.time())
        missing = "" if ends is not None else "tokens shows none that is valid"
        yield Held("AFS token", "AFS", ends, missing)


def _file(path: str, needed: bool) -> Held:
    try:
        found = credential.read(path)
    except CredentialMissing as error:
        reason = str(error).removeprefix(f"{path}: ")
        return Held("token" if "token" in path else "proxy", path, missing=reason, needed=needed)
    return Held("token" if found.token else "proxy", path, found.ends, needed=needed)


def _say(command: str) -> str:
    """What a command prints; '' if it fails, is missing or hangs."""
    try:
        ran = subprocess.run(
            [command],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout if ran.returncode == 0 else ""


def caches(settings: Settings, proc: Path = Path("/proc")) -> Caches | None:
    """By the environment of the instance that runs on this host; None: none that we may see."""
    try:
        lines = (proc / str(_instance_pid(settings)) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    environ = dict(line.decode(errors="replace").partition("=")[::2] for line in lines)
    name = environ.get("KRB5CCNAME", "")
    kind, mark, path = name.rpartition(":")
    return Caches(name, os.path.exists(path) if not mark or kind in ("FILE", "DIR") else True)


def logout(settings: Settings, root: Path = Path("/")) -> Logout:
    """Of the instance that runs on this host, else of this process."""
    user = getpass.getuser()
    if not (root / "run/systemd/system").is_dir():
        return Logout(user, None)
    inserted: dict[str, Path] = {}
    for folder in LOGIND:
        found = (root / folder / "systemd/logind.conf.d").glob("*.conf")
        inserted.update({path.name: path for path in found})
    files = [root / "etc/systemd/logind.conf", *(inserted[name] for name in sorted(inserted))]
    pid = _instance_pid(settings) or "self"
    groups = _text(root / "proc" / str(pid) / "cgroup")
    return Logout(
        user,
        tuple(_text(file) for file in files),
        lingers=(root / "var/lib/systemd/linger" / user).exists(),
        session="/session-" in groups,
    )


def _instance_pid(settings: Settings) -> int | None:
    found = instance.read(settings.instance_file)
    return found.pid if found is not None and found.host == hostname() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
