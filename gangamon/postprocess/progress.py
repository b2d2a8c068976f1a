"""How far a merge is, seen from outside: what goes in, and what of it lies hidden in the target."""

from __future__ import annotations

import os
from contextlib import suppress

from gangamon.postprocess.plan import OURS, Facts, plan
from gangamon.protocols import MergeOrder, Written


def expected(order: MergeOrder) -> Written:
    """The inputs of a merge. Raises what ``plan`` does, OSError."""
    looked: dict[str, Facts] = {}
    paths = [path for inputs in plan(order, looked).values() for path in inputs]
    sizes = (looked[p][0] if p in looked else os.stat(p).st_size for p in paths)
    return Written(len(paths), sum(sizes))


def written(target: str) -> int:
    """Bytes of what is being merged there, and has not its name yet; also in directories of the
    target. What is gone just now counts nothing."""
    found = 0
    with suppress(OSError), os.scandir(target) as entries:
        for entry in entries:
            with suppress(OSError):
                if not entry.name.startswith(OURS):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    with os.scandir(entry.path) as inner:
                        found += sum(e.stat(follow_symlinks=False).st_size for e in inner)
                elif not entry.name.endswith(".json"):
                    found += entry.stat(follow_symlinks=False).st_size
    return found
