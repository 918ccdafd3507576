"""The charts of what a job used: processor, memory and, where there is one, GPU."""

from __future__ import annotations

from typing import Any

from controlplane.jobs.metrics import Extreme
from controlplane.jobs.models import Job, MetricPoint
from controlplane.ui import charts

BUCKETS = 200
UNITS = (("percent", "% (100 is one core or GPU)", 1.0), ("bytes", "GiB", float(2**30)))


def resource_figures(job: Job) -> list[dict[str, Any]]:
    """`id`, `title` and `figure` of each chart that has a point; minutes since the job's first start along x."""
    points = MetricPoint.objects.filter(job=job, name__startswith="system/").downsample(BUCKETS)
    if not points:
        return []
    return [made for suffix, unit, scale in UNITS if (made := _figure(points, suffix, unit, scale))]


def _figure(points: list[Extreme], suffix: str, unit: str, scale: float) -> dict[str, Any] | None:
    start = min(point.step for point in points)
    names = sorted({point.name for point in points if point.name.endswith(suffix)})
    series = [_series(points, name, start, scale) for name in names]
    if not series:
        return None
    figure = charts.line_chart(series, x_title="minutes", y_title=unit)
    return {"id": f"resources-{suffix}", "title": "Load" if suffix == "percent" else "Memory", "figure": figure}


def _series(points: list[Extreme], name: str, start: int, scale: float) -> charts.Series:
    own = [point for point in points if point.name == name]
    label = name.removeprefix("system/").rsplit("_", 1)[0].replace("rss", "memory")
    return charts.Series(label, [(p.step - start) / 60 for p in own], [p.value / scale for p in own])
