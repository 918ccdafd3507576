"""Spreads tasks over Daft's native runner: names go in, names come out, content never crosses.

Content that goes through the engine costs memory without bound (479 MB of source took 1.4-1.7 GB, 1.9 GB took 3.5
GB, and Daft aborts when an allocation fails); one task a shard stayed under 0.85 GB for both. Daft takes as many
threads as the process has cores (its CPU affinity); which thread does a task, and in what order they end, changes
nothing in the files they write.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Read when daft is imported: no calls home, no progress bar on stdout (that is the job's log).
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")

import daft
from daft import DataType, Series
from daft.runners import get_or_create_runner


def map_tasks(task: Callable[[str], None], names: Sequence[str], stop_file: Path) -> Iterator[str]:
    """Run `task` once for each name; yield names as they are done. Once `stop_file` is there no other task begins.

    Daft pickles what it is given, so `task` must hold data only: no open file, no lock.
    """
    _use_native_runner()

    def run(batch: Series) -> list[str | None]:
        return [_unless_stopped(task, name, stop_file) for name in batch.to_pylist()]

    column = daft.from_pydict({"name": list(names)})
    once_each = daft.func.batch(return_dtype=DataType.string(), batch_size=1, use_process=False)(run)
    for batch in column.select(once_each(column["name"]).alias("done")).to_arrow_iter(results_buffer_size=1):
        yield from (name for name in batch.column(0).to_pylist() if name is not None)


def _unless_stopped(task: Callable[[str], None], name: str, stop_file: Path) -> str | None:
    if stop_file.exists():
        return None
    task(name)
    return name


def _use_native_runner() -> None:
    """Daft refuses to set a runner twice in one process."""
    if daft.get_or_infer_runner_type() != "native" or not _RUNNER:
        daft.set_runner_native(num_threads=len(os.sched_getaffinity(0)))
        _RUNNER.append(get_or_create_runner())


_RUNNER: list[object] = []
