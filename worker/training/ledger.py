"""Which samples each step saw: `batches.parquet` with `step` (from 1), `sample_ids` (in batch order) and `losses` (of each
of them, in nats per token, before the step was taken).

Rows are kept in memory and written as a chunk whenever a checkpoint asks this callback for its state, which
Composer does before it writes anything: so no checkpoint claims a step whose rows a kill -9 could lose. On
resumption, rows past the checkpoint are dropped; those steps will be trained, and recorded, again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

SCHEMA = pa.schema([("step", pa.int64()), ("sample_ids", pa.list_(pa.int64())), ("losses", pa.list_(pa.float32()))])


class BatchLedger(Callback):
    """Records on rank 0 what all ranks trained on, under `folder`.

    `take_losses` gives the losses of this rank's samples since it was last called, in their order.
    """

    def __init__(self, folder: Path, take_losses: Callable[[], torch.Tensor]) -> None:
        self.folder, self.take_losses = folder, take_losses
        self.rows: list[dict[str, Any]] = []

    def fit_start(self, state: State, logger: Logger) -> None:
        if dist.get_global_rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            drop_after(self.folder, state.timestamp.batch.value)

    def batch_end(self, state: State, logger: Logger) -> None:
        sample_ids = [int(sample_id) for sample_id in _gather(state, state.batch["sample_ids"])]
        losses = [float(loss) for loss in _gather(state, self.take_losses())]
        if dist.get_global_rank() == 0:
            self.rows.append({"step": state.timestamp.batch.value, "sample_ids": sample_ids, "losses": losses})

    def state_dict(self) -> dict[str, Any]:
        self.flush()
        return {}

    def flush(self) -> None:
        if self.rows:
            write_chunk(self.folder, self.rows)
            self.rows = []


def _gather(state: State, own: torch.Tensor) -> torch.Tensor:
    """One value for each sample of the global batch: each rank's slice, in rank order."""
    if dist.get_world_size() == 1:
        return own.cpu()
    return torch.cat(list(dist.all_gather(state.device.tensor_to_device(own)))).cpu()


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
            table = pq.read_table(path, schema=SCHEMA)  # a chunk from before losses were recorded has none
            writer.write_table(table)
            n_steps += table.num_rows
    return n_steps


def _chunks(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.glob("*.parquet")))
