"""Where an instance keeps its files.

The state directory may lie in a home that several hosts share; sockets, the append-only file and
locks may not, for they need one kernel. So there is a local directory beside it: the configured
one, else a part of the state directory if that is on a local disk, else one in /var/tmp.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gangamon.errors import BadSettings
from gangamon.settings import Settings, hostname

MOUNTS = Path("/proc/self/mountinfo")
SCRATCH = Path("/var/tmp")
SHORT = Path("/tmp")

# fmt: off
#: File systems that another host may write at the same time.
NETWORK = frozenset([
    "acfs", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "cvmfs2", "dvs", "fhgfs", "gfs",
    "gfs2", "glusterfs", "gpfs", "lustre", "mmfs", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs",
    "panfs", "pvfs2", "smb3", "smbfs", "wekafs",
])
# fmt: on
#: Those in user space are taken for network ones (sshfs, EOS, rclone, ...), but for these.
LOCAL_FUSE = frozenset(
    f"fuse.{name}" for name in ("encfs", "fuse-overlayfs", "gocryptfs", "bindfs", "zfs")
)

#: sun_path holds 108 bytes (104 on macOS), one of them the closing zero. supervisord binds to
#: the name with its pid after it, and renames.
SOCKET_BYTES = 107 if os.uname().sysname == "Linux" else 103
_LONGEST_SOCKET = "/supervisor.sock.4194304"


@dataclass(frozen=True)
class Places:
    """``local`` is on a disk of this host, for this state directory alone."""

    state: Path
    local: Path
    sockets: Path

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def up_lock(self) -> Path:
        return self.state / "up.lock"

    @property
    def last_host(self) -> Path:
        """Names the host that was the last to run here: its Redis data are the newest."""
        return self.state / "last-host"

    @property
    def flower_password(self) -> Path:
        return self.state / "flower-password"

    @property
    def web_password(self) -> Path:
        return self.state / "web-password"

    @property
    def data(self) -> Path:
        """Redis's directory. Each host has its own, so that no two ever open one."""
        return self.local / f"redis-{hostname()}"

    @property
    def data_lock(self) -> Path:
        """Held by the Redis server as long as it lives."""
        return self.local / f"redis-{hostname()}.lock"

    @property
    def starts(self) -> Path:
        return self.local / "starts"

    @property
    def redis_config(self) -> Path:
        return self.local / "redis.conf"

    @property
    def supervisor_config(self) -> Path:
        return self.local / "supervisord.conf"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis.sock"

    @property
    def supervisor_socket(self) -> Path:
        return self.sockets / "supervisor.sock"


def plan(settings: Settings) -> Places:
    """The places of these settings; nothing is created. BadSettings names every fault."""
    state = settings.state_dir.resolve()
    mark = hashlib.sha256(os.fsencode(state)).hexdigest()[:8]
    if settings.local_dir is not None:
        base = settings.local_dir.resolve()
        refused = network_type(base)
        if refused:
            raise BadSettings(
                [
                    f"local_dir: got {settings.local_dir}, which is on a network file system "
                    f"({refused}); accepted: a directory on a disk of this host"
                ]
            )
        local = base / mark
    elif not network_type(state):
        local = state / "local"
    else:
        local = SCRATCH / f"gangamon-{os.getuid()}" / mark
        if refused := network_type(local):
            raise BadSettings(
                [
                    f"local_dir: not set, and neither {state} nor {SCRATCH} is on a local disk "
                    f"({network_type(state)}, {refused}); set it to a directory on a disk of this "
                    "host"
                ]
            )
    sockets = local / "run"
    if len(os.fsencode(sockets)) + len(_LONGEST_SOCKET) > SOCKET_BYTES:
        # Not XDG_RUNTIME_DIR: it is removed when the user's last session on the host ends.
        sockets = SHORT / f"gangamon-{os.getuid()}-{mark}"
    return Places(state, local, sockets)


def create(places: Places) -> None:
    """Make the directories, each for its owner only. BadSettings names every fault."""
    faults: list[str] = []
    scratch = places.local.parent
    own = [("local_dir", scratch)] if scratch.parent == SCRATCH else []
    for key, path in (
        ("state_dir", places.state),
        *own,
        ("local_dir", places.local),
        ("local_dir", places.sockets),
        ("local_dir", places.data),
        ("local_dir", places.starts),
        ("state_dir", places.logs),
    ):
        try:
            faults += [f"{key}: {fault}" for fault in _private(path)]
        except OSError as error:
            faults.append(f"{key}: {path} cannot be made: {error.strerror}")
        if faults:
            raise BadSettings(faults)


def _private(path: Path) -> Sequence[str]:
    """Make a directory of mode 0700, or take one of ours; what is wrong with it otherwise."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return [f"{path} is in the way: it is not a directory"]
    if found.st_uid != os.getuid():
        return [f"{path} belongs to another user (uid {found.st_uid}); name another directory"]
    if path == Path.home():
        return [f"{path} is your home directory; name one of gangamon's own"]
    if stat.S_IMODE(found.st_mode) != 0o700:
        path.chmod(0o700)
    if not os.access(path, os.W_OK | os.X_OK):
        return [f"{path} cannot be written"]
    return []


def network_type(path: Path) -> str:
    """The file system's type if it is one that other hosts may write too; else ''."""
    kind = filesystem(path)
    fuse = kind.startswith("fuse.") or kind == "fuse"
    return kind if kind in NETWORK or (fuse and kind not in LOCAL_FUSE) else ""


def filesystem(path: Path) -> str:
    """The type of the file system that holds a path, existing or not; '' if not known."""
    path = path.resolve()
    # Looking at it makes an automounter mount what belongs there.
    for ancestor in (path, *path.parents):
        if ancestor.exists():
            break
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return ""
    best, kind = -1, ""
    for line in lines:
        fields, _, rest = line.partition(" - ")
        mount = Path(re.sub(r"\\([0-7]{3})", _octal, fields.split(" ")[4]))
        # Of two mounts on one point the later one covers the other.
        if (mount == path or mount in path.parents) and len(mount.parts) >= best:
            best, kind = len(mount.parts), rest.split(" ")[0]
    return kind


def _octal(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))


def write(path: Path, text: str) -> None:
    """Appears whole or not at all, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(temporary, path)
