"""Mergers of data formats that Ganga has none for. ``SmartMerger`` finds them by ``extensions``,
where ``[Mergers]`` of the session names no other."""

from gangamon.postprocess.formats.arrays import NumpyMerger
from gangamon.postprocess.formats.lines import CsvMerger, JsonLinesMerger
from gangamon.postprocess.formats.parquet import ParquetMerger

__all__ = ["CsvMerger", "JsonLinesMerger", "NumpyMerger", "ParquetMerger"]
