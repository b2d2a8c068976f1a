"""Parts of a stream: each is given whole and alone, however it is cut; a cut is told."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.errors import BackendUnreachable
from gangamon.fetchers.framing import Broken, CutOff, Parts

MARK = "mark"

#: What looks like the mark, or is a part of it, and other bytes.
PIECES = st.sampled_from(
    [b"\n", b"\nmar", b"\nmark", b"mark ", b" ", b"\n\nmark", b"\0", b"x" * 40]
)
BODIES = st.lists(PIECES, max_size=20).map(b"".join).filter(lambda body: b"\nmark " not in body)


def reads(stream: bytes, sizes: list[int]) -> Callable[[int], bytes]:
    """A stream that comes in pieces of these sizes, over and over."""
    file = io.BytesIO(stream)
    turn = 0

    def read(most: int) -> bytes:
        nonlocal turn
        turn += 1
        return file.read(min(most, sizes[turn % len(sizes)]))

    return read


@given(
    st.lists(BODIES, min_size=1, max_size=5),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.integers(1, 50),
)
def test_each_part_is_itself(bodies: list[bytes], sizes: list[int], most: int) -> None:
    stream = b"".join(body + b"\nmark %d\n" % n for n, body in enumerate(bodies))
    parts = Parts(reads(stream, sizes), MARK)
    for n, body in enumerate(bodies):
        found = b""
        while piece := parts.some(most):
            assert len(piece) <= most
            found += piece
        # The line break of the mark's line may be one of the body's.
        assert found == body
        assert parts.line() == str(n)
    with pytest.raises(Broken):
        parts.some(1)


@given(st.lists(BODIES, min_size=2, max_size=4), st.lists(st.integers(1, 60), min_size=1))
def test_what_is_not_read_is_read_over(bodies: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(body + b"\nmark %d\n" % n for n, body in enumerate(bodies))
    parts = Parts(reads(stream, sizes), MARK)
    assert [parts.line() for _ in bodies] == [str(n) for n in range(len(bodies))]


@given(BODIES, st.integers(0, 1000), st.lists(st.integers(1, 60), min_size=1))
def test_exactly_so_many(body: bytes, size: int, sizes: list[int]) -> None:
    parts = Parts(reads(body + b"\nmark end\n", sizes), MARK)
    if size <= len(body):
        assert parts.exactly(size) == body[:size]
        parts.skip(len(body) - size)
    else:
        with pytest.raises(CutOff):
            parts.exactly(size)
    assert parts.line() == "end"


@given(st.binary(max_size=300), st.data())
def test_any_bytes(stream: bytes, data: st.DataObject) -> None:
    """Nothing else than its own errors, and an end."""
    parts = Parts(reads(stream, [7, 64]), "\0")
    with pytest.raises((Broken, CutOff)):
        while True:
            which = data.draw(st.sampled_from(["exactly", "skip", "line"]))
            if which == "line":
                parts.line()
            else:
                getattr(parts, which)(data.draw(st.integers(1, 100)))


def test_a_line_without_an_end() -> None:
    parts = Parts(reads(b"\nmark " + bytes(1000), [50]), MARK)
    with pytest.raises(Broken, match="too long"):
        parts.line()


def test_a_source_that_does_not_answer_in_time() -> None:
    def read(most: int) -> bytes:
        raise BackendUnreachable("no answer in time")

    with pytest.raises(Broken, match="in time"):
        Parts(read, MARK).some(1)
