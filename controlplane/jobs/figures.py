"""The charts of what a job used: processor, memory and, where there is one, GPU."""

from __future__ import annotations

from typing import Any

from controlplane.jobs.metrics import Extreme, downsample, metric_names
from controlplane.jobs.models import Job
from controlplane.ui import charts

BUCKETS = 200
# By the end of a metric's name: the chart's title, its unit, and what a value is divided by.
CHARTS = {"percent": ("Load", "% (100 is one core or GPU)", 1.0), "bytes": ("Memory", "GiB", float(2**30))}
PREFIX = "resources-"


def resource_charts(job: Job) -> list[dict[str, str]]:
    """`id` and `title` of each chart that has a point."""
    names = _names(job)
    return [
        {"id": f"{PREFIX}{suffix}", "title": title}
        for suffix, (title, _, _) in CHARTS.items()
        if any(name.endswith(suffix) for name in names)
    ]


def resource_figure(job: Job, chart: str) -> dict[str, Any] | None:
    """The figure of the chart with that id, None if there is none; minutes since the job's first start along x."""
    suffix = chart.removeprefix(PREFIX)
    names = [name for name in _names(job) if name.endswith(suffix)]
    if suffix not in CHARTS or not names:
        return None
    _, unit, scale = CHARTS[suffix]
    points = downsample([(job.pk, name) for name in names], BUCKETS)
    start = min(point.step for point in points)
    series = [_series(points, name, start, scale) for name in names]
    return charts.line_chart(series, x_title="minutes", y_title=unit)


def _names(job: Job) -> list[str]:
    return [name for name in metric_names(job.pk) if name.startswith("system/")]


def _series(points: list[Extreme], name: str, start: int, scale: float) -> charts.Series:
    own = [point for point in points if point.name == name]
    label = name.removeprefix("system/").rsplit("_", 1)[0].replace("rss", "memory")
    return charts.Series(label, [(p.step - start) / 60 for p in own], [p.value / scale for p in own])
