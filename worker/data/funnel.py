"""How many rows and bytes each step took and let through, and why it stopped the others. Totals are sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from worker.cleaning import CATALOGUE, REASONS

Counts = dict[str, int]
FIELDS = ("rows_in", "bytes_in", "rows_out", "bytes_out")
UNKNOWN_LANGUAGE = ""


@dataclass
class Funnel:
    """steps: name -> FIELDS. reasons: code -> language -> rows and bytes. changed: what -> rows. All plain JSON."""

    steps: dict[str, Counts] = field(default_factory=dict)
    reasons: dict[str, dict[str, Counts]] = field(default_factory=dict)
    changed: Counts = field(default_factory=dict)

    def count(self, step: str, before: pa.Table | pa.RecordBatch, kept: pa.Table, dropped: pa.Table) -> None:
        """Book one step's work; the tables have size_bytes, `dropped` also reason and language."""
        values = (len(before), total_bytes(before), len(kept), total_bytes(kept))
        _add(self.steps.setdefault(step, dict.fromkeys(FIELDS, 0)), dict(zip(FIELDS, values, strict=True)))
        if len(dropped) == 0:
            return
        columns = {name: dropped[name] for name in ("reason", "language", "size_bytes")}
        sums = pa.table(columns).group_by(["reason", "language"])
        for row in sums.aggregate([("size_bytes", "count"), ("size_bytes", "sum")]).to_pylist():
            by_language = self.reasons.setdefault(row["reason"], {})
            counts = by_language.setdefault(row["language"] or UNKNOWN_LANGUAGE, {"rows": 0, "bytes": 0})
            _add(counts, {"rows": row["size_bytes_count"], "bytes": row["size_bytes_sum"]})

    def add(self, other: Funnel) -> None:
        for name, counts in other.steps.items():
            _add(self.steps.setdefault(name, {}), counts)
        for code, by_language in other.reasons.items():
            mine = self.reasons.setdefault(code, {})
            for language, counts in by_language.items():
                _add(mine.setdefault(language, {}), counts)
        _add(self.changed, other.changed)

    def lets_rows_through(self) -> bool:
        """Does the last of its steps let a row go on?"""
        taken = self.to_list()
        return bool(taken) and taken[-1]["rows_out"] > 0

    def to_list(self) -> list[dict[str, Any]]:
        """The steps in the order they run."""
        return [{"step": step.name, **self.steps[step.name]} for step in CATALOGUE if step.name in self.steps]

    def to_metrics(self) -> dict[str, float]:
        """What the page of a version in the making shows: rows in and lost by step."""
        found = {}
        for name, counts in self.steps.items():
            found[f"funnel/{name}/rows_in"] = float(counts["rows_in"])
            found[f"funnel/{name}/rows_lost"] = float(counts["rows_in"] - counts["rows_out"])
        return found

    def rows_by_reason(self) -> dict[str, int]:
        """Most rows first."""
        rows = {code: _total(by_language)["rows"] for code, by_language in self.reasons.items()}
        return dict(sorted(rows.items(), key=lambda item: (-item[1], item[0])))

    def reasons_to_dict(self, examples: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """Most rows first; each with its step, wording, losses by language and examples."""
        return {
            code: {
                "step": REASONS[code].step,
                "text": REASONS[code].text,
                "unit": REASONS[code].unit,
                **_total(self.reasons[code]),
                "languages": dict(sorted(self.reasons[code].items(), key=lambda item: (-item[1]["rows"], item[0]))),
                "examples": examples.get(code, []),
            }
            for code in self.rows_by_reason()
        }


def add_up(funnels: Iterable[Funnel]) -> Funnel:
    total = Funnel()
    for funnel in funnels:
        total.add(funnel)
    return total


def total_bytes(table: pa.Table | pa.RecordBatch) -> int:
    return pc.sum(table["size_bytes"]).as_py() or 0


def _total(by_language: Mapping[str, Counts]) -> Counts:
    total: Counts = {"rows": 0, "bytes": 0}
    for counts in by_language.values():
        _add(total, counts)
    return total


def _add(into: Counts, other: Mapping[str, int]) -> None:
    for name, value in other.items():
        into[name] = into.get(name, 0) + value
