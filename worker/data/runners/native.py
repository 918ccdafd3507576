"""Daft's native runner: the threads of this process, as many as its CPU affinity has cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import daft
from daft import DataType, Series
from daft.runners import get_or_create_runner


class Native:
    name = "native"
    address = ""

    def __init__(self) -> None:
        """Daft refuses to set a runner twice in one process."""
        daft.set_runner_native(num_threads=len(os.sched_getaffinity(0)))
        get_or_create_runner()

    def map(self, run: Callable[[str], str], names: Sequence[str]) -> Iterator[str]:
        return collected(run, daft.from_pydict({"name": list(names)}))


def collected(run: Callable[[str], str], names: daft.DataFrame) -> Iterator[str]:
    """run() of each row of the column `name`, one call a row, as they are done."""

    def each(batch: Series) -> list[str]:
        return [run(name) for name in batch.to_pylist()]

    once_each = daft.func.batch(return_dtype=DataType.string(), batch_size=1, use_process=False)(each)
    answers = names.select(once_each(names["name"]).alias("answer"))
    for batch in answers.to_arrow_iter(results_buffer_size=1):
        yield from batch.column(0).to_pylist()
