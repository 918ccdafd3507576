"""How many rows and bytes each step took and let through, and why it stopped the others. Totals are sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from worker.data.reasons import REASONS, STEPS

Counts = dict[str, int]
FIELDS = ("rows_in", "bytes_in", "rows_out", "bytes_out")


@dataclass
class Funnel:
    """steps: name -> FIELDS. reasons: code -> rows and bytes. changed: repair -> rows. All plain JSON."""

    steps: dict[str, Counts] = field(default_factory=dict)
    reasons: dict[str, Counts] = field(default_factory=dict)
    changed: Counts = field(default_factory=dict)

    def count(self, step: str, rows_in: int, bytes_in: int, kept: pa.Table, dropped: pa.Table) -> None:
        """Book one step's work; `kept` and `dropped` have size_bytes, `dropped` also reason."""
        values = (rows_in, bytes_in, len(kept), total_bytes(kept))
        _add(self.steps.setdefault(step, dict.fromkeys(FIELDS, 0)), dict(zip(FIELDS, values, strict=True)))
        for reason, size in zip(dropped["reason"].to_pylist(), dropped["size_bytes"].to_pylist(), strict=True):
            _add(self.reasons.setdefault(reason, {"rows": 0, "bytes": 0}), {"rows": 1, "bytes": size})

    def add(self, other: Funnel) -> None:
        for mine, theirs in ((self.steps, other.steps), (self.reasons, other.reasons)):
            for name, counts in theirs.items():
                _add(mine.setdefault(name, {}), counts)
        _add(self.changed, other.changed)

    def to_list(self) -> list[dict[str, Any]]:
        """The steps in the order they run."""
        return [{"step": step, **self.steps[step]} for step in STEPS if step in self.steps]

    def reasons_to_dict(self, examples: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """Most rows first; each with its step, wording and examples."""
        ordered = sorted(self.reasons.items(), key=lambda item: (-item[1]["rows"], item[0]))
        return {
            code: {**REASONS[code]._asdict(), **counts, "examples": examples.get(code, [])} for code, counts in ordered
        }


def add_up(funnels: Iterable[Funnel]) -> Funnel:
    total = Funnel()
    for funnel in funnels:
        total.add(funnel)
    return total


def total_bytes(table: pa.Table | pa.RecordBatch) -> int:
    return pc.sum(table["size_bytes"]).as_py() or 0


def _add(into: Counts, other: Counts) -> None:
    for name, value in other.items():
        into[name] = into.get(name, 0) + value
