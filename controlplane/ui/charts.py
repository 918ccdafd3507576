"""Figures for plotly.js, built here and tested here; charts.js only draws them.

Series are named at their end before a legend is used. Colours are hues 0 to 7 of the house palette: the figure carries
the light theme's, and charts.js puts in the current theme's (a trace's `meta.hue`, an annotation's `name`).
No figure is ever downsampled here: what is passed is drawn. Figures are plain dicts in plotly.js's own terms: plotly's
Python classes check every value of every figure, which took 110 of a run page's 430 ms; a test lets them check instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from controlplane.ui import formats

Figure = dict[str, Any]
Trace = dict[str, Any]

# Blue, oxide, teal, violet, amber, sky, rose, grey: distinct with each kind of colour blindness. As in tokens.css.
PALETTE = ("#2a5fc9", "#b4451a", "#00806a", "#7b3fa0", "#9a7000", "#2b8fc0", "#b8447c", "#54575e")
DASHES = ("solid", "dash", "dot")
MAX_DIRECT_LABELS = 6  # more than this at the right edge and one cannot tell which belongs to which
HEIGHT_PX = 280
PLOT_HEIGHT_PX = 220  # HEIGHT_PX without margins: what labels are spread over
LABEL_GAP_PX = 14
FIRST_HUE: dict[str, Any] = {"marker": {"color": PALETTE[0]}, "meta": {"hue": 0}}
DOWNWARDS: dict[str, Any] = {"autorange": "reversed", "type": "category", "showgrid": False}  # the first bar on top
PIXELS_PER_LETTER = 6.3  # of 11 px system sans, on average: the right margin must hold the longest label


@dataclass(frozen=True)
class Series:
    """A named curve. `y` may hold None or NaN where nothing was measured: the line breaks there."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


@dataclass(frozen=True)
class Mark:
    """A point worth a word: a spike, a restart."""

    x: float
    y: float
    text: str


def finite(values: Sequence[float | None]) -> list[float | None]:
    """The values with None for NaN and infinities, which JSON cannot say."""
    return [value if value is not None and math.isfinite(value) else None for value in values]


def figure_of(traces: Sequence[Trace], base: Mapping[str, Any], label: str, **more: Any) -> Figure:
    """A JSON-ready figure; `more` is merged into the layout, `label` is what a screen reader says."""
    return {"data": list(traces), "layout": merged(base, more | {"meta": {"label": label}})}


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `more` put over it, dict in dict."""
    made = dict(base)
    for name, value in more.items():
        made[name] = merged(made[name], value) if isinstance(made.get(name), dict) else value
    return made


def layout(x_title: str, y_title: str, *, log_x: bool = False, log_y: bool = False, right: int = 16) -> dict[str, Any]:
    """The house layout: hairline grid across, none upwards, the y title above its axis where it reads level."""
    small = {"size": 11}
    axis = {"zeroline": False, "ticks": "", "automargin": True, "title": {"text": "", "font": small}}
    across = axis | {"title": {"text": x_title, "font": small, "standoff": 6}, "showgrid": False}
    above = text_note(y_title, xref="paper", yref="paper", x=0, y=1, xanchor="left", yshift=18)
    return {
        "height": HEIGHT_PX,
        "margin": {"l": 44, "r": right, "t": 28, "b": 40},
        "showlegend": False,
        "hovermode": "x unified",
        "xaxis": across | {"type": "log" if log_x else "linear"},
        "yaxis": axis | {"type": "log" if log_y else "linear", "exponentformat": "SI"},
        "annotations": [above] if y_title else [],
        "uirevision": "kept",  # zoom survives a live update
    }


def text_note(text: str, hue: int | None = None, **where: Any) -> dict[str, Any]:
    colour = {} if hue is None else {"font": {"color": PALETTE[hue], "size": 11}}
    return {"text": escaped(text), "showarrow": False, "name": "" if hue is None else f"hue:{hue}"} | colour | where


def escaped(text: str) -> str:
    """Plotly reads a little HTML in texts; names that people gave must not become markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def hue(index: int) -> int:
    return index % len(PALETTE)


def line_style(index: int) -> dict[str, Any]:
    """Width, colour and, from the ninth series on, a dash: no two of 24 curves look alike."""
    dash = DASHES[index // len(PALETTE) % len(DASHES)]
    return {"color": PALETTE[hue(index)], "width": 1.6, "dash": dash}


def line_trace(series: Series, index: int) -> Trace:
    return {
        # SVG below this count, as WebGL contexts are few in a browser and each chart would take one.
        "type": "scattergl" if len(series.x) > 20_000 else "scatter",
        "x": list(series.x),
        "y": finite(series.y),
        "name": escaped(series.name),
        "mode": "lines" if len(series.x) > 1 else "markers",
        "line": line_style(index),
        "meta": {"hue": hue(index)},
    }


def last_point(series: Series) -> tuple[float, float] | None:
    """The last measured point, or None when nothing was."""
    points = zip(reversed(series.x), reversed(finite(series.y)), strict=True)
    return next(((x, y) for x, y in points if y is not None), None)


def spread(heights: Sequence[float], gap: float = LABEL_GAP_PX) -> list[float]:
    """Heights in pixels moved up as little as needed for each to be `gap` above the one below; order is kept."""
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = list(heights)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved


def end_labels(series: Sequence[Series], log_y: bool) -> list[dict[str, Any]]:
    """Each series' name and last value at the right edge, in its colour, none over another."""
    ends = [(index, point) for index, item in enumerate(series) if (point := last_point(item))]
    if log_y:
        ends = [(index, point) for index, point in ends if point[1] > 0]
    scale = math.log10 if log_y else float
    values = [scale(y) for item in series for y in finite(item.y) if y is not None and (y > 0 or not log_y)]
    span = (max(values) - min(values)) or 1.0 if values else 1.0
    heights = [(scale(point[1]) - min(values)) / span * PLOT_HEIGHT_PX for _, point in ends]
    return [
        text_note(
            f"{series[index].name} {formats.number(float(f'{point[1]:.3g}'))}",
            hue(index),
            x=1,
            xref="paper",
            y=scale(point[1]),
            xanchor="left",
            xshift=6,
            yshift=moved - height,
        )
        for (index, point), height, moved in zip(ends, heights, spread(heights), strict=True)
    ]


def mark_notes(marks: Sequence[Mark], log_y: bool) -> list[dict[str, Any]]:
    return [
        text_note(mark.text, x=mark.x, y=math.log10(mark.y) if log_y else mark.y, xanchor="left", xshift=8)
        | {"name": "mark"}
        for mark in marks
    ]


def mark_trace(marks: Sequence[Mark]) -> Trace:
    ring = {"symbol": "circle-open", "size": 10, "line": {"width": 1.6}, "color": "#b3261e"}
    points: dict[str, Any] = {"x": [mark.x for mark in marks], "y": [mark.y for mark in marks]}
    points["text"] = [escaped(mark.text) for mark in marks]
    look = {"mode": "markers", "marker": ring, "hoverinfo": "text", "showlegend": False, "meta": {"mark": True}}
    return {"type": "scatter", **points, **look}


def log_tick(series: Sequence[Series]) -> int | str:
    """Labels at 1, 2 and 5 over few decades, else at the powers of ten: plotly's own choice labels every digit."""
    values = [y for item in series for y in finite(item.y) if y is not None and y > 0]
    return 1 if values and max(values) / min(values) > 1_000 else "D2"


def line_chart(
    series: Sequence[Series],
    *,
    x_title: str,
    y_title: str,
    log_x: bool = False,
    log_y: bool = False,
    marks: Sequence[Mark] = (),
) -> Figure:
    """Curves over a common x. Up to six are named at their end, more by a legend below."""
    direct = len(series) <= MAX_DIRECT_LABELS
    labels = end_labels(series, log_y) if direct else []
    right = 16 + round(max((len(label["text"]) for label in labels), default=0) * PIXELS_PER_LETTER)
    base = layout(x_title, y_title, log_x=log_x, log_y=log_y, right=min(right, 200))
    traces = [line_trace(item, index) for index, item in enumerate(series)] + ([mark_trace(marks)] if marks else [])
    more: dict[str, Any] = {"annotations": [*base["annotations"], *labels, *mark_notes(marks, log_y)]}
    if log_y:
        more["yaxis"] = {"dtick": log_tick(series)}
    if not direct:
        more |= {"showlegend": True, "legend": {"orientation": "h", "y": -0.22}, "height": HEIGHT_PX + 60}
    names = ", ".join(item.name for item in series)
    return figure_of(traces, base, f"{y_title} by {x_title}: {names}", **more)


def bar_chart(
    bars: Mapping[str, float | None],
    *,
    x_title: str,
    y_title: str,
    horizontal: bool = False,
    log_y: bool = False,
    links: Sequence[str] = (),
) -> Figure:
    """One bar a name, its value written on it. `x_title` names the categories, `y_title` the measure and its unit.

    `links`: one address a bar, which a click opens (charts.js).
    """
    names, values = [escaped(name) for name in bars], finite(list(bars.values()))
    texts = ["" if value is None else formats.number(float(f"{value:.3g}")) for value in values]
    bar = {"type": "bar", "text": texts, "textposition": "outside", "cliponaxis": False} | FIRST_HUE
    bar |= {"customdata": list(links)} if links else {}
    base = layout(x_title, "" if horizontal else y_title, log_y=log_y and not horizontal)
    look: dict[str, Any] = {"bargap": 0.35, "hovermode": "closest"}
    if horizontal:
        trace = bar | {"x": values, "y": names, "orientation": "h"}
        look["xaxis"] = {"title": {"text": y_title}, "type": "log" if log_y else "linear"}
        look["yaxis"] = DOWNWARDS
        look |= {"height": max(120, 70 + 28 * len(names)), "margin": {"r": 56}}
    else:
        trace = bar | {"x": names, "y": values}
        look["xaxis"] = {"type": "category"}
    return figure_of([trace], base, f"{y_title} by {x_title}", **look)


def grouped_bar_chart(series: Mapping[str, Mapping[str, float | None]], *, x_title: str, y_title: str) -> Figure:
    """Bars side by side: `series` by name, each with its value by category. The legend is above; values on hover."""
    traces = [
        {
            "type": "bar",
            "name": escaped(name),
            "x": [escaped(category) for category in values],
            "y": finite(list(values.values())),
            "hovertemplate": "%{x}: %{y:.3f}",
            "marker": {"color": PALETTE[hue(index)]},
            "meta": {"hue": hue(index)},
        }
        for index, (name, values) in enumerate(series.items())
    ]
    look: dict[str, Any] = {"barmode": "group", "bargap": 0.3, "bargroupgap": 0.06, "hovermode": "closest"}
    look |= {"xaxis": {"type": "category", "title": {"text": ""}}, "margin": {"t": 48}}
    look |= {"showlegend": True, "legend": {"orientation": "h", "x": 0, "y": 1.04, "yanchor": "bottom"}}
    # The legend is where other charts have the title of y; the page says what the bars are.
    return figure_of(traces, layout(x_title, ""), f"{y_title} by {x_title}: {', '.join(series)}", **look)


def log_edges(smallest: float, largest: float, bins: int) -> list[float]:
    """`bins` + 1 edges, evenly apart in the logarithm, from `smallest` to `largest`, both > 0."""
    low, high = math.log10(smallest), math.log10(largest)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    return [10 ** (low + (high - low) * index / bins) for index in range(bins + 1)]


def histogram_chart(values: Sequence[float], *, x_title: str, y_title: str = "documents", bins: int = 40) -> Figure:
    """How often each size occurs, in bins even in the logarithm; values <= 0 or not finite have no place there."""
    positive = [value for value in values if math.isfinite(value) and value > 0]
    if not positive:
        return bar_chart({}, x_title=x_title, y_title=y_title)
    edges = log_edges(min(positive), max(positive), bins)
    counts = binned(positive, edges)
    centres = [math.sqrt(left * right) for left, right in pairwise(edges)]
    widths = [right - left for left, right in pairwise(edges)]
    trace = {"type": "bar", "x": centres, "y": counts, "width": widths} | FIRST_HUE
    look = {"bargap": 0, "hovermode": "closest", "xaxis": {"exponentformat": "SI"}}
    return figure_of([trace], layout(x_title, y_title, log_x=True), f"{y_title} by {x_title}", **look)


def binned(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many values lie in each bin between the log-spaced `edges`; the last bin takes its upper edge too."""
    bins = len(edges) - 1
    low, width = math.log10(edges[0]), (math.log10(edges[-1]) - math.log10(edges[0])) / bins
    counts = [0] * bins
    for value in values:
        counts[min(max(int((math.log10(value) - low) / width), 0), bins - 1)] += 1
    return counts


def funnel_chart(steps: Sequence[tuple[str, int]], *, y_title: str = "documents") -> Figure:
    """What is left after each step, largest first as the steps run; each bar says its count and share of the first."""
    first = steps[0][1] if steps else 0
    texts = [f"{count:,}" + (f" · {count / first:.1%}" if first else "") for _, count in steps]
    trace = {"type": "bar", "x": [count for _, count in steps], "y": [escaped(name) for name, _ in steps]} | FIRST_HUE
    trace |= {"orientation": "h", "text": texts, "textposition": "outside", "cliponaxis": False}
    look = {"yaxis": DOWNWARDS, "xaxis": {"visible": False}, "margin": {"t": 8, "b": 8}, "bargap": 0.3}
    look |= {"height": max(80, 16 + 30 * len(steps)), "hovermode": "closest"}
    return figure_of([trace], layout("", "", right=120), f"{y_title} left after each step", **look)


def heat_map(
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[float | None]],
    *,
    x_title: str,
    y_title: str,
    links: Sequence[Sequence[str]] = (),
) -> Figure:
    """A share, 0 to 1, for each row and column: empty at 0, full at 1, a hole where None. A click opens its link.

    Columns are not named below but on hover: 164 of them have 6 px each. Row names are cut at 24 letters.
    """
    names = [
        f"{number}. {escaped(name if len(name) <= 24 else name[:23] + '…')}" for number, name in enumerate(rows, 1)
    ]
    faint, full = "rgba(127,127,127,0.16)", PALETTE[0]  # of both themes: the first lets the card shine through
    trace: Trace = {"type": "heatmap", "z": [finite(row) for row in shares], "y": names}
    trace |= {"x": [escaped(name) for name in columns], "zmin": 0, "zmax": 1, "colorscale": [[0, faint], [1, full]]}
    trace |= {"showscale": False, "xgap": 1 if len(columns) <= 200 else 0, "ygap": 2, "hoverongaps": False}
    trace |= {"hovertemplate": "%{x}<br>%{y}<br>%{z:.0%} of its samples passed<extra></extra>"}
    trace |= {"customdata": [list(row) for row in links]} if links else {}
    look: dict[str, Any] = {"hovermode": "closest", "height": 70 + 22 * max(len(rows), 2), "margin": {"t": 8, "b": 32}}
    look |= {"xaxis": {"type": "category", "showticklabels": False}, "yaxis": DOWNWARDS}
    return figure_of([trace], layout(x_title, ""), f"{y_title} by {x_title}: {', '.join(rows)}", **look)


def radar_chart(series: Mapping[str, Mapping[str, float | None]], *, x_title: str, y_title: str, most: float) -> Figure:
    """A closed line a series around one axis a category, 0 in the middle and `most` at the rim; three or more categories.

    All series have the same categories. None is a hole in the line: nothing was measured there, which is not 0.
    """
    traces = [_radar_trace(name, values, index) for index, (name, values) in enumerate(series.items())]
    n_axes = max(map(len, series.values()), default=1)
    # Its numbers stand between the first two categories, whose names they would cover.
    radial = {"range": [0, most], "angle": 90 - 180 / n_axes, "tickangle": 0, "nticks": 5, "ticks": ""}
    look: dict[str, Any] = {
        "polar": {"radialaxis": radial, "angularaxis": {"direction": "clockwise", "rotation": 90, "ticks": ""}},
        "hovermode": "closest",
        "height": HEIGHT_PX + 60,
        "margin": {"l": 56, "r": 56, "t": 32, "b": 32},
    }
    if len(series) > 1:
        look |= {"showlegend": True, "height": HEIGHT_PX + 100}
        look["legend"] = {"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.12}
    return figure_of(traces, layout("", ""), f"{y_title} by {x_title}: {', '.join(series)}", **look)


def _radar_trace(name: str, values: Mapping[str, float | None], index: int) -> Trace:
    around = [*values.items(), *list(values.items())[:1]]
    return {
        "type": "scatterpolar",
        "theta": [escaped(category) for category, _ in around],
        "r": finite([value for _, value in around]),
        "name": escaped(name),
        "mode": "lines+markers",
        "connectgaps": False,
        "line": line_style(index),
        "marker": {"size": 6, "color": PALETTE[hue(index)]},
        "hovertemplate": "%{theta}: %{r:.1f} %",
        "meta": {"hue": hue(index)},
    }
