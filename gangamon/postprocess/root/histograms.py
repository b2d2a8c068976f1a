"""Histograms are summed as by ROOT's ``TH1::Merge`` where all have the same bins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gangamon.errors import LeftToSession

#: TH1, TH2, TH3 of each type of content, and profiles.
CLASSES = re.compile(r"TH[123][CSIFD]|TProfile|TProfile[23]D")

#: Statistics of the fills, which add up.
# fmt: off
_SUMS = (
    "fEntries", "fTsumw", "fTsumw2", "fTsumwx", "fTsumwx2", "fTsumwy", "fTsumwy2", "fTsumwz",
    "fTsumwz2", "fTsumwxy", "fTsumwxz", "fTsumwyz", "fTsumwt", "fTsumwt2",
)
# fmt: on

#: Per bin: weights and entries.
_ARRAYS = ("fSumw2", "fBinEntries", "fBinSumw2")

_AXES = ("fXaxis", "fYaxis", "fZaxis")


class Sum:
    """The histograms of one path, added to the first, which is uproot's model of it."""

    def __init__(self, path: str, first: Any) -> None:
        import numpy

        self._np = numpy
        self._path, self._model = path, first
        self._plain(first)
        self._axes = _axes(first)
        self._computed = _computed(first)
        self._values = {name: first.member(name) for name in _SUMS if first.has_member(name)}
        self._bins = {n: self._array(first.member(n)) for n in _ARRAYS if first.has_member(n)}
        self._content = self._array(_content(first))

    def add(self, other: Any) -> None:
        """LeftToSession for what hadd would do something else with than to add bin by bin."""
        self._plain(other)
        if other.classname != self._model.classname or _axes(other) != self._axes:
            raise LeftToSession(f"{self._path}: histograms of different bins need ROOT's hadd")
        if _computed(other) != self._computed and _filled(other) and self._values["fEntries"]:
            raise LeftToSession(f"{self._path}: only some have statistics: it needs ROOT's hadd")
        content = self._array(_content(other))
        for name, mine in self._bins.items():
            theirs = self._array(other.member(name))
            if name == "fSumw2" and len(mine) != len(theirs):
                # Without weights the square of the error is the content.
                mine = mine if len(mine) else abs(self._content)
                theirs = theirs if len(theirs) else abs(content)
            if len(mine) != len(theirs):
                raise LeftToSession(f"{self._path}: {name} of different lengths needs ROOT's hadd")
            self._bins[name] = mine + theirs
        self._content = self._content + content
        for name in self._values:
            self._values[name] += other.member(name)

    @property
    def entries(self) -> float:
        return float(self._values["fEntries"])

    def model(self) -> Any:
        """For uproot to be written."""
        for part in _parts(self._model):
            for name in self._values.keys() & part._members.keys():
                part._members[name] = self._values[name]
            for name in self._bins.keys() & part._members.keys():
                array = part._members[name]
                array._data = self._bins[name].astype(">f8")
                array._members["fN"] = len(self._bins[name])
        content = _content(self._model)
        kind = content._data.dtype
        if kind.kind == "i":  # ROOT's counters stop at the ends of their range
            limits = self._np.iinfo(kind)
            self._content = self._np.clip(self._content, limits.min, limits.max)
        content._data = self._content.astype(kind)
        return self._model

    def _array(self, array: Any) -> Any:
        return self._np.asarray(array._data, dtype="f8")

    def _plain(self, model: Any) -> None:
        """LeftToSession if something hangs on it that uproot would not write."""
        buffer = model.member("fBuffer", none_if_missing=True)
        if len(model.member("fFunctions")) or (buffer is not None and len(buffer)):
            raise LeftToSession(f"{self._path}: a histogram with functions needs ROOT's hadd")


def _parts(model: Any) -> Iterator[Any]:
    """The model and all it inherits from."""
    yield model
    for base in model._bases:
        yield from _parts(base)


def _content(model: Any) -> Any:
    return next(part for part in _parts(model) if part.classname.startswith("TArray"))


def _axes(model: Any) -> list[Any]:
    found = []
    for name in _AXES:
        axis = model.member(name)
        labels = axis.member("fLabels")
        found.append(
            (
                *(axis.member(key) for key in ("fNbins", "fXmin", "fXmax")),
                list(axis.member("fXbins")),
                [str(label) for label in labels] if labels is not None else [],
            )
        )
    return found


def _filled(model: Any) -> bool:
    return bool(model.member("fEntries"))


def _computed(model: Any) -> bool:
    """Whether its statistics are to be computed from its bins, as after SetBinContent."""
    return _filled(model) and not model.member("fTsumw")
