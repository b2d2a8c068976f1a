"""Members of a tar archive that a job, or another host, has made: which may be written."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence

from gangamon.fetchers import manifest

_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
}


def unfit(member: tarfile.TarInfo, parts: Sequence[str]) -> str:
    """Why it must not be written below an output directory, '' if it may: files and directories
    whose names stay within. ``parts``: of its name, without empty ones and ``.``."""
    if member.name.startswith("/") or ".." in parts or "\0" in member.name:
        return "its name leads out of the output directory"
    if any(part.startswith(manifest.OURS) for part in parts):
        return manifest.RESERVED
    if member.sparse is not None:
        return "a sparse file"
    if member.isreg() or member.isdir():
        return ""
    to = f" to {member.linkname[:100]!r}" if member.issym() or member.islnk() else ""
    return f"{_KINDS.get(member.type, 'no plain file')}{to}"
