"""How text grows while jobs run: slice by slice; and what the merge at the end takes over of it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from gangamon.errors import MergeFailed, TransientError
from gangamon.postprocess import manifest
from gangamon.postprocess.frames import Frames, is_gzip, output_name
from gangamon.postprocess.growth import Growth, Member, Piece
from gangamon.postprocess.plan import Facts, of_subjob, refuse
from gangamon.protocols import MergeOrder

_CHUNK = 1 << 20

#: Outputs that grow at the same time; where there are more, all are merged at the end.
MOST = 64


def takes(order: MergeOrder, grown: Growth, of: str) -> bool:
    """Whether an output has begun to grow, on the file system that it is to lie on."""
    place = os.path.dirname(os.path.join(order.target, of))
    return grown.sizes.get(of, 0) > 0 and os.stat(place).st_dev == os.stat(order.target).st_dev


def finish(
    grown: Growth, of: str, inputs: Sequence[str], compress: bool, looked: Mapping[str, Facts]
) -> tuple[int, str]:
    """What is missing of an output that has grown; its bytes and their checksum."""
    done = sum(piece.output == of for member in grown.members for piece in member.pieces)
    with open(grown.place(of), "r+b", buffering=0) as file:
        size = grown.sizes[of]
        file.truncate(size)  # what a process that died had not noted
        digest, upto = grown.digests.pop(of, (manifest.checksum(), 0))
        file.seek(upto)
        while upto < size:  # what another process has written
            if not (chunk := file.read(min(_CHUNK, size - upto))):
                raise TransientError(f"{grown.place(of)}: was cut off meanwhile")
            digest.update(chunk)
            upto += len(chunk)
        with Frames(file, compress, size, digest) as out:
            out.add_all(inputs[done:], looked)
            out.end()
            manifest.settle(file)
            return out.sink.size, out.sink.digest.hexdigest()


def agreed(grown: Growth, order: MergeOrder) -> int:
    """How many of the first subjobs are in as they are now. Of those that the order does not name
    nothing is known."""
    fences = order.fences or [""] * len(order.inputs)
    now = zip(grown.members, order.inputs, fences, strict=False)
    for n, (member, (fqid, status, _), fence) in enumerate(now):
        if (member.fqid, member.fence, member.status) != (fqid, fence, status.value):
            return n
    return len(grown.members)


def same(grown: Growth, inputs: Mapping[str, Sequence[str]]) -> int:
    """How many of the first subjobs gave what the outputs are to begin with."""
    wanted = {of: iter(paths) for of, paths in inputs.items()}
    for n, member in enumerate(grown.members):
        for piece in member.pieces:
            path = next(wanted.get(piece.output, iter(())), None)
            if path is None or not piece.is_still(path):
                return n
    return len(grown.members)


def grow(order: MergeOrder, grown: Growth, until: float) -> bool:
    """Whether more is left."""
    limit = len(order.inputs)
    while True:
        slice_ = _Slice(order, grown)
        try:
            return slice_.take(limit, until)
        except MergeFailed:
            if slice_.reached == len(grown.members):
                return False  # the merge at the end will say so, if it is still so then
            limit = slice_.reached  # what was written of this one is cut off
        finally:
            slice_.close()


class _Slice:
    """Takes in some more subjobs. ``reached``: the one at work."""

    def __init__(self, order: MergeOrder, grown: Growth) -> None:
        self.reached = len(grown.members)
        self._order = order
        self._grown = grown
        self._outs: dict[str, Frames] = {}
        self._files = ExitStack()

    def close(self) -> None:
        self._files.close()

    def take(self, limit: int, until: float) -> bool:
        """Up to so many of all subjobs, as long as there is time: whether it ran out. MergeFailed:
        nothing is in of this slice."""
        order = self._order
        members: list[Member] = []
        fences = order.fences or [""] * len(order.inputs)
        more = False
        for n in range(self.reached, limit):
            self.reached = n
            if members and time.monotonic() > until:
                more = True
                break
            fqid, status, _ = order.inputs[n]
            try:
                found = of_subjob(order.spec, *order.inputs[n])
                self._may(found)
            except MergeFailed:
                break
            pieces = tuple([self._add(of, path) for of, path in found])
            members.append(Member(fqid, fences[n], status.value, pieces))
        if members:
            self._note(members)
        return more

    def _may(self, found: Sequence[tuple[str, str]]) -> None:
        """MergeFailed if one of these would stop the merge at the end, or cannot grow."""
        known = {*self._grown.sizes, *self._outs}
        if len(known | {of for of, _ in found}) > MOST:
            raise MergeFailed(f"more than {MOST} outputs")
        for of, path in found:
            try:
                facts = os.stat(path)
            except FileNotFoundError as error:
                raise MergeFailed(f"{path}: vanished meanwhile") from error
            if not stat.S_ISREG(facts.st_mode):
                raise MergeFailed(f"The input {path} is not a regular file.")
            if of not in known:
                refuse(self._order, {output_name(of, self._order.spec.compress): [path]})

    def _add(self, of: str, path: str) -> Piece:
        out = self._outs.get(of) or self._open(of)
        facts = out.add(path)
        after = os.stat(path)
        known = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if known != (after.st_size, after.st_mtime_ns, after.st_ctime_ns):
            raise TransientError(f"{path}: changed while it was read")
        return Piece(of, path, *known, out.at())

    def _open(self, of: str) -> Frames:
        grown = self._grown
        size = grown.sizes.get(of, 0)
        mode = "r+b" if size else "wb"
        # Open until the slice ends.
        file = open(grown.place(of), mode, buffering=0)  # noqa: SIM115
        self._files.callback(file.close)
        file.truncate(size)  # what a process that died had not noted
        file.seek(size)
        digest, upto = grown.digests.pop(of, (None, 0))
        compress = is_gzip(output_name(of, self._order.spec.compress))
        out = Frames(file, compress, size, digest if upto == size else None)
        self._files.callback(out.close)
        if not size:
            out.begin()
        self._outs[of] = out
        return out

    def _note(self, members: list[Member]) -> None:
        """What was written is on the disk; then it is in."""
        ends = {}
        for of, out in self._outs.items():
            ends[of] = out.edge()
            manifest.settle(out.sink.file)
        for n, member in reversed(list(enumerate(members))):
            pieces = list(member.pieces)
            for m, piece in reversed(list(enumerate(pieces))):
                if piece.output in ends:
                    pieces[m] = piece._replace(end=ends.pop(piece.output))
            members[n] = member._replace(pieces=tuple(pieces))
            if not ends:
                break
        self._grown.add(members)
        for of, out in self._outs.items():
            if out.sink.digest is not None:
                self._grown.digests[of] = out.sink.digest, out.sink.size
