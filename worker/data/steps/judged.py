"""What a step answers: the batch, and for each row whether it goes on.

`reason` is null for the rows that go on; `measured` is the number that decided. Of the reasons that fit a row the
first is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Parameters = Mapping[str, Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """`reason` (string), `measured` (double) and `detail` (string, for people) have one value a row of `batch`.

    `changed` counts rows that were changed, by what was. `size_bytes` of the batch follows changed content.
    """

    batch: pa.RecordBatch
    reason: pa.Array
    measured: pa.Array
    changed: Mapping[str, int] = field(default_factory=dict)
    detail: pa.Array | None = None


Step = Callable[[pa.RecordBatch, Parameters], Judged]


def judged(
    batch: pa.RecordBatch,
    reason: Sequence[str | None],
    measured: Any = None,
    changed: Mapping[str, int] | None = None,
    detail: Sequence[str | None] | None = None,
) -> Judged:
    """A verdict from plain sequences; `measured` may be an array of numbers, NaN where there is none."""
    values = pa.nulls(len(batch), pa.float64())
    if measured is not None:
        values = pa.array(measured, from_pandas=True).cast(pa.float64())
    return Judged(
        batch,
        pa.array(reason, pa.string()),
        values,
        changed or {},
        None if detail is None else pa.array(detail, pa.string()),
    )


def first_failed(fits: Sequence[tuple[str, Mask, Any]], n: int) -> tuple[list[str | None], npt.NDArray[np.float64]]:
    """(reason, measured) of `fits`: (reason, rows that it fits, numbers), of which the first to fit a row is given."""
    reason: list[str | None] = [None] * n
    measured = np.full(n, np.nan)
    for name, failed, values in reversed(fits):
        for row in np.flatnonzero(failed):
            reason[row], measured[row] = name, values[row]
    return reason, measured


def with_column(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    if name in batch.schema.names:
        return batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch.append_column(name, column)


def with_content(batch: pa.RecordBatch, content: pa.Array, is_changed: Mask) -> pa.RecordBatch:
    """New text (large_string); the hash and measures of rows that it changed are no longer known."""
    sizes = pc.binary_length(content).cast(pa.int64())
    batch = with_column(with_column(batch, "content", content), "size_bytes", sizes)
    if "content_sha" in batch.schema.names and is_changed.any():
        batch = with_column(batch, "content_sha", pc.if_else(pa.array(is_changed), None, batch["content_sha"]))
    return batch


def is_one_of(column: pa.Array, names: Sequence[str]) -> Mask:
    """Rows of a string column whose value is one of `names`; a null is none."""
    found = pc.is_in(column, pa.array(list(names), pa.string()))
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def split_by_reason(verdict: Judged) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """(rows that go on, rows that do not, the latter with `reason`, `measured` and `detail`)."""
    keep = pc.is_null(verdict.reason)
    if pc.all(keep, min_count=0).as_py():
        return verdict.batch, _with_verdict(verdict).slice(0, 0)
    return verdict.batch.filter(keep), _with_verdict(verdict).filter(pc.invert(keep))


def _with_verdict(verdict: Judged) -> pa.RecordBatch:
    detail = pa.nulls(len(verdict.reason), pa.string()) if verdict.detail is None else verdict.detail
    columns = {"reason": verdict.reason, "measured": verdict.measured, "detail": detail}
    batch = verdict.batch
    for name, column in columns.items():
        batch = with_column(batch, name, column)
    return batch
