"""What every backend, fetcher and merger must keep to, as suites that their tests subclass.

    class TestMyBackend(BackendConformance):
        @pytest.fixture
        def case(self, tmp_path):
            return BackendCase(backend=..., lane=..., known=[...], missing=..., sever=...)

Every test asks for a fresh ``case``, so it may break what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gangamon.domain.lane import Lane
from gangamon.domain.observation import Absent, Observation, Seen
from gangamon.domain.status import FINAL, JobStatus
from gangamon.errors import MergeFailed, OutputMissing, PermanentError, TransientError
from gangamon.protocols import (
    Backend,
    Fetcher,
    FetchOrder,
    Growing,
    MergeOrder,
    PollItem,
    PostProcessor,
    Streaming,
)

#: What a backend may say of a job; the rest is Ganga's and the stages'.
MEANINGS = {JobStatus.SUBMITTED, JobStatus.RUNNING, *FINAL}


@dataclass(frozen=True)
class BackendCase:
    """``known``: jobs the backend names, in several statuses, at least one of them ended.
    ``missing``: a job it does not know. ``sever``: makes that it cannot be asked any more."""

    backend: Backend
    lane: Lane
    known: Sequence[PollItem]
    missing: PollItem
    sever: Callable[[], None]

    def poll(self, items: Sequence[PollItem]) -> Mapping[str, Observation]:
        return self.backend.poll(self.lane, items)


class BackendConformance:
    """For every ``gangamon.backends`` plugin."""

    @pytest.fixture
    def case(self) -> BackendCase:
        raise NotImplementedError("a fixture of that name must give a BackendCase")

    def test_answers_every_item_once(self, case: BackendCase) -> None:
        """One observation for each item asked, and for no other."""
        asked = [*case.known, case.missing]
        assert set(case.poll(asked)) == {item.fqid for item in asked}
        assert set(case.poll(asked[:1])) == {asked[0].fqid}

    def test_nothing_asked_nothing_said(self, case: BackendCase) -> None:
        """No items: no answers, no error."""
        assert dict(case.poll([])) == {}

    def test_names_what_it_knows(self, case: BackendCase) -> None:
        """A known job is Seen with a native status, a source and a meaning a backend may give."""
        for fqid, seen in case.poll(case.known).items():
            assert isinstance(seen, Seen), fqid
            assert seen.native_status and seen.source, fqid
            assert seen.status is None or seen.status in MEANINGS, fqid

    def test_an_end_has_its_facts(self, case: BackendCase) -> None:
        """Some known job has ended; completed goes with exit code 0 or none at all, and times
        are in order and not in the future of any clock."""
        ends = [s for s in case.poll(case.known).values() if isinstance(s, Seen)]
        ends = [seen for seen in ends if seen.status in FINAL]
        assert ends
        for seen in ends:
            assert seen.status is not JobStatus.COMPLETED or not seen.exit_code
            assert (seen.started_at or 0) <= (seen.ended_at or 1e11) <= 1e11

    def test_the_unknown_is_absent(self, case: BackendCase) -> None:
        """A job that the backend does not name is Absent: neither failed nor left out."""
        answer = case.poll([case.missing])[case.missing.fqid]
        assert isinstance(answer, Absent)
        assert not answer.second

    def test_one_unknown_blinds_nobody(self, case: BackendCase) -> None:
        """The answers for known jobs are the same with an unknown one among them."""
        alone = case.poll(case.known)
        among = case.poll([case.missing, *case.known])
        assert {fqid: among[fqid] for fqid in alone} == alone

    def test_asking_changes_nothing(self, case: BackendCase) -> None:
        """Asked twice, it says the same."""
        assert case.poll(case.known) == case.poll(case.known)

    def test_unreachable_is_an_error(self, case: BackendCase) -> None:
        """Where it cannot be asked it raises TransientError, and tells nothing of any job."""
        case.sever()
        with pytest.raises(TransientError):
            case.poll([*case.known, case.missing])

    def test_second_source_says_so(self, case: BackendCase) -> None:
        """The second source gives Seen or Absent(second) for each item."""
        asked = [*case.known, case.missing]
        answers = case.backend.second_source(case.lane, asked)
        assert set(answers) == {item.fqid for item in asked}
        for answer in answers.values():
            told = isinstance(answer, Seen) or (isinstance(answer, Absent) and answer.second)
            assert told, answer
        assert isinstance(answers[case.missing.fqid], Absent)

    def test_limits_are_limits(self, case: BackendCase) -> None:
        """All limits are positive, and the cadence has a floor below its cap."""
        limits = case.backend.limits
        assert limits.jobs >= 1 and limits.slots >= 1 and limits.timeout > 0
        assert 0 < limits.cadence.floor <= limits.cadence.cap


class NativeCodesConformance:
    """For backends that translate codes of another system. ``case`` and a second fixture."""

    @pytest.fixture
    def unmapped(self) -> PollItem:
        raise NotImplementedError("a fixture of that name must give a job with an unknown code")

    def test_an_unknown_code_is_kept(self, case: BackendCase, unmapped: PollItem) -> None:
        """A code that is not in the table is reported as it is, with no meaning."""
        seen = case.poll([unmapped])[unmapped.fqid]
        assert isinstance(seen, Seen)
        assert seen.status is None and seen.native_status


@dataclass(frozen=True)
class FetcherCase:
    """``order``: a job whose outputs are ready. ``missing``: one whose outputs will not come."""

    fetcher: Fetcher
    order: FetchOrder
    missing: FetchOrder


class FetcherConformance:
    """For every fetcher."""

    @pytest.fixture
    def case(self) -> FetcherCase:
        raise NotImplementedError("a fixture of that name must give a FetcherCase")

    def test_the_manifest_is_true(self, case: FetcherCase) -> None:
        """Every file of the manifest lies in the output directory with that size."""
        manifest = case.fetcher.fetch(case.order)
        assert manifest.files
        for path, size, checksum in manifest.files:
            assert os.path.getsize(os.path.join(case.order.target, path)) == size
            assert checksum

    def test_twice_changes_nothing(self, case: FetcherCase) -> None:
        """A second fetch of the same attempt gives the same manifest and touches no file."""
        first = case.fetcher.fetch(case.order)
        before = snapshot(case.order.target)
        assert case.fetcher.fetch(case.order) == first
        assert snapshot(case.order.target) == before

    def test_leaves_nothing_half_done(self, case: FetcherCase) -> None:
        """Besides the files of the manifest there is at most one manifest of our own."""
        manifest = case.fetcher.fetch(case.order)
        extra = set(snapshot(case.order.target)) - {path for path, _, _ in manifest.files}
        assert all(os.path.basename(path) == ".gangamon-manifest.json" for path in extra)

    def test_outputs_that_will_not_come(self, case: FetcherCase) -> None:
        """OutputMissing, which is not tried again."""
        with pytest.raises(OutputMissing):
            case.fetcher.fetch(case.missing)

    def test_stays_within_the_roots(self, case: FetcherCase, tmp_path: Path) -> None:
        """An order for a directory outside of the roots is refused for good."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        before = snapshot(case.order.target)
        with pytest.raises(PermanentError):
            case.fetcher.fetch(replace(case.order, roots=(str(elsewhere),)))
        assert snapshot(case.order.target) == before


class StreamingConformance(FetcherConformance):
    """For every fetcher that is Streaming."""

    def test_a_stream_brings_what_it_brings_by_itself(self, case: FetcherCase) -> None:
        """One that is not there has its own error, and no other."""
        assert isinstance(case.fetcher, Streaming)
        with case.fetcher.stream([case.missing, case.order]) as stream:
            with pytest.raises(OutputMissing):
                stream.fetch(case.missing)
            done = stream.fetch(case.order)
        assert done.files
        assert case.fetcher.fetch(case.order) == done

    def test_orders_of_a_stream_may_be_left_out(self, case: FetcherCase) -> None:
        """The first, or all of them."""
        assert isinstance(case.fetcher, Streaming)
        before = snapshot(case.order.target)
        with case.fetcher.stream([case.order, case.missing]):
            pass
        assert snapshot(case.order.target) == before
        with case.fetcher.stream([case.missing, case.order]) as stream:
            assert stream.fetch(case.order).files


@dataclass(frozen=True)
class PostProcessorCase:
    """``order``: a merge of several completed subjobs, without ignorefailed and overwrite."""

    processor: PostProcessor
    order: MergeOrder


class PostProcessorConformance:
    """For every merger."""

    @pytest.fixture
    def case(self) -> PostProcessorCase:
        raise NotImplementedError("a fixture of that name must give a PostProcessorCase")

    def test_the_manifest_is_true(self, case: PostProcessorCase) -> None:
        """Every output of the manifest lies in the target with that size."""
        manifest = case.processor.run(case.order)
        assert manifest.files
        for path, size, _ in manifest.files:
            assert os.path.getsize(os.path.join(case.order.target, path)) == size

    def test_twice_changes_nothing(self, case: PostProcessorCase) -> None:
        """A second run gives the same manifest and touches no file, though overwrite is off."""
        first = case.processor.run(case.order)
        before = snapshot(case.order.target)
        assert case.processor.run(case.order) == first
        assert snapshot(case.order.target) == before

    def test_inputs_stay_as_they_are(self, case: PostProcessorCase) -> None:
        """A merge reads its inputs and nothing more."""
        before = [snapshot(output) for _, _, output in case.order.inputs]
        case.processor.run(case.order)
        assert [snapshot(output) for _, _, output in case.order.inputs] == before

    def test_a_failed_subjob_stops_it(self, case: PostProcessorCase) -> None:
        """Without ignorefailed a failed subjob ends the merge, and nothing is written."""
        (fqid, _, output), *rest = case.order.inputs
        inputs = [(fqid, JobStatus.FAILED, output), *rest]
        with pytest.raises(MergeFailed, match=fqid):
            case.processor.run(replace(case.order, inputs=inputs))
        assert snapshot(case.order.target) == {}

    def test_a_strangers_file_stays(self, case: PostProcessorCase) -> None:
        """Without overwrite an output that we have not made stops the merge and stays."""
        manifest = case.processor.run(case.order)
        stranger = os.path.join(case.order.target, manifest.files[0][0])
        Path(stranger).write_text("by hand")
        with pytest.raises(MergeFailed, match="overwrite"):
            case.processor.run(case.order)
        assert Path(stranger).read_text() == "by hand"


class GrowingConformance(PostProcessorConformance):
    """For every merger that can begin while jobs run, besides the suite above."""

    def test_nothing_is_seen_before_the_end(self, case: PostProcessorCase) -> None:
        """It grows prefix by prefix, hidden; the end is complete, and nothing else is left."""
        for count in range(1, len(case.order.inputs) + 1):
            _grown(case, count)
            assert all(name.startswith(".gangamon-") for name in snapshot(case.order.target))
        self.test_the_manifest_is_true(case)
        manifest = case.processor.run(case.order)
        hidden = {n for n in snapshot(case.order.target) if n.startswith(".gangamon-")}
        assert hidden == {".gangamon-merge.json"}
        assert manifest.files

    def test_a_failed_subjob_at_the_end(self, case: PostProcessorCase) -> None:
        """What has grown before it goes, as the merge does."""
        _grown(case, 1)
        *rest, (fqid, _, output) = case.order.inputs
        inputs = [*rest, (fqid, JobStatus.FAILED, output)]
        with pytest.raises(MergeFailed, match=fqid):
            case.processor.run(replace(case.order, inputs=inputs))
        assert snapshot(case.order.target) == {}

    def test_an_input_that_is_gone_at_the_end(self, case: PostProcessorCase) -> None:
        """The merge is of what is there now, also where more was in before."""
        _grown(case, len(case.order.inputs))
        fqid, _, output = case.order.inputs[0]
        name = next(iter(snapshot(output)))
        Path(output, name).unlink()
        with pytest.raises(MergeFailed, match=fqid):
            case.processor.run(case.order)


def _grown(case: PostProcessorCase, count: int) -> None:
    assert isinstance(case.processor, Growing)
    given = replace(case.order, inputs=list(case.order.inputs)[:count])
    while case.processor.grow(given, 3600.0):
        pass


def snapshot(directory: str) -> dict[str, tuple[int, int, bytes]]:
    """(inode, st_mtime_ns, content) of every file below, by relative path; empty if there is
    no such directory."""
    found: dict[str, tuple[int, int, bytes]] = {}
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(place, name)
            facts = os.lstat(path)
            content = Path(path).read_bytes() if os.path.isfile(path) else b""
            inner = os.path.relpath(path, directory)
            found[inner] = (facts.st_ino, facts.st_mtime_ns, content)
    return found
