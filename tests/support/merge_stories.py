"""Stories of master jobs whose merge grows while they run: jobs end in any order, fail, come anew,
miss files; slices are long or short; processes die."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from gangamon.domain.status import JobStatus
from gangamon.postprocess import growth
from gangamon.postprocess.text import TextMerger
from gangamon.protocols import MergeOrder
from gangamon.testing.conformance import snapshot
from gangamon.testing.factories import merge_order

#: Subjobs of a story's master.
JOBS = 5

NAMES = ("a.txt", "b.txt", "dir/c.txt")
PATTERNS = (("a.txt",), ("*.txt",), ("*.txt", "a.txt", "dir/*"), ("dir/c.txt", "b.txt"))
CONTENTS = st.sampled_from(["", "x", "a\r\nb\r", "line\n" * 50])
FILES = st.dictionaries(st.sampled_from(NAMES), CONTENTS)

#: Seconds of a slice that takes in all there is.
LONG = 1e9


@dataclass(frozen=True)
class Event:
    """``ends``: a subjob, perhaps anew, with these files. ``slice``, ``short``: of the merge.
    ``process``: another one goes on."""

    what: str
    sub: int = 0
    files: dict[str, str] = field(default_factory=dict)
    status: JobStatus = JobStatus.COMPLETED


@dataclass(frozen=True)
class Story:
    """``last``: the files of subjobs that have not ended before."""

    events: list[Event]
    last: list[dict[str, str]]
    files: tuple[str, ...]
    ignorefailed: bool
    compress: bool


_ENDS = st.builds(
    Event,
    st.just("ends"),
    st.integers(0, JOBS - 1),
    FILES,
    st.sampled_from([*[JobStatus.COMPLETED] * 5, JobStatus.FAILED, JobStatus.KILLED]),
)
_OTHERS = st.sampled_from([Event("slice"), Event("slice"), Event("short"), Event("process")])

STORIES = st.builds(
    Story,
    st.lists(_ENDS | _OTHERS, max_size=15),
    st.lists(
        st.dictionaries(st.sampled_from(NAMES), CONTENTS, min_size=2), min_size=JOBS, max_size=JOBS
    ),
    st.sampled_from(PATTERNS),
    st.booleans(),
    st.booleans(),
)


class Play:
    """One story, in the directory of a master job."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.target = root / "output"
        self._status: dict[int, JobStatus] = {}
        self._attempts: dict[int, int] = {}
        root.mkdir(parents=True)

    def tell(self, story: Story) -> MergeOrder:
        """All of it, up to the merge at the end. AssertionError if something of the merge can be
        seen before."""
        for event in story.events:
            if event.what == "ends":
                self._end(event.sub, event.files, event.status)
            elif event.what == "process":
                growth._remembered.clear()
            else:
                TextMerger().grow(self._order(story), LONG if event.what == "slice" else 0.0)
                seen = set(snapshot(str(self.target)))
                assert all(name.startswith(growth.PREFIX) for name in seen), seen
        for sub, files in enumerate(story.last):
            if sub not in self._status:
                self._end(sub, files, JobStatus.COMPLETED)
        return self._order(story)

    def _order(self, story: Story) -> MergeOrder:
        """Of those that have ended without a gap."""
        subs = range(next(n for n in range(JOBS + 1) if n not in self._status))
        inputs = [(f"42.{n}", self._status[n], str(self.root / str(n) / "output")) for n in subs]
        flags = {"ignorefailed": story.ignorefailed, "compress": story.compress}
        order = merge_order(str(self.target), inputs, *story.files, **flags)
        fences = [f"{self._attempts[n]}.0" for n in subs]
        return MergeOrder(
            order.fqid, sum(self._attempts.values()), order.spec, order.target, inputs, fences
        )

    def _end(self, sub: int, files: dict[str, str], status: JobStatus) -> None:
        output = self.root / str(sub) / "output"
        for name in NAMES:
            (output / name).unlink(missing_ok=True)
        for name, content in files.items():
            path = output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())
        self._status[sub] = status
        self._attempts[sub] = self._attempts.get(sub, 0) + 1


def unpacked(path: Path) -> bytes:
    """A file's content, gzip or not."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.endswith(".gz") else content
