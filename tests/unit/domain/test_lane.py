"""Lanes and their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gangamon.domain.lane import NO_CREDENTIAL, Lane

parts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(parts, parts, parts)
def test_a_name_means_one_lane(backend: str, endpoint: str, credential: str) -> None:
    """Whatever is in its parts, a lane's name gives the lane back, and is fit for a key."""
    lane = Lane(backend, endpoint, credential)
    assert Lane.parse(str(lane)) == lane
    assert not set(str(lane)) & set(":{}* \t\n/")


def test_a_name_is_readable() -> None:
    """Usual names stand as they are."""
    assert str(Lane("Slurm", "login1.example.org")) == f"Slurm|login1.example.org|{NO_CREDENTIAL}"


@pytest.mark.parametrize("name", ["", "Local", "Local|host", "Local|host|-|x", "Local||-", "|h|-"])
def test_no_lane(name: str) -> None:
    """A name without exactly three parts is refused, and said."""
    with pytest.raises(ValueError, match="BACKEND"):
        Lane.parse(name)
