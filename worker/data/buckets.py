"""Tables between two phases of an ingest, on disk: sorted by id and cut into 64 ranges of ids that are read alone.

Ids are uniform, so a range holds a 64th of any table, and a phase that works by ranges of ids reads of each file what
it needs and no more. Arrow IPC with LZ4 is read about as fast as the disk gives it; Parquet's footer alone, once per
file and range, cost as much as the whole cleaning of small files. These files never leave the job's folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.manifest import partial_of

BUCKETS = 64
WHOLE = 1 << 32
_SHIFT = 26  # a bucket is 2^26 of the 2^32 values of an id's first 32 bits
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


def write(table: pa.Table, path: Path) -> None:
    """A table with a string column `id` of hex digits, in any order. Renamed into place when it is whole."""
    rows = batch_of(table.sort_by("id"))
    firsts = np.array([int(name, 16) for name in pc.utf8_slice_codeunits(rows["id"], 0, 2).to_pylist()], np.int64)
    bounds = np.searchsorted(firsts, np.arange(BUCKETS + 1) * (256 // BUCKETS)).tolist()
    partial = partial_of(path)
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, rows.schema, options=_OPTIONS) as file:
        for start, end in pairwise(bounds):
            file.write_batch(rows.slice(start, end - start))
    partial.replace(path)


def batch_of(table: pa.Table) -> pa.RecordBatch:
    """All rows of a table as one batch."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def read(path: Path, schema: pa.Schema, low: int = 0, high: int = WHOLE) -> pa.Table:
    """Rows whose id begins with 32 bits in [low, high), columns of `schema`, sorted by id."""
    table = _read_buckets(path, schema, range(low >> _SHIFT, -(-high >> _SHIFT)))
    if low % (1 << _SHIFT):
        table = table.filter(pc.greater_equal(table["id"], f"{low:08x}"))
    if high % (1 << _SHIFT):
        table = table.filter(pc.less(table["id"], f"{high:08x}"))
    return table


def read_all(paths: Sequence[Path], schema: pa.Schema, low: int = 0, high: int = WHOLE) -> pa.Table:
    """The rows of several files, sorted by id."""
    tables = [read(path, schema, low, high) for path in paths]
    return pa.concat_tables([schema.empty_table(), *tables]).sort_by("id").combine_chunks()


def _read_buckets(path: Path, schema: pa.Schema, wanted: range) -> pa.Table:
    with pa.OSFile(str(path)) as source:
        file = pa.ipc.open_file(source)
        names = file.schema.names
        if names != schema.names:
            fields = [names.index(name) for name in schema.names]
            options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
            file = pa.ipc.open_file(source, options=options)
        batches = [file.get_batch(number) for number in wanted]
    table = pa.Table.from_batches(batches) if batches else schema.empty_table()
    return table if table.schema.equals(schema) else table.select(schema.names).cast(schema)
