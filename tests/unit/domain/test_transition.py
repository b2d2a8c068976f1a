"""advance: whatever is seen, in whatever order, the guarantees hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gangamon.domain.effect import MASTER_STAGES, Stage, following
from gangamon.domain.job import HISTORY_LENGTH, Evidence, Job, decode_state
from gangamon.domain.observation import (
    Absent,
    Fetched,
    Observation,
    Seen,
    Unreachable,
    Withdrawn,
)
from gangamon.domain.status import FINAL, LEGAL, POLLED, JobStatus
from gangamon.domain.transition import (
    TELL_EVERY,
    AbsencePolicy,
    InvalidTransition,
    Step,
    _move,
    advance,
    needs_second_source,
)
from gangamon.testing.factories import job

SUBMITTED, RUNNING, COMPLETING = JobStatus.SUBMITTED, JobStatus.RUNNING, JobStatus.COMPLETING
COMPLETED, FAILED, KILLED = JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.KILLED
POLICY = AbsencePolicy(absences=3, grace=60.0, lost_after=1000.0, gap=400.0)
ENDS = st.sampled_from(sorted(FINAL))
NAMES = st.text("abc", max_size=3)

observations = st.one_of(
    st.builds(
        Seen,
        native_status=NAMES,
        status=st.sampled_from([None, SUBMITTED, RUNNING, COMPLETED, FAILED, KILLED]),
        source=st.just("test"),
        exit_code=st.sampled_from([None, 0, 3]),
        restarts=st.sampled_from([0, 0, 0, 1, 2]),
        attributes=st.dictionaries(NAMES, st.integers(0, 3), max_size=2),
    ),
    st.builds(Absent, source=st.just("test"), second=st.booleans()),
    st.builds(Unreachable, reason=NAMES),
    st.builds(Fetched, ok=st.booleans(), reason=NAMES),
    st.builds(Withdrawn, status=ENDS, reason=NAMES),
)
stories = st.lists(st.tuples(observations, st.floats(0.0, 500.0)), max_size=30)
starts = st.sampled_from([JobStatus.SUBMITTING, SUBMITTED, RUNNING])


def walk(
    start: JobStatus, story: list[tuple[Observation, float]]
) -> list[tuple[Job, Observation, Step, float]]:
    now, present, steps = 0.0, job(start), []
    for observation, wait in story:
        now += wait
        step = advance(present, observation, POLICY, now)
        steps.append((present, observation, step, now))
        present = step.job
    return steps


def seen(status: JobStatus | None, **fields: object) -> Seen:
    return replace(Seen("X", status, "test"), **fields)  # type: ignore[arg-type]


@settings(max_examples=400)
@given(starts, stories)
def test_invariants(start: JobStatus, story: list[tuple[Observation, float]]) -> None:
    """Versions never shrink; a status changes only with its version, along LEGAL or by the
    owner's word; a final status stays and has evidence; a story tells every change once."""
    for before, observation, step, _ in walk(start, story):
        after = step.job
        assert after.version >= before.version
        assert step.moved(before) == (after.version > before.version)
        if after.status is not before.status:
            assert step.moved(before)
            passed = [e.status for e in after.history[len(before.history) :]] or [after.status]
            for old, new in zip([before.status, *passed], passed, strict=False):
                assert new in LEGAL[old] or old is new or isinstance(observation, Withdrawn)
        if before.status in FINAL:
            assert after == before and not step.effects
        if after.status in FINAL:
            assert after.evidence is not None and after.evidence.source
        if step.moved(before):
            assert after.history[-1].status is after.status
            assert len(after.history) <= HISTORY_LENGTH
        else:
            assert after.history == before.history
        assert decode_state(after.state) == (after.attempt, after.restart, after.status)


@settings(max_examples=300)
@given(starts, stories)
def test_what_may_not_decide(start: JobStatus, story: list[tuple[Observation, float]]) -> None:
    """Unreachable changes nothing at all; an unmapped code of the same life, no status; outputs
    are asked for exactly when the job goes to completing."""
    for before, observation, step, _ in walk(start, story):
        if isinstance(observation, Unreachable):
            assert step == Step(before)
        if isinstance(observation, Seen) and observation.status is None:
            assert step.job.status in (before.status, SUBMITTED)
            if observation.restarts == before.restart:
                assert step.job.status is before.status and not step.moved(before)
        ends = step.job.status is COMPLETING and step.moved(before)
        assert step.effects == ((Stage.FETCH,) if ends else ())


@settings(max_examples=300)
@given(starts, stories)
def test_absence_alone_is_no_end(start: JobStatus, story: list[tuple[Observation, float]]) -> None:
    """Absence ends a job only by the second source, only as failed, and only when every answer
    since the first absence, at least lost_after ago, has missed it."""
    absent_from: float | None = None
    for before, observation, step, now in walk(start, story):
        if isinstance(observation, Absent) and before.status in POLLED:
            absent_from = now if absent_from is None else absent_from
            if step.moved(before):
                assert observation.second and step.job.status is FAILED
                assert POLICY.lost_after is not None and now - absent_from >= POLICY.lost_after
                assert step.job.evidence and "lost" in step.job.evidence.reason
        elif isinstance(observation, Seen) and step.job != before:
            absent_from = None


@given(starts, stories)
def test_doubled_observations_change_nothing_more(
    start: JobStatus, story: list[tuple[Observation, float]]
) -> None:
    """The same answer twice moves a job once, and asks for no stage twice."""
    for _, observation, step, now in walk(start, story):
        again = advance(step.job, observation, POLICY, now)
        assert not again.moved(step.job)
        assert not again.effects


def test_the_usual_way() -> None:
    """submitted, running, completing with a fetch, completed; the evidence is the backend's."""
    one = advance(job(), seen(RUNNING, site="A"), POLICY, 1.0)
    two = advance(one.job, seen(COMPLETED, exit_code=0, ended_at=1.5), POLICY, 2.0)
    assert (two.job.status, two.job.verdict, two.effects) == (COMPLETING, COMPLETED, (Stage.FETCH,))
    end = advance(two.job, Fetched(True), POLICY, 3.0).job
    assert (end.status, end.site) == (COMPLETED, "A")
    assert end.evidence == Evidence("test", "X", exit_code=0, ended_at=1.5)
    assert [entry.at for entry in end.history] == [1.0, 2.0, 3.0]


def test_outputs_that_never_came() -> None:
    """A completed job without its outputs is failed, and the reason says why; a failed one stays
    failed for its own reason."""
    for verdict, reason in ((COMPLETED, "outputs: gone"), (FAILED, "exit 3")):
        ended = advance(job(RUNNING), seen(verdict, reason="exit 3"), POLICY, 1.0).job
        end = advance(ended, Fetched(False, "gone"), POLICY, 2.0).job
        assert end.status is FAILED
        assert end.evidence is not None and end.evidence.reason == reason


def test_killed_at_the_backend_fetches_nothing() -> None:
    """A job that was killed there ends at once."""
    step = advance(job(RUNNING), seen(KILLED), POLICY, 1.0)
    assert (step.job.status, step.effects) == (KILLED, ())


def test_no_way_back_without_a_restart() -> None:
    """A late 'submitted' of a running job changes no status; with a restart it is a new life."""
    running = job(RUNNING)
    assert advance(running, seen(SUBMITTED), POLICY, 1.0).job.status is RUNNING
    again = advance(running, seen(SUBMITTED, restarts=1), POLICY, 1.0).job
    assert (again.status, again.restart) == (SUBMITTED, 1)
    assert again.version > running.version
    late = advance(again, seen(COMPLETED, restarts=0), POLICY, 2.0)
    assert late == Step(again)


def test_a_restart_takes_back_a_verdict() -> None:
    """A job that is started over while its outputs are fetched is judged anew."""
    ended = advance(job(RUNNING), seen(FAILED), POLICY, 1.0).job
    again = advance(ended, seen(RUNNING, restarts=1), POLICY, 2.0).job
    assert (again.status, again.verdict, again.evidence) == (RUNNING, None, None)
    assert advance(again, Fetched(True), POLICY, 3.0) == Step(again)


def test_unmapped_is_kept_and_shown() -> None:
    """A code that the table does not know is reported as it is."""
    after = advance(job(RUNNING), Seen("ODD", None, "test"), POLICY, 1.0).job
    assert (after.status, after.native_status, after.unmapped) == (RUNNING, "ODD", True)
    assert not advance(after, seen(RUNNING), POLICY, 2.0).job.unmapped


def test_when_the_second_source_is_asked() -> None:
    """After enough good answers over the grace time, and not before either."""
    present = job(RUNNING)
    for now, asked in ((0.0, False), (59.0, False), (60.0, True)):
        present = advance(present, Absent("poll"), POLICY, now).job
        assert needs_second_source(present, POLICY) is asked
    early = replace(job(RUNNING), absences=3, absent_for=59.0)
    assert not needs_second_source(early, POLICY)
    few = replace(job(RUNNING), absences=2, absent_for=600.0)
    assert not needs_second_source(few, POLICY)


def test_an_outage_is_no_absence() -> None:
    """Between two good answers only a short gap counts: a day without any answer loses no job."""
    present = advance(job(RUNNING), Absent("poll"), POLICY, 0.0).job
    for now in (86400.0, 86401.0):
        present = advance(present, Unreachable("down"), POLICY, now).job
        present = advance(present, Absent("poll"), POLICY, now).job
    assert present.absences == 3
    assert present.absent_for == POLICY.gap + 1.0
    after = advance(present, Absent("sacct", second=True), POLICY, 86402.0).job
    assert (after.status, after.stale) == (RUNNING, True)


def test_lost() -> None:
    """Unknown to the second source as well a job is stale, and after lost_after it is failed."""
    present = job(RUNNING)
    for now in (0.0, 400.0, 800.0, 999.0):
        present = advance(present, Absent("poll"), POLICY, now).job
        present = advance(present, Absent("sacct", second=True), POLICY, now).job
    assert (present.status, present.stale) == (RUNNING, True)
    present = advance(present, Absent("poll"), POLICY, 1000.0).job
    lost = advance(present, Absent("sacct", second=True), POLICY, 1000.0).job
    assert lost.status is FAILED
    assert lost.evidence is not None
    assert (lost.evidence.source, lost.evidence.absences) == ("sacct", 5)
    assert "1000 s" in lost.evidence.reason and "sacct" in lost.evidence.reason


def test_never_lost() -> None:
    """Without lost_after a job stays stale for ever."""
    policy = replace(POLICY, lost_after=None)
    present = replace(job(RUNNING), absences=9, absent_at=0.0, absent_for=1e9)
    after = advance(present, Absent("sacct", second=True), policy, 1e9).job
    assert (after.status, after.stale) == (RUNNING, True)


def test_seen_again() -> None:
    """One answer that names the job ends absence and staleness."""
    stale = replace(job(RUNNING), absences=5, absent_at=0.0, absent_for=9.0, stale=True)
    after = advance(stale, seen(RUNNING), POLICY, 1.0).job
    assert (after.absences, after.absent_at, after.absent_for) == (0, None, 0.0)
    assert not after.stale


def test_the_owners_word() -> None:
    """A withdrawn job has Ganga's status, from wherever it was, and says so."""
    for status in (SUBMITTED, RUNNING, COMPLETING):
        end = advance(job(status), Withdrawn(KILLED, "j.kill()"), POLICY, 1.0).job
        assert end.status is KILLED
        assert end.evidence is not None and end.evidence.reason == "j.kill()"


def test_a_long_story_is_cut_at_its_beginning() -> None:
    """The last transitions are kept, as many as are shown."""
    present = job()
    for n in range(1, HISTORY_LENGTH + 6):
        present = advance(present, seen(SUBMITTED, restarts=n), POLICY, float(n)).job
    assert [entry.restart for entry in present.history] == list(range(6, HISTORY_LENGTH + 6))


def test_an_illegal_pair_is_a_bug() -> None:
    """It raises with the story of the job."""
    ended = advance(job(), Withdrawn(COMPLETED, ""), POLICY, 1.0).job
    with pytest.raises(InvalidTransition, match=r"42\.0: completed -> running.*completed@1\.0"):
        _move(ended, RUNNING, "test", 2.0)


def test_stages_follow_gangas_order() -> None:
    """Merge, check, notify, and nothing after."""
    assert [following(stage) for stage in MASTER_STAGES] == [Stage.CHECK, Stage.NOTIFY, None]


def test_attributes_that_change_without_a_transition_are_told_once_a_minute() -> None:
    """At once the first time; what comes too soon is told by a later answer, or with the next
    transition; what is the same again is not told, and costs no copy."""

    def step(at: float, before: Job, status: JobStatus, **attributes: int) -> Step:
        return advance(before, seen(status, attributes=attributes), POLICY, at)

    waits = job()
    one = step(1000.0, waits, SUBMITTED, a=1, b=1)
    assert not one.moved(waits) and one.told(waits) == {"a": 1, "b": 1}
    same = step(1200.0, one.job, SUBMITTED, a=1)
    assert same.job is one.job and same.told(one.job) == {}
    soon = step(1000.0 + TELL_EVERY / 2, one.job, SUBMITTED, a=2, b=1)
    assert soon.job is one.job and soon.told(one.job) == {}
    later = step(1000.0 + TELL_EVERY, soon.job, SUBMITTED, a=2, b=1)
    assert later.told(soon.job) == {"a": 2} and later.job.attributes == {"a": 2, "b": 1}
    runs = step(1001.0 + TELL_EVERY, later.job, RUNNING, a=3)
    assert runs.moved(later.job) and runs.told(later.job) == {}
    assert runs.job.attributes == {"a": 3, "b": 1}
    after = step(1002.0 + TELL_EVERY, runs.job, RUNNING, a=4)
    assert after.job is runs.job
    last = step(1001.0 + 2 * TELL_EVERY, runs.job, RUNNING, a=4)
    assert last.told(runs.job) == {"a": 4}


@given(starts, stories)
def test_what_is_told_adds_up(start: JobStatus, story: list[tuple[Observation, float]]) -> None:
    """A reader of transitions and of what is told between them has the job's attributes."""
    known: dict[str, object] = {}
    for before, _, step, _ in walk(start, story):
        known = dict(step.job.attributes) if step.moved(before) else {**known, **step.told(before)}
        assert known == step.job.attributes


def test_what_else_is_new_does_not_wait_for_the_attributes() -> None:
    before = advance(job(), seen(SUBMITTED, attributes={"a": 1}), POLICY, 1000.0).job
    after = advance(before, seen(SUBMITTED, site="B", attributes={"a": 2}), POLICY, 1001.0)
    assert (after.job.site, after.job.attributes, after.told(before)) == ("B", {"a": 1}, {})
