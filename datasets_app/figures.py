"""What the data pages draw, from the statistics that a stage wrote: charts and the tables beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from controlplane.jobs.models import Job
from controlplane.ui.charts import Figure, bar_chart, grouped_bar_chart
from datasets_app import recipes
from worker import cleaning

LONG_TAIL = 24  # bars; the table below them has every language
TOP = 20  # rows of the table before the rest is asked for
FUNNEL = "funnel/"  # what the metrics of an ingest begin with (worker.data.funnel)
NAMED = 2  # licences of a language that the table names
ORDERS = ("bytes", "files", "tokens", "lines", "mean_line_characters")


@dataclass(frozen=True)
class Histogram:
    """A chart whose bars open their rows, and the same as (label, count, address) for who reads tables."""

    figure: Figure
    bars: list[tuple[str, int, str]]


@dataclass(frozen=True)
class Tail:
    """The rows of a long-tail table that are shown; `rest` sums up those below them, None where all are."""

    rows: list[dict[str, Any]]
    total: int
    rest: dict[str, Any] | None


def of_dataset(summary: Mapping[str, Any], rows_url: str) -> dict[str, Any]:
    """Context of a dataset version's page. `summary` is worker.data.publish's statistics."""
    languages = sorted(summary["languages"].items(), key=lambda item: -item[1]["bytes"])
    return {
        "funnel": _funnel(summary),
        "redactions": sorted(summary["redactions"].items(), key=lambda item: -item[1]),
        "repairs": sorted(summary.get("repairs", {}).items(), key=lambda item: -item[1]),
        "licences": _shares(summary.get("licenses", {})),
        "mixture": summary.get("mixture", {}),
        "clusters": summary.get("clusters"),
        "language_chart": bar_chart(
            {name: row["bytes"] / 1e6 for name, row in languages[:LONG_TAIL]},
            x_title="language",
            y_title="MB",
            log_y=len(languages) > 1,
            links=[f"{rows_url}?{urlencode({'language': name})}" for name, _ in languages[:LONG_TAIL]],
        ),
        "histograms": _histograms(summary["histograms"], rows_url),
    }


def funnel_so_far(job: Job) -> list[dict[str, Any]]:
    """Rows in and lost by step, as the stage told it last; empty before it did."""
    points = job.metrics.filter(name__startswith=FUNNEL).order_by("step").values_list("name", "value")
    told = {name.removeprefix(FUNNEL): int(value) for name, value in points}
    rows = [
        (step, told.get(f"{step.name}/rows_in", 0), told.get(f"{step.name}/rows_lost", 0))
        for step in cleaning.CATALOGUE
    ]
    return [
        {"title": step.title, "about": step.about, "rows_in": rows_in, "rows_lost": lost, "share": 1 - lost / rows_in}
        for step, rows_in, lost in rows
        if rows_in
    ]


def tail_of(languages: Mapping[str, Mapping[str, Any]], asked: Mapping[str, str]) -> Tail:
    """The languages whose name contains asked["q"], by asked["sort"] (of ORDERS, or name), all of them with asked["all"]."""
    text, order = asked.get("q", "").strip().lower(), asked.get("sort", "-bytes")
    key, most_first = order.removeprefix("-"), order.startswith("-")
    rows = [row for row in _shares(languages) if text in row["name"].lower()]
    if key in ORDERS:
        rows.sort(key=lambda row: row.get(key) or 0, reverse=most_first)
    elif key == "name":
        rows.sort(key=lambda row: row["name"].lower(), reverse=most_first)
    shown = rows if "all" in asked else rows[:TOP]
    below = rows[len(shown) :]
    sums = {name: sum(row.get(name) or 0 for row in below) for name in ("bytes", "files", "tokens", "lines", "share")}
    return Tail(shown, len(languages), {"names": len(below), **sums} if below else None)


def add_licences(tail: Tail, licences: Mapping[str, list[tuple[str, int]]]) -> None:
    """Give each row its licences: the NAMED with most files, and how many more there are."""
    for row in tail.rows:
        found = licences.get(row["name"], [])
        row |= {"licences": found[:NAMED], "more_licences": max(len(found) - NAMED, 0)}


def _shares(groups: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Most bytes first, each with its share of all bytes."""
    total = sum(row["bytes"] for row in groups.values()) or 1
    shares = {name: row["bytes"] / total for name, row in groups.items()}
    rows = [
        {"name": name, "share": shares[name], "percent": round(100 * shares[name]), **groups[name]} for name in groups
    ]
    return sorted(rows, key=lambda row: -row["bytes"])


def _funnel(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps as they ran, each with what it lost and its reasons; steps that lost nothing too."""
    reasons: dict[str, list[dict[str, Any]]] = {}
    for code, about in summary["reasons"].items():
        languages = [(name or "unknown", row) for name, row in about.get("languages", {}).items()]
        reasons.setdefault(about["step"], []).append({"code": code, **about, "languages": languages})
    return [_with_losses(step) | {"reasons": reasons.get(step["step"], [])} for step in summary["funnel"]]


def _histograms(counted: Mapping[str, Any], rows_url: str) -> list[tuple[str, str, Histogram]]:
    """(title, id, histogram) of each that a version has; versions from before tokens were counted have two."""
    drawn = (
        ("File size", "file_bytes_kept", "bytes", "files", "size"),
        ("Line length", "line_characters_kept", "characters", "lines", "longest"),
        ("Tokens in a file", "tokens_kept", "tokens", "files", "tokens"),
    )
    return [
        (title, name, _binned(counted[name], counted["bin_upper_bounds"], unit, of, f"{rows_url}?{asks}"))
        for title, name, unit, of, asks in drawn
        if name in counted
    ]


def of_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """`steps` with parameters that are not the usual ones, `usual`: the others' titles, `others`: what holds for all rows."""
    steps = recipe.get("steps", [])
    changed = [
        {
            "title": cleaning.STEPS[step["name"]].title,
            "about": cleaning.STEPS[step["name"]].about,
            "parameters": [(name, recipes.shown(value)) for name, value in step["parameters"].items()],
        }
        for step in steps
        if step.get("parameters")
    ]
    others = [(name, recipes.shown(value)) for name, value in recipe.items() if name != "steps" and value != {}]
    usual = [cleaning.STEPS[step["name"]].title for step in steps if not step.get("parameters")]
    return {"steps": changed, "usual": usual, "others": others}


def of_tokenizer(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Context of a tokenizer's page. A split without text has no figure; GPT-2's figures are of the same text."""
    theirs = summary.get("baselines", {}).get("gpt2", {})
    rows = [
        {"split": split, "language": language, **figures, "gpt2": _figure(theirs, split, language)}
        for split, measured in summary["fertility"].items()
        for language, figures in measured["languages"].items()
    ]
    specials = sorted(summary["special_tokens"].items(), key=lambda item: item[1])
    names = {
        f"{row['language']}{', held-out source' if row['split'] == 'held_out_source' else ''}": row for row in rows
    }
    series = {"this one": {name: row["bytes_per_token"] for name, row in names.items()}}
    if theirs:
        series["GPT-2"] = {name: row["gpt2"] for name, row in names.items()}
    return {
        "fertility": rows,
        "specials": [item for item in specials if not item[0].startswith("<|reserved_")],
        "n_reserved": sum(name.startswith("<|reserved_") for name, _ in specials),
        "gpt2_held_out": theirs.get("held_out", {}).get("bytes_per_token"),
        "warnings": [finding for finding in summary.get("audit", []) if finding["level"] != "ok"],
        "fertility_chart": grouped_bar_chart(series, x_title="language", y_title="bytes per token"),
    }


def _figure(measured: Mapping[str, Any], split: str, language: str) -> float | None:
    found: float | None = measured.get(split, {}).get("languages", {}).get(language, {}).get("bytes_per_token")
    return found


def _with_losses(step: Mapping[str, Any]) -> dict[str, Any]:
    known = cleaning.STEPS.get(step["step"])
    return {
        **step,
        "title": known.title if known else step["step"],
        "about": known.about if known else "",
        "rows_lost": step["rows_in"] - step["rows_out"],
        "bytes_lost": step["bytes_in"] - step["bytes_out"],
        "kept_share": step["rows_out"] / step["rows_in"] if step["rows_in"] else None,
    }


def _binned(counts: list[int], upper_bounds: list[int], unit: str, of: str, asks: str) -> Histogram:
    """Bins that double: one bar each, from the first to the last that holds anything. `asks`_from and _to bound a bar's rows."""
    filled = [index for index, count in enumerate(counts) if count]
    span = range(filled[0], filled[-1] + 1) if filled else range(0)
    lower = {index: upper_bounds[index - 1] + 1 if index else 0 for index in span}
    bars = [
        (f"≤ {upper_bounds[k]:,}", counts[k], f"{asks}_from={lower[k]}&{asks.rpartition('?')[2]}_to={upper_bounds[k]}")
        for k in span
    ]
    drawn: dict[str, float | None] = {label: count for label, count, _ in bars}
    return Histogram(bar_chart(drawn, x_title=unit, y_title=of, links=[url for *_, url in bars]), bars)
