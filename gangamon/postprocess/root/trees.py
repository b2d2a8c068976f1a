"""Trees are put one behind the other, branch by branch, some megabytes at a time.

What uproot writes as it was read: branches of one leaf of numbers or flags, plain, of a fixed
number, or of a number that another branch counts (``x[n]/F``), as in flat n-tuples. Whatever else
there is, ROOT's own hadd must merge.
"""

from __future__ import annotations

from typing import Any

from gangamon.errors import LeftToSession

#: Bytes that are read in one go, and kept before they are written.
_STEP, _KEPT = 32 << 20, 8 << 20

#: What a tree may have that uproot does not write.
_EXTRAS = ("fAliases", "fFriends", "fTreeIndex", "fUserInfo")


class Chain:
    """The trees of one path: ``add`` each, then ``flush``."""

    def __init__(self, output: Any, path: str, first: Any) -> None:
        import awkward
        import numpy

        self._ak, self._np = awkward, numpy
        self.path = path
        self.entries = 0
        self.branches = _branches(path, first)
        self._kept: list[dict[str, Any]] = []
        self._bytes = 0
        counters = {name: counter for name, (_, counter) in self.branches.items() if counter}
        self._tree = output.mktree(
            path,
            {name: self._type(kind, counter) for name, (kind, counter) in self.branches.items()},
            title=first.title,
            counter_name=lambda name: counters[name],
        )

    def add(self, tree: Any) -> None:
        """LeftToSession if its branches are not those of the first."""
        if _branches(self.path, tree) != self.branches:
            raise LeftToSession(f"{self.path}: trees of different branches need ROOT's hadd")
        total = tree.num_entries
        step = max(1, _STEP * total // max(1, tree.uncompressed_bytes))
        for start in range(0, total, step):
            stop = min(total, start + step)
            chunk = {
                name: tree[name].array(
                    entry_start=start, entry_stop=stop, library="ak" if counter else "np"
                )
                for name, (_, counter) in self.branches.items()
            }
            self._kept.append(chunk)
            self._bytes += sum(array.nbytes for array in chunk.values())
            if self._bytes > _KEPT:
                self.flush()
        self.entries += total

    def flush(self) -> None:
        """Write what is kept."""
        if self._kept:
            self._tree.extend(
                {
                    name: self._joined([chunk[name] for chunk in self._kept], bool(counter))
                    for name, (_, counter) in self.branches.items()
                }
            )
        self._kept, self._bytes = [], 0

    def _joined(self, arrays: list[Any], jagged: bool) -> Any:
        if len(arrays) == 1:
            return arrays[0]
        return self._ak.concatenate(arrays) if jagged else self._np.concatenate(arrays)

    def _type(self, kind: Any, counter: str) -> Any:
        if not counter:
            return kind
        return self._ak.types.from_datashape(f"var * {kind.name}", highlevel=False)


def _branches(path: str, tree: Any) -> dict[str, tuple[Any, str]]:
    """(dtype, name of the branch that counts it or "") of each branch, in order."""
    for extra in _EXTRAS:
        value = tree.member(extra) if tree.has_member(extra) else None
        if value is not None and not (hasattr(value, "__len__") and not len(value)):
            raise LeftToSession(f"{path}: a tree with {extra} needs ROOT's hadd")
    return {branch.name: _branch(path, branch) for branch in tree.branches}


def _branch(path: str, branch: Any) -> tuple[Any, str]:
    import numpy
    import uproot

    kind, counter = branch.interpretation, ""
    leaves = branch.member("fLeaves")
    if (
        len(branch.branches) == 0
        and len(leaves) == 1
        and type(branch).__name__.startswith("Model_TBranch_")
    ):
        count = leaves[0].member("fLeafCount")
        if isinstance(kind, uproot.AsJagged) and kind.header_bytes == 0 and count is not None:
            kind, counter = kind.content, str(count.member("fName"))
            if count.classname != "TLeafI":
                counter = ""
                kind = None  # uproot writes counters of 32 bits only
        if type(kind) is uproot.AsDtype:
            found = numpy.dtype(kind.to_dtype)
            plain = found.names is None and not (counter and found.shape)
            if plain and found.base.kind in "iufb":
                return found.newbyteorder("="), counter
    raise LeftToSession(f"{path}: branch {branch.name} ({branch.typename}) needs ROOT's hadd")
