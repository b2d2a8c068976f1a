"""Commands: what travels is what was meant, and every fault is named at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.domain.command import (
    BATCH_SIZE,
    UNSPLIT,
    CheckerSpec,
    Enqueue,
    JobSpec,
    MergerSpec,
    Pause,
    Reconcile,
    Refresh,
    Register,
    Resume,
    Retry,
    Withdraw,
)
from gangamon.domain.lane import Lane
from gangamon.domain.status import FINAL, JobStatus
from gangamon.domain.wire import VERSION, Faults, from_wire, to_wire
from gangamon.testing.factories import REPOSITORY, enqueue

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
name = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,20}", fullmatch=True)
whole = st.integers(0, 2**53 - 1)
paths = st.lists(
    st.text("ab .-é", min_size=1, max_size=5).filter(lambda part: part != ".."), max_size=4
).map(lambda inner: "/" + "/".join(inner))
relative = paths.map(lambda path: path[1:] or "x")
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
scalars |= st.floats(allow_nan=False, allow_infinity=False)
part = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)

common = {"id": name, "repository": st.just(REPOSITORY)}
jobs = st.builds(
    JobSpec,
    sub=whole,
    attempt=st.integers(1, 99_999),
    status=st.sampled_from([JobStatus.SUBMITTED, JobStatus.RUNNING]),
    native_id=text,
    extra=st.dictionaries(text, scalars, max_size=3),
)
mergers = st.builds(
    MergerSpec,
    kind=name,
    files=st.lists(relative, max_size=3).map(tuple),
    ignorefailed=st.booleans(),
    overwrite=st.booleans(),
    compress=st.booleans(),
)
checkers = st.builds(
    CheckerSpec,
    kind=name,
    files=st.lists(relative, max_size=3).map(tuple),
    search_strings=st.lists(text, max_size=3).map(tuple),
    fail_if_found=st.booleans(),
    files_must_exist=st.booleans(),
    check_subjobs=st.booleans(),
    check_master=st.booleans(),
)
commands = st.one_of(
    st.builds(
        Register,
        roots=st.lists(paths, min_size=1, max_size=3).map(tuple),
        rates=st.dictionaries(name, st.floats(0.1, 86400.0), max_size=2),
        **common,
    ),
    st.builds(
        Enqueue,
        master=whole,
        total=st.integers(1, 2**53 - 1),
        name=text,
        lane=st.builds(Lane, part, part, part),
        workspace=paths,
        mergers=st.lists(mergers, max_size=2).map(tuple),
        checkers=st.lists(checkers, max_size=2).map(tuple),
        jobs=st.lists(jobs, min_size=1, max_size=4, unique_by=lambda j: j.sub).map(tuple),
        **common,
    ),
    st.builds(
        Withdraw,
        master=whole,
        subs=st.lists(st.integers(-1, 2**53 - 1), max_size=3).map(tuple),
        status=st.sampled_from(sorted(FINAL)),
        reason=text,
        **common,
    ),
    st.builds(Refresh, master=whole, **common),
    st.builds(
        Pause,
        lane=st.builds(Lane, part, part, part),
        reason=text.filter(bool),
        **common,
    ),
    st.builds(Resume, lane=st.builds(Lane, part, part, part), **common),
    st.builds(Retry, master=whole, subs=st.lists(st.integers(-1, 2**53 - 1)).map(tuple), **common),
    st.builds(Reconcile, **common),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def wire(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.dumps(to_wire(enqueue())))
    return body | changes


def faults(body: object) -> list[str]:
    with pytest.raises(Faults) as caught:
        from_wire(body)
    return list(caught.value.faults)


@given(commands)
def test_what_travels_is_what_was_meant(command: Register | Enqueue | Withdraw | Refresh) -> None:
    """Through json and back a command is the same."""
    assert from_wire(json.loads(json.dumps(to_wire(command)))) == command


@given(
    commands.map(to_wire),
    st.lists(
        st.tuples(
            st.sampled_from(["v", "kind", "id", "repository", "roots", "master", "total", "name",
                             "lane", "workspace", "mergers", "checkers", "jobs", "subs", "status",
                             "reason"]),
            json_values,
        ),
        max_size=3,
    ),
)  # fmt: skip
def test_no_input_does_worse_than_faults(body: dict[str, Any], changes: list[Any]) -> None:
    """Whatever json an inbox holds: a command, or Faults, and then at least one."""
    body = body | dict(changes)
    try:
        from_wire(body)
    except Faults as error:
        assert error.faults


@given(json_values)
def test_no_json_does_worse_than_faults(body: Any) -> None:
    """Also where it is no command at all."""
    assert faults(body)


def test_every_fault_at_once() -> None:
    """One look mends all: each fault names its field, the value and what is accepted."""
    found = faults(
        wire(
            v=VERSION + 1,
            id="bad id",
            repository="short",
            master=-1,
            total="3",
            name=7,
            lane="Local",
            workspace="home/../x",
            mergers=[{"kind": "TextMerger", "files": ["../a"], "overwrite": "yes"}],
            jobs=[[0, 0, "submitted", "1", {}], [1, 1, "done", "1", {}], "job"],
            surprise=1,
        )
    )
    expected = {
        "v": str(VERSION), "id": "128", "repository": "hex", "master": "from 0",
        "total": "from 1", "name": "text", "lane": "BACKEND", "workspace": "absolute",
        "mergers[0].files": "relative", "mergers[0].overwrite": "true or false",
        "jobs[0].attempt": "99999", "jobs[1].status": "submitted", "jobs[2]": "native_id",
        "surprise": "accepted",
    }  # fmt: skip
    assert {fault.partition(": ")[0] for fault in found} == set(expected)
    for fault in found:
        assert expected[fault.partition(": ")[0]] in fault


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"jobs": []}, "jobs"),
        ({"jobs": [[n, 1, "running", "1", {}] for n in range(BATCH_SIZE + 1)]}, "jobs"),
        ({"jobs": [[0, 1, "running", "1", {}]] * 2}, "jobs: a sub id stands twice"),
        ({"jobs": [[n, 1, "running", "1", {}] for n in (UNSPLIT, 0)]}, "not split"),
        ({"jobs": [[True, 1, "running", "1", {}]]}, "jobs[0].sub"),
        ({"jobs": [[UNSPLIT - 1, 1, "running", "1", {}]]}, "jobs[0].sub"),
        ({"jobs": [[0, 1, "completed", "1", {}]]}, "jobs[0].status"),
        ({"jobs": [[0, 1, ["running"], "1", {}]]}, "jobs[0].status"),
        ({"jobs": [[0, 1, "running", 1, {}]]}, "jobs[0].native_id"),
        ({"jobs": [[0, 1, "running", "1", {"a": []}]]}, "jobs[0].extra"),
        ({"workspace": "/a/../b"}, "workspace"),
        ({"workspace": "/a\0b"}, "workspace"),
        ({"master": True}, "master"),
        ({"master": 2**53}, "master"),
        ({"kind": ["enqueue"]}, "kind"),
        ({"kind": "erase"}, "kind"),
    ],
)
def test_one_fault(change: dict[str, Any], where: str) -> None:
    """Each thing that an inbox may not hold is refused on its own."""
    assert any(where in fault for fault in faults(wire(**change)))


@pytest.mark.parametrize(
    "rates", [5, {"Local": 0}, {"Local": 86401}, {"Local": True}, {"Local": "5"}, {"": 5}], ids=repr
)
def test_rates_are_seconds_by_backend(rates: object) -> None:
    """From a tenth of a second to a day."""
    body = json.loads(json.dumps(to_wire(Register("r", REPOSITORY, ("/data",)))))
    assert "rates" not in body  # a service of the version before does not know the field
    (fault,) = faults(body | {"rates": rates})
    assert fault.startswith("rates: got ")
    assert "0.1 to 86400" in fault


@pytest.mark.parametrize("field", ["id", "repository", "master", "total", "workspace", "lane"])
def test_a_missing_field(field: str) -> None:
    """It is named, with what is accepted."""
    body = wire()
    del body[field]
    assert [f for f in faults(body) if f.startswith(f"{field}: missing; accepted: ")]


def test_what_may_be_left_out() -> None:
    """Name and mergers have a meaning when they are not there."""
    body = wire()
    del body["name"], body["mergers"]
    command = from_wire(body)
    assert isinstance(command, Enqueue)
    assert (command.name, command.mergers) == ("", ())


@pytest.mark.parametrize("subs", [0, 1, BATCH_SIZE])
def test_the_edges_of_a_batch(subs: int) -> None:
    """A job that was not split, a single subjob and a full batch are accepted."""
    command = enqueue(subs)
    assert from_wire(json.loads(json.dumps(to_wire(command)))) == command


def test_a_long_value_is_cut() -> None:
    """A fault is for people: it does not repeat a megabyte."""
    (fault,) = faults(wire(workspace="x" * 1_000_000))
    assert len(fault) < 200


def of(kind: str, **fields: Any) -> dict[str, Any]:
    return {"v": VERSION, "id": "x1", "kind": kind, "repository": REPOSITORY, **fields}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (of("pause"), "lane: missing; accepted: BACKEND|ENDPOINT|CREDENTIAL"),
        (of("pause", lane="Local"), "lane: got 'Local'"),
        (of("pause", lane=["Local|h|-"]), "lane: got ['Local|h|-']"),
        (of("pause", lane="Local|h|-", reason=""), "reason: got ''; accepted: text"),
        (of("pause", lane="Local|h|-", reason="x" * 256), "reason: got"),
        (of("pause", lane="Local|h|-", reason=7), "reason: got 7"),
        (of("pause", lane="Local|h|-", until=1), "until: unknown field; accepted: lane, reason"),
        (of("resume", lane="||"), "lane: got '||'"),
        (of("resume", lane="Local|h|-", reason="why"), "reason: unknown field"),
        (of("retry"), "master: missing"),
        (of("retry", master=1, subs=[-2]), "subs: got [-2]"),
        (of("retry", master=1, subs="all"), "subs: got 'all'"),
        (of("reconcile", master=1), "master: unknown field"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_one_fault_of_the_small_commands(body: dict[str, Any], where: str) -> None:
    """Pause, resume, retry and reconcile: each named with what is accepted."""
    assert any(fault.startswith(where) for fault in faults(body)), faults(body)


def test_what_the_small_commands_may_leave_out() -> None:
    """A pause has a reason, a retry is of the whole master."""
    pause = from_wire(of("pause", lane="Local|h|-"))
    assert pause == Pause("x1", REPOSITORY, Lane("Local", "h"), "by its owner")
    assert from_wire(of("retry", master=7)) == Retry("x1", REPOSITORY, 7, ())
