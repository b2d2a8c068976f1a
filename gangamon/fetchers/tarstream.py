"""A tar archive as it comes, each byte looked at once.

``tarfile`` takes some 100 us for the header of a small file; this takes 10. Headers that are not of
the plain kind are read by it.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from typing import Protocol

from gangamon.errors import TransientError
from gangamon.fetchers.framing import CutOff

BLOCK = 512

#: Bytes of a header that names the next member: a path has 4096 at most.
MOST_NAMED = 1 << 20

_ZEROS = bytes(BLOCK)
_PLAIN = (tarfile.REGTYPE, tarfile.DIRTYPE)
_GLOBAL = tarfile.XGLTYPE
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_NO_BODY = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)


class NoArchive(TransientError):
    """It is no tar archive, or not one that is whole."""


class Source(Protocol):
    """What it comes from. Raises CutOff where less is there."""

    def exactly(self, size: int) -> bytes: ...

    def some(self, most: int) -> memoryview:
        """At least one byte; empty at the end."""

    def skip(self, size: int) -> None: ...


class Tar:
    """One archive. Each call raises what the source does, and NoArchive."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = self._pad = 0

    def next(self) -> tarfile.TarInfo | None:
        """The next member, whatever of the last was not read; None at the end. Of its fields name,
        type, linkname, size and sparse count."""
        named: dict[str, str] = {}
        while True:
            self._source.skip(self._left + self._pad)
            self._left = self._pad = 0
            block = self._source.exactly(BLOCK)
            if block == _ZEROS:
                return None
            member = _header(block)
            if member.type not in _NO_BODY:
                self._body(member.size)
            if member.type == tarfile.GNUTYPE_LONGNAME:
                named["path"] = self._text()
            elif member.type == tarfile.GNUTYPE_LONGLINK:
                named["linkpath"] = self._text()
            elif member.type in _PAX:
                named.update(_records(self._named()))
            elif member.type != _GLOBAL:
                if member.type == tarfile.GNUTYPE_SPARSE:
                    self._sparse(member, block)
                return self._called(member, named) if named else member

    def content(self) -> bytes:
        """All of the member's."""
        found = self._source.exactly(self._left)
        self._left = 0
        return found

    def chunks(self, size: int) -> Iterator[memoryview]:
        """All of the member's, so many bytes at once at most."""
        while self._left:
            chunk = self._source.some(min(size, self._left))
            if not chunk:
                raise CutOff("it ended too early")
            self._left -= len(chunk)
            yield chunk

    def _body(self, size: int) -> None:
        if size < 0:
            raise NoArchive(f"a member of {size} bytes")
        self._left, self._pad = size, -size % BLOCK

    def _named(self) -> bytes:
        if self._left > MOST_NAMED:
            raise NoArchive(f"a name of {self._left} bytes")
        return self.content()

    def _text(self) -> str:
        return self._named().partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _sparse(self, member: tarfile.TarInfo, block: bytes) -> None:
        member.sparse = b""  # not None: it is one
        more = block[482]
        while more:
            more = self._source.exactly(BLOCK)[504]

    def _called(self, member: tarfile.TarInfo, named: Mapping[str, str]) -> tarfile.TarInfo:
        name = named.get("path", member.name)
        member.name = name.rstrip("/") if member.isdir() else name
        member.linkname = named.get("linkpath", member.linkname)
        if "size" in named and member.type not in _NO_BODY:
            if not (named["size"].isascii() and named["size"].isdigit()):
                raise NoArchive(f"a member of {named['size'][:20]!r} bytes")
            member.size = int(named["size"][:20])
            self._body(member.size)
        if any(key.startswith("GNU.sparse.") for key in named):
            member.sparse = b""  # not None: it is one
        return member


def _header(block: bytes) -> tarfile.TarInfo:
    size, told = block[124:136].rstrip(b" \0"), block[148:156].rstrip(b" \0")
    kind = block[156:157]
    if (
        kind in _PLAIN
        and block[257:262] == b"ustar"
        and not (size + told).strip(b"01234567")
        and size
        and told
        # Of the header's bytes, with spaces in the place of the checksum.
        and sum(block) - sum(block[148:156]) + 256 == int(told, 8)
    ):
        name = block[:100].partition(b"\0")[0]
        if block[345]:
            name = block[345:500].partition(b"\0")[0] + b"/" + name
        if kind == tarfile.DIRTYPE:
            name = name.rstrip(b"/")
        member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
        member.type, member.size = kind, int(size, 8)
        return member
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise NoArchive(f"no tar archive: {error}") from error


def _records(body: bytes) -> dict[str, str]:
    """``LENGTH KEY=VALUE\\n``, one after the other: pax(1)."""
    found = {}
    while body:
        told, _, _ = body.partition(b" ")
        length = int(told[:9]) if told.isdigit() else 0
        key, equals, value = body[len(told) + 1 : length - 1].partition(b"=")
        if not equals or length > len(body) or body[length - 1 : length] != b"\n":
            raise NoArchive("no tar archive: a faulty pax header")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        body = body[length:]
    return found
