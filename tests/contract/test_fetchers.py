"""The fetcher suite, run by every fetcher."""

from __future__ import annotations

from pathlib import Path

import pytest

from gangamon.fetchers.local import LocalFetcher
from gangamon.testing.conformance import FetcherCase, FetcherConformance
from gangamon.testing.factories import fetch_order


class TestLocal(FetcherConformance):
    """Ganga's Local, with a work directory to be removed."""

    @pytest.fixture
    def case(self, tmp_path: Path) -> FetcherCase:
        top = tmp_path / "LocalXML" / "42"
        output, workdir = top / "0" / "output", tmp_path / "tmpabc"
        (output / "sub").mkdir(parents=True)
        workdir.mkdir()
        (output / "stdout").write_text("hello\n")
        (output / "sub" / "data").write_bytes(bytes(1000))
        (workdir / "stderr").write_text("from the work directory\n")
        return FetcherCase(
            fetcher=LocalFetcher(),
            order=fetch_order(str(output), [str(tmp_path)], extra={"workdir": str(workdir)}),
            missing=fetch_order(str(top / "1" / "output"), [str(tmp_path)], fqid="42.1"),
        )
