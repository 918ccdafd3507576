"""What the page of thresholds draws: a slider for each, histograms with the cut, and the rows that would go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.forms import BaseForm, BoundField

from controlplane.ui import charts, formats
from datasets_app.thresholds import MEASURES, THRESHOLDS, Answer, Measure, Threshold, failed

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Slider:
    """`low` and `high`: what the measures of the rows in play span; `usual`: the recipe's own value."""

    field: BoundField
    threshold: Threshold
    value: float | None
    usual: float | None
    low: float
    high: float

    @property
    def shown(self) -> str:
        return "" if self.value is None else f"{self.value:.10g}"

    @property
    def shown_usual(self) -> str:
        return "off" if self.usual is None else f"{self.usual:.10g}"


def of(answer: Answer, form: BaseForm, usual: Values, asked: Values) -> dict[str, Any]:
    """Context of the page."""
    return {
        "sliders": [_slider(t, form, usual, asked, answer) for t in THRESHOLDS],
        "histograms": [
            (f"histogram-{measure.column}", measure, _histogram(measure, answer, asked)) for measure in MEASURES
        ],
        "going": [{**row, "beyond": _beyond(row, asked)} for row in answer.going],
        "changed": [
            (name, f"{value:.10g}") for name, value in asked.items() if value != usual[name] and value is not None
        ],
    }


def _slider(threshold: Threshold, form: BaseForm, usual: Values, asked: Values, answer: Answer) -> Slider:
    name, measure = threshold.name, threshold.measure
    bins = answer.histograms[measure.column] or {0: (0, 0)}
    low, high = measure.lower(min(bins)), measure.lower(max(bins) + 1)
    about = threshold.about
    bounds = [v for v in (usual[name], asked[name]) if v is not None]
    low = max(min([low, *bounds]), about.minimum or 0)
    return Slider(form[name], threshold, asked[name], usual[name], low, max([high, *bounds, low]))


def _beyond(row: Mapping[str, Any], asked: Values) -> str:
    """Why a row would go: its measures that are on the wrong side."""
    return ", ".join(
        f"{t.measure.title.lower()} {formats.number(round(row[t.measure.column], 3))}" for t in failed(row, asked)
    )


def _histogram(measure: Measure, answer: Answer, asked: Values) -> charts.Figure:
    """Rows that pass and rows that do not, stacked, with a line at each threshold on the measure."""
    bins = answer.histograms[measure.column]
    span = range(min(bins), max(bins) + 1) if bins else range(0)
    edges = [(max(measure.lower(k), 0.5 if not measure.is_share else 0), measure.lower(k + 1)) for k in span]
    x = [(left + right) / 2 for left, right in edges]
    width = [right - left for left, right in edges]
    base = charts.layout(measure.unit, "files", log_x=not measure.is_share)
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": x,
            "y": [bins.get(k, (0, 0))[side] for k in span],
            "width": width,
            "marker": {"color": charts.PALETTE[side]},
            "meta": {"hue": side},
        }
        for side, name in enumerate(("pass", "do not"))
    ]
    cuts = [asked[t.name] for t in THRESHOLDS if t.measure is measure and asked[t.name] is not None]
    line = {"color": charts.PALETTE[1], "width": 1.4, "dash": "dash"}
    shapes = [{"type": "line", "x0": c, "x1": c, "y0": 0, "y1": 1, "yref": "paper", "line": line} for c in cuts]
    is_short = bool(edges) and edges[-1][1] / max(edges[0][0], 0.5) <= 1_000
    across = {"exponentformat": "SI"} | ({} if measure.is_share else {"dtick": "D2" if is_short else 1})
    look = {"barmode": "stack", "bargap": 0, "hovermode": "x", "height": 190, "shapes": shapes, "xaxis": across}
    return charts.figure_of(traces, base, f"Files by {measure.title.lower()}, and where the thresholds cut", **look)
