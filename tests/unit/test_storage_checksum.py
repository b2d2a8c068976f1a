"""Checksums of what comes from storage are zlib's, whoever computes them."""

from __future__ import annotations

import importlib
import os
import sys
import zlib

import pytest

from gangamon.outdir import checksum


@pytest.mark.parametrize("installed", [True, False], ids=["zlib-ng", "zlib"])
def test_the_same_of_both(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        if not installed:
            patch.setitem(sys.modules, "zlib_ng", None)
        importlib.reload(checksum)
        assert (checksum.adler32 is zlib.adler32) == (not installed)
        for size in (0, 1, 5552, 5553, 100_001):
            data = os.urandom(size)
            for ours, theirs, begin in (
                (checksum.adler32, zlib.adler32, 1),
                (checksum.crc32, zlib.crc32, 0),
            ):
                half = ours(data[: size // 2], begin)
                assert ours(memoryview(data)[size // 2 :], half) == theirs(data)
    importlib.reload(checksum)
