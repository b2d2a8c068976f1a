"""Outputs of Ganga's Remote jobs: they lie in the workspace of the Ganga on the other host.

One ``tar`` there, over the connection that the polls use as well. Ganga reads each file of the
output directory whole into its memory, and writes it as text (Lib/Remote/Remote.py, 8.7.12).
"""

from __future__ import annotations

import os
import shlex
import tarfile
from typing import IO, cast

from gangamon.errors import BadInput, OutputMissing, StorageAway, TransientError
from gangamon.fetchers import manifest, members
from gangamon.protocols import FetchOrder, Manifest
from gangamon.ssh import Host, Output, Ssh

#: Seconds that it may take in all, and without a byte.
LONGEST, IDLE = 86400.0, 120.0

_SCRIPT = """d=%s
case "$d" in '~/'*) d=$HOME/${d#'~/'} ;; esac
if [ -x "$d/output" ] && [ -r "$d/output" ]; then
  echo there; cd "$d/output" && tar -cf - .
elif [ -x "${d%%/*}" ] && [ ! -e "$d/output" ]; then
  e=; for e in "${d%%/*}"/*; do break; done
  if [ -e "$e" ]; then echo none; else echo away; fi
else echo away; fi"""

#: More than the mark of the end and what a logout may print.
_TAIL = 1 << 16


class RemoteFetcher:
    """``extra`` of an order: as of the items of ``RemoteBackend``."""

    name = "Remote"

    def fetch(self, order: FetchOrder) -> Manifest:
        """See Fetcher. Raises OutputMissing if the job is not there any more, StorageAway for what
        a file system refuses now, here or there, CredentialMissing."""
        target = os.path.realpath(order.target)
        if not manifest.under(target, order.roots):
            raise BadInput([f"target: got {order.target!r}; accepted: a path under {order.roots}"])
        if not os.path.isdir(target):
            raise StorageAway(f"{target}: there is no such directory")
        try:
            if done := manifest.known(target, order.attempt, manifest.listing(target, order.roots)):
                return done
            left_out = self._bring(order, target)
            found = manifest.listing(target, order.roots)
            return manifest.write(target, order.fqid, order.attempt, found, left_out=left_out)
        except OSError as error:
            raise StorageAway(f"{error.filename or target}: {error.strerror}") from error

    def _bring(self, order: FetchOrder, target: str) -> list[str]:
        top, id_ = order.extra.get("workspace"), order.native_id
        if not isinstance(top, str) or not top or not id_.isdecimal():
            raise OutputMissing(
                f"job {order.fqid}: its place on {order.lane.endpoint} is not known"
            )
        place = f"{top.rstrip('/')}/{id_}"
        link = Ssh(Host.parse(order.lane.endpoint), str(order.extra.get("ssh_key") or ""))
        with link.stream(_SCRIPT % shlex.quote(place), LONGEST, IDLE) as (out, done):
            source, left_out = _Source(out), list[str]()
            state = source.line()
            if state == b"none":
                raise OutputMissing(f"{place}: not on {order.lane.endpoint}")
            if state != b"there":
                raise StorageAway(f"{place}: cannot be read on {order.lane.endpoint}")
            try:
                with tarfile.open(fileobj=cast(IO[bytes], source), mode="r|") as archive:
                    for member in archive:
                        left_out += _place(archive, member, target)
            except tarfile.TarError as error:
                raise TransientError(f"{place}: cut off: {error}") from error
            source.drain()
            done(source.tail)
        return left_out


class _Source:
    """What comes, with its last bytes: tarfile reads more than it uses."""

    def __init__(self, out: Output) -> None:
        self._out, self.tail = out, b""

    def read(self, size: int) -> bytes:
        found = self._out.read(size)
        self.tail = (self.tail + found)[-_TAIL:]
        return found

    def line(self) -> bytes:
        found = bytearray()
        while len(found) < 100 and (byte := self.read(1)) not in (b"", b"\n"):
            found += byte
        return bytes(found)

    def drain(self) -> None:
        while self.read(_TAIL):
            pass


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, target: str) -> list[str]:
    """One file, which appears whole or not at all; what was left out."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if not parts or member.isdir():
        return []
    if why := members.unfit(member, parts):
        return [manifest.left_out(member.name, why)]
    path = manifest.spot(target, parts)
    content = archive.extractfile(member)
    assert content is not None
    manifest.put(path, content)
    if (size := os.path.getsize(path)) != member.size:
        raise TransientError(f"{path}: {size} bytes came, {member.size} were to come")
    return []
