"""What the data pages draw, from the statistics that a stage wrote: charts and the tables beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.ui.charts import bar_chart

LONG_TAIL = 24  # bars; the table below them has every language


def of_dataset(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Context of a dataset version's page. `summary` is worker.data.publish's statistics."""
    languages = sorted(summary["languages"].items(), key=lambda item: -item[1]["bytes"])
    histograms = summary["histograms"]
    return {
        "languages": [{"name": name, **row} for name, row in languages],
        "funnel": [_with_losses(step) for step in summary["funnel"]],
        "reasons": [{"code": code, **row} for code, row in summary["reasons"].items()],
        "redactions": sorted(summary["redactions"].items(), key=lambda item: -item[1]),
        "language_chart": bar_chart(
            {name: row["bytes"] / 1e6 for name, row in languages[:LONG_TAIL]},
            x_title="language",
            y_title="MB",
            log_y=len(languages) > 1,
        ),
        "size_chart": _binned(
            histograms["file_bytes_kept"], histograms["bin_upper_bounds"], "file size, bytes", "files"
        ),
        "line_chart": _binned(
            histograms["line_characters_kept"], histograms["bin_upper_bounds"], "line length, characters", "lines"
        ),
    }


def of_tokenizer(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Context of a tokenizer's page. A split without text has no figure."""
    rows = [
        {"split": split, "language": language, **figures}
        for split, measured in summary["fertility"].items()
        for language, figures in measured["languages"].items()
    ]
    specials = sorted(summary["special_tokens"].items(), key=lambda item: item[1])
    return {
        "fertility": rows,
        "specials": [item for item in specials if not item[0].startswith("<|reserved_")],
        "n_reserved": sum(name.startswith("<|reserved_") for name, _ in specials),
        "fertility_chart": bar_chart(
            {f"{row['language']}, {row['split'].replace('_', ' ')}": row["bytes_per_token"] for row in rows},
            x_title="language and split",
            y_title="bytes per token",
        ),
    }


def _with_losses(step: Mapping[str, Any]) -> dict[str, Any]:
    lost = step["rows_in"] - step["rows_out"]
    return {**step, "rows_lost": lost, "kept_share": step["rows_out"] / step["rows_in"] if step["rows_in"] else None}


def _binned(counts: list[int], upper_bounds: list[int], x_title: str, y_title: str) -> dict[str, Any]:
    """Bins that double: one bar each, from the first to the last that holds anything."""
    filled = [index for index, count in enumerate(counts) if count]
    if not filled:
        return bar_chart({}, x_title=x_title, y_title=y_title)
    bars = {f"≤ {upper_bounds[index]:,}": counts[index] for index in range(filled[0], filled[-1] + 1)}
    return bar_chart(bars, x_title=x_title, y_title=y_title)
