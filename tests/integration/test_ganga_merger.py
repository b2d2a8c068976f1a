"""GangaMerger: the ``mergefiles`` of another package's merger, in a Ganga of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from gangamon.domain.command import MergerSpec
from gangamon.domain.status import JobStatus
from gangamon.errors import LeftToSession, MergeFailed
from gangamon.postprocess.foreign import GangaMerger
from gangamon.protocols import CodeLimits, MergeOrder
from tests.ganga import GANGA, VERSION, needs_ganga
from tests.support.ganga_package import write_package

#: Of the user: Ganga is not to load what stands here besides.
GANGARC = f"""\
# Ganga configuration file ($Name: {VERSION} $)
[Configuration]
RUNTIME_PATH = /no/package
"""


def order(root: Path, **given: str) -> MergeOrder:
    """As the adapter hands it over."""
    (root / "gangarc").write_text(GANGARC)
    inputs = []
    for sub in range(2):
        output = root / "42" / str(sub) / "output"
        output.mkdir(parents=True, exist_ok=True)
        (output / "out").write_text(f"{sub} ")
        inputs.append((f"42.{sub}", JobStatus.COMPLETED, str(output)))
    options = {
        "plugin": "MineMerger",
        "attributes": json.dumps({"word": "one"}),
        "python": sys.executable,
        "ganga": str(GANGA),
        "version": VERSION,
        "packages": str(root / "GangaMine"),
        "gangarc": str(root / "gangarc"),
        **given,
    }
    spec = MergerSpec("GangaMerger", ("out",), options=options)
    return MergeOrder("42", 1, spec, str(root / "42" / "output"), inputs)


def merger() -> GangaMerger:
    made = GangaMerger()
    made.limits = CodeLimits(300)
    return made


@needs_ganga
def test_merges_in_another_process(tmp_path: Path) -> None:
    """Whole, once, with its attributes; nothing of that Ganga stays."""
    write_package(tmp_path)
    ((name, size, _),) = merger().run(order(tmp_path)).files
    word, pid, *rest = (tmp_path / "42" / "output" / "out").read_text().split()
    assert (name, word, rest) == ("out", "one", ["0", "1"])
    assert size == (tmp_path / "42" / "output" / "out").stat().st_size
    assert int(pid) != os.getpid()
    assert set(os.listdir(tmp_path / "42" / "output")) == {
        "out", "out.merge_summary", ".gangamon-merge.json"
    }  # fmt: skip


@needs_ganga
def test_its_error_comes_back(tmp_path: Path) -> None:
    """In its words; nothing is shown."""
    write_package(tmp_path)
    with pytest.raises(MergeFailed, match=r"\Ano such word"):
        merger().run(order(tmp_path, attributes='{"word": "bad"}'))
    assert os.listdir(tmp_path / "42" / "output") == ["out.merge_summary"]


@needs_ganga
def test_what_that_ganga_does_not_know_is_left_to_the_session(tmp_path: Path) -> None:
    """A plugin, an attribute; a program that is not there at once."""
    write_package(tmp_path)
    with pytest.raises(LeftToSession, match="NoMerger"):
        merger().run(order(tmp_path, plugin="NoMerger"))
    with pytest.raises(LeftToSession, match="/no/ganga cannot be run"):
        merger().run(order(tmp_path, ganga="/no/ganga"))
    assert not os.path.exists(tmp_path / "42" / "output" / "out")
