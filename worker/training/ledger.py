"""Which samples each step saw: `batches.parquet` with `step` (from 1) and `sample_ids` (in batch order).

Rows are kept in memory and written as a chunk whenever a checkpoint asks this callback for its state, which
Composer does before it writes anything: so no checkpoint claims a step whose rows a kill -9 could lose. On
resumption, rows past the checkpoint are dropped; those steps will be trained, and recorded, again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

SCHEMA = pa.schema([("step", pa.int64()), ("sample_ids", pa.list_(pa.int64()))])


class BatchLedger(Callback):
    """Records on rank 0 what all ranks trained on, under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []

    def fit_start(self, state: State, logger: Logger) -> None:
        if dist.get_global_rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            drop_after(self.folder, state.timestamp.batch.value)

    def batch_end(self, state: State, logger: Logger) -> None:
        sample_ids = _gather(state)
        if dist.get_global_rank() == 0:
            self.rows.append({"step": state.timestamp.batch.value, "sample_ids": sample_ids})

    def state_dict(self) -> dict[str, Any]:
        self.flush()
        return {}

    def flush(self) -> None:
        if self.rows:
            write_chunk(self.folder, self.rows)
            self.rows = []


def _gather(state: State) -> list[int]:
    """The global batch's sample ids: each rank's slice, in rank order."""
    own = state.batch["sample_ids"]
    if dist.get_world_size() == 1:
        return [int(sample_id) for sample_id in own]
    slices = dist.all_gather(state.device.tensor_to_device(own))
    return [int(sample_id) for sample_id in torch.cat(list(slices))]


def write_chunk(folder: Path, rows: list[dict[str, Any]]) -> None:
    path = folder / f"{rows[0]['step']:09d}-{rows[-1]['step']:09d}.parquet"
    partial = path.with_suffix(".partial")
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), partial)
    partial.replace(path)


def drop_after(folder: Path, step: int) -> None:
    """Forget all rows of steps after `step`."""
    for path in _chunks(folder):
        first, last = (int(number) for number in path.stem.split("-"))
        if last <= step:
            continue
        kept = [row for row in pq.read_table(path).to_pylist() if row["step"] <= step]
        path.unlink()
        if first <= step:
            write_chunk(folder, kept)


def merge(folder: Path, target: Path) -> int:
    """All chunks, in order of step, as one file; returns the number of steps."""
    target.parent.mkdir(parents=True, exist_ok=True)
    n_steps = 0
    with pq.ParquetWriter(target, SCHEMA) as writer:
        for path in _chunks(folder):
            table = pq.read_table(path)
            writer.write_table(table)
            n_steps += table.num_rows
    return n_steps


def _chunks(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob("*.parquet")))
