"""A master job's workspace on disk, for the tests of the mergers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from gangamon.domain.status import JobStatus
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import Manifest, MergeOrder
from gangamon.testing.conformance import snapshot
from gangamon.testing.factories import merge_order

DONE = JobStatus.COMPLETED


class Master:
    """A master job's workspace with the outputs of its subjobs."""

    def __init__(self, root: Path, *, made: bool = False) -> None:
        """``made``: its output directory is there, as Ganga has it: what is merged for the first
        time is not looked at before it is read then."""
        self.root = root
        self.target = root / "output"
        if made:
            self.target.mkdir(parents=True)
        self.status: dict[int, JobStatus] = {}

    def put(self, sub: int, name: str, content: bytes, status: JobStatus = DONE) -> Path:
        path = self.root / str(sub) / "output" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.status[sub] = status
        return path

    def order(self, *files: str, attempt: int = 1, **flags: bool) -> MergeOrder:
        inputs = [
            (f"42.{sub}", self.status[sub], str(self.root / str(sub) / "output"))
            for sub in sorted(self.status)
        ]
        order = merge_order(str(self.target), inputs, *files, **flags)
        return MergeOrder(order.fqid, attempt, order.spec, order.target, inputs)

    def merge(self, *files: str, **given: Any) -> Manifest:
        return TextMerger().run(self.order(*files, **given))

    def body(self, name: str) -> bytes:
        """An output without its first line, which must be Ganga's but for the time."""
        first, _, rest = (self.target / name).read_bytes().partition(b"\n")
        assert first.startswith(b"# Ganga TextMergeTool - ") and first.endswith(b" #")
        return rest

    def names(self) -> set[str]:
        """All there is in the target, our manifest aside."""
        return set(snapshot(str(self.target))) - {".gangamon-merge.json"}


def frame(*inputs: tuple[Path, bytes]) -> bytes:
    """The body that Ganga writes (Lib/Mergers/Merger.py, 8.7.12)."""
    parts = [b"# Start of file %s #\n%s\n" % (os.fsencode(p), content) for p, content in inputs]
    return b"".join(parts) + b"# Ganga Merge Ended Successfully #\n"
