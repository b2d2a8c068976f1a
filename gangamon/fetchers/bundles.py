"""Small jobs of one workspace on another host, in one archive: to start a ``tar`` for each takes as
long there as to read forty small files.

What the archive has is a job's by the first part of its name. Whatever is wrong with it, or with
one of its jobs, nothing is told of any: they are asked for one by one then.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gangamon.errors import DiskFull
from gangamon.fetchers.tarstream import NoArchive, Source, Tar
from gangamon.fetchers.unpacking import Unpacked, Writer

#: Bytes of a small job.
SMALL = 1 << 18

#: What came of a job, or what has failed here.
Came = Unpacked | DiskFull | OSError

#: Of how many workspaces it is known whether the last job there was small.
_MOST = 10_000

_last: dict[object, bool] = {}


@dataclass(frozen=True)
class Bundle:
    """``targets``: by the jobs' numbers there. ``top``: where these directories are."""

    top: str
    targets: Mapping[str, str]

    @property
    def asked(self) -> str:
        """As ``sessions`` asks for it."""
        return f"+{' '.join(self.targets)}:{self.top}"


def small(workspace: object) -> bool:
    """Whether the job that came last from there was: so are the next, most likely."""
    return _last.get(workspace, False)


def learn(workspace: object, came: Sequence[Unpacked]) -> None:
    """How large they were."""
    if len(_last) > _MOST:
        _last.clear()
    total = sum(size for one in came for size, _ in one.sums.values())
    _last[workspace] = total <= SMALL * len(came)


def unpack(source: Source, targets: Mapping[str, str]) -> dict[str, Came]:
    """As unpacking.unpack, of each job by its number. Raises what the source does, NoArchive."""
    tar = Tar(source)
    writers = {number: Writer(target) for number, target in targets.items()}
    failed: dict[str, Came] = {}
    while (member := tar.next()) is not None:
        number, output, *parts = [p for p in member.name.split("/") if p not in ("", ".")] or [
            ""
        ] * 2
        if number not in targets or output != "output" or member.type == tarfile.LNKTYPE:
            # A hard link may be to another job's file.
            raise NoArchive(f"{member.name[:100]!r} in a bundle")
        if not parts or number in failed:
            continue
        member.name = "./" + "/".join(parts)  # as in its own archive
        try:
            writers[number].take(member, parts, tar)
        except (DiskFull, OSError) as error:
            failed[number] = error
    for number, writer in writers.items():
        if number not in failed:
            try:
                writer.flush()
            except (DiskFull, OSError) as error:
                failed[number] = error
    return {number: failed.get(number, writer.done) for number, writer in writers.items()}
