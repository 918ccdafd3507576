"""python -m tests.worker.data.interrupted DIR WHERE: an ingest of small shards that kills itself (-9) at a point.

WHERE: "shard:N", "part:N" (after so many were finished), "decide", "assemble", or "" for a run to the end.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from worker.__main__ import main
from worker.data import parts, publish, shard

SHARD_FILES, PART_BYTES = 25, 700


def die(*given: Any, **named: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(times: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, and death in the middle of the call after so many."""
    calls = []

    def called(*given: Any) -> Any:
        calls.append(1)
        return die() if len(calls) > times else function(*given)

    return called


def interrupt(where: str) -> None:
    point, _, times = where.partition(":")
    if point == "shard":
        shard.clean_batch = after(int(times), shard.clean_batch)
    elif point == "part":
        parts._sums = after(int(times), parts._sums)
    elif point == "decide":
        publish.decide = die
    elif point == "assemble":
        publish.write_parquet = die


if __name__ == "__main__":
    shard.SHARD_FILES, parts.PART_BYTES = SHARD_FILES, PART_BYTES
    interrupt(sys.argv[2])
    sys.exit(main(["ingest_dataset", sys.argv[1]]))
