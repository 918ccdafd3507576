"""What tasks run on: this machine (native), a Ray cluster (on_ray), Spark or Databricks (on_spark).

A runner spreads a function from string to string over names and gives the results as they come. It knows nothing of
shards or steps. Which one a job uses is worker.data.engine's choice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

# Read when daft is imported: no calls home, no progress bar on stdout (that is the job's log).
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")


class Runner(Protocol):
    """`name`: native, ray or spark; `address`: where, without credentials, "" for this machine."""

    name: str
    address: str

    def map(self, run: Callable[[str], str], names: Sequence[str]) -> Iterator[str]:
        """run(name) of each name, in any order. `run` is pickled and may be called twice for a name."""
        ...
