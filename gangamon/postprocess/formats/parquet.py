"""Parquet files: rows one behind the other, columns the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gangamon.errors import MergeFailed
from gangamon.postprocess import outputs
from gangamon.postprocess.formats.arrays import library
from gangamon.postprocess.segments import Segmented
from gangamon.protocols import MergeOrder

#: Bytes of rows that are gathered for a row group, and rows read in one go.
_GROUP, _ROWS = 64 << 20, 1 << 16


class ParquetMerger(Segmented):
    """Names and types of the columns must be the same, in any order. Compression and metadata are
    those of the first file."""

    kind = "ParquetMerger"
    extensions = ("parquet",)

    def make(self, order: MergeOrder) -> outputs.Make:
        """See Segmented."""
        return _merge


def _merge(paths: Sequence[str], output: str) -> None:
    arrow = library("pyarrow", "Parquet files")
    form = library("pyarrow.parquet", "Parquet files")
    try:
        with form.ParquetFile(paths[0]) as first:
            schema, compression = first.schema_arrow, _compression(first)
        rows = 0
        with form.ParquetWriter(output, schema, compression=compression) as writer:
            for table in _gathered(arrow, _batches(arrow, form, paths, schema)):
                writer.write_table(table)
                rows += table.num_rows
        with form.ParquetFile(output) as made:
            if made.metadata.num_rows != rows:
                raise MergeFailed(f"{made.metadata.num_rows} rows were written of {rows}.")
    except arrow.ArrowInvalid as error:
        raise MergeFailed(f"Parquet files cannot be merged: {error}") from error


def _compression(file: Any) -> str:
    meta = file.metadata
    if not meta.num_row_groups or not meta.num_columns:
        return "snappy"
    return str(meta.row_group(0).column(0).compression).replace("UNCOMPRESSED", "NONE")


def _batches(arrow: Any, form: Any, paths: Sequence[str], schema: Any) -> Iterator[Any]:
    """Tables of some rows each, with the columns of the schema."""
    for path in paths:
        with _opened(arrow, form, path) as file:
            theirs = file.schema_arrow
            if {f.name: f.type for f in theirs} != {f.name: f.type for f in schema}:
                raise MergeFailed(
                    f"The columns of {path} are {_told(theirs)}; those of {paths[0]} are "
                    f"{_told(schema)}."
                )
            for batch in file.iter_batches(_ROWS):
                yield arrow.Table.from_batches([batch]).select(schema.names).cast(schema)


def _opened(arrow: Any, form: Any, path: str) -> Any:
    try:
        return form.ParquetFile(path)
    except arrow.ArrowInvalid as error:
        raise MergeFailed(f"The input {path} is no Parquet file: {error}") from error


def _told(schema: Any) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _gathered(arrow: Any, tables: Iterator[Any]) -> Iterator[Any]:
    kept: list[Any] = []
    for table in tables:
        kept.append(table)
        if sum(one.nbytes for one in kept) > _GROUP:
            yield arrow.concat_tables(kept)
            kept = []
    if kept:
        yield arrow.concat_tables(kept)
