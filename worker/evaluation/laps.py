"""What a phase takes, shared out to the records that it makes, so that their sum is right after any number of attempts:
a record that is kept brings its share along, and what a kill swallowed is made, and counted, again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any


class Laps:
    """A clock from now on. `seconds` and `cpu_seconds` are the fields that records get: elapsed, and processor time of
    this process (all its threads, without the programs that it runs); "" for none.
    """

    def __init__(self, seconds: str, cpu_seconds: str = "") -> None:
        self.fields = seconds, cpu_seconds
        self._before = _now()

    def shared(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The records, each with its equal share of what passed since the last call."""
        now, n = _now(), max(1, len(records))
        passed = zip(self.fields, now, self._before, strict=True)
        share = {name: round((after - before) / n, 6) for name, after, before in passed if name}
        self._before = now
        return [{**record, **share} for record in records]


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
