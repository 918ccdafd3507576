"""Curves that are small and keep their spikes: thinning on the way in, downsampling on the way out.

Both keep extremes and never average: a loss that jumped for one step is the thing one looks for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from django.db import connection, models

if TYPE_CHECKING:
    from controlplane.jobs.models import MetricPoint  # noqa: F401 (named by the query set's base, as a string)

WINDOW_SECONDS = 1.0


class Point(NamedTuple):
    """One value of one metric; `at` in Unix seconds."""

    name: str
    step: int
    value: float
    at: float


class Extreme(NamedTuple):
    """A point that downsampling kept."""

    job_id: UUID
    name: str
    step: int
    value: float


Curve = tuple[UUID, str]  # a job and one of its metrics

# Arrays are ordered by their first elements, so min() and max() of (value, step) find the step too. Spans come from
# generate_series, not GROUP BY: the planner cannot guess how many groups an expression makes, and sorted 100,000 points.
_DOWNSAMPLE = """
SELECT curve.job_id, curve.name, span.low, span.high
FROM unnest(%(jobs)s::uuid[], %(names)s::text[]) AS curve(job_id, name),
LATERAL (
    SELECT min(step) AS first, max(step) AS last, (max(step) - min(step) + %(n)s) / %(n)s AS width
    FROM jobs_metricpoint AS point
    WHERE point.job_id = curve.job_id AND point.name = curve.name AND step BETWEEN %(first)s AND %(last)s
) AS ends,
generate_series(0, (ends.last - ends.first) / ends.width) AS bucket,
LATERAL (
    SELECT min(ARRAY[value, step]::float8[]) AS low, max(ARRAY[value, step]::float8[]) AS high
    FROM jobs_metricpoint AS point
    WHERE point.job_id = curve.job_id AND point.name = curve.name AND step <= %(last)s
    AND step >= ends.first + bucket * ends.width AND step < ends.first + (bucket + 1) * ends.width
) AS span
WHERE span.low IS NOT NULL
"""
# Index jumps from name to name: DISTINCT would read every point of the job.
_NAMES = """
WITH RECURSIVE found(name) AS (
    (SELECT name FROM jobs_metricpoint WHERE job_id = %(job)s ORDER BY name LIMIT 1)
    UNION ALL
    SELECT (SELECT name FROM jobs_metricpoint WHERE job_id = %(job)s AND name > found.name ORDER BY name LIMIT 1)
    FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
"""
ANY_STEP = (-(2**62), 2**62)


def downsample(curves: Iterable[Curve], n: int, first: float | None = None, last: float | None = None) -> list[Extreme]:
    """At most 2 n points a curve, in order of job, name and step: min and max of each of n equal spans of steps.

    One statement for all curves; each curve's spans go from its first step to its last between `first` and `last`.
    """
    pairs = list(curves)
    low = ANY_STEP[0] if first is None else math.ceil(max(first, ANY_STEP[0]))
    high = ANY_STEP[1] if last is None else math.floor(min(last, ANY_STEP[1]))
    asked: dict[str, Any] = {
        "jobs": [job for job, _ in pairs],
        "names": [name for _, name in pairs],
        "n": n,
        "first": low,
        "last": high,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DOWNSAMPLE, asked)
        rows = cursor.fetchall()
    return sorted({Extreme(job, name, int(step), value) for job, name, *ends in rows for value, step in ends})


def metric_names(job_id: UUID) -> list[str]:
    """What a job has measured, in order."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMES, {"job": str(job_id)})
        return [name for (name,) in cursor.fetchall()]


def thin(points: Iterable[Point]) -> list[Point]:
    """Min, max and last of each name and second, in order; of points of one step, which can be stored once, the last.

    Cutting a second in two between batches gives a few points more, never one less.
    """
    by_step = {(point.name, point.step): point for point in points}
    windows: dict[tuple[str, int], list[Point]] = {}
    for point in by_step.values():
        windows.setdefault((point.name, int(point.at // WINDOW_SECONDS)), []).append(point)
    kept = {point for window in windows.values() for point in _extremes(window)}
    return [point for point in by_step.values() if point in kept]


def _extremes(window: list[Point]) -> tuple[Point, Point, Point]:
    return min(window, key=lambda point: point.value), max(window, key=lambda point: point.value), window[-1]


class MetricPointQuerySet(models.QuerySet["MetricPoint"]):
    def latest_values(self) -> dict[str, float]:
        """Of each name its value at its highest step."""
        rows = self.order_by("name", "-step").distinct("name").values_list("name", "value")
        return dict(rows)
