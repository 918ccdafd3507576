"""Curves that are small and keep their spikes: thinning on the way in, downsampling on the way out.

Both keep extremes and never average: a loss that jumped for one step is the thing one looks for. A long curve is read
from windows: the extremes of each 32 and each 512 steps, kept up to date with the points. A run of 500,000 steps took
0.8 s to draw from its points. Windows say nothing that the points do not.
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

LEVELS = (512, 32)  # steps of a window, coarse first: 600 spans of any curve are at most 19,200 rows of one level
POINTS = 1

_ENDS = """
SELECT curve.job_id, curve.name, ends.first, ends.last
FROM unnest(%(jobs)s::uuid[], %(names)s::text[]) AS curve(job_id, name),
LATERAL (
    SELECT min(step) AS first, max(step) AS last FROM jobs_metricpoint AS point
    WHERE point.job_id = curve.job_id AND point.name = curve.name AND step BETWEEN %(first)s AND %(last)s
) AS ends
WHERE ends.first IS NOT NULL
"""
# Arrays are ordered by their first elements, so min() and max() of (value, step) find the step too. Buckets come from
# generate_series, not GROUP BY: the planner cannot guess how many groups an expression makes, and sorted 100,000 points.
_EXTREMES = """
SELECT span.job_id, span.name, bucket.low, bucket.high
FROM unnest(
    %(jobs)s::uuid[], %(names)s::text[], %(firsts)s::bigint[], %(lasts)s::bigint[], %(widths)s::bigint[]
) AS span(job_id, name, first, last, width),
generate_series(0, (span.last - span.first) / span.width) AS n,
LATERAL (
    SELECT min(ARRAY[{low}, {low_step}]::float8[]) AS low, max(ARRAY[{high}, {high_step}]::float8[]) AS high
    FROM {table} AS point
    WHERE point.job_id = span.job_id AND point.name = span.name {level}
    AND {start} >= span.first + n * span.width AND {start} < least(span.first + (n + 1) * span.width, span.last + 1)
) AS bucket
WHERE bucket.low IS NOT NULL
"""
_OF_POINTS = _EXTREMES.format(
    table="jobs_metricpoint", low="value", low_step="step", high="value", high_step="step", start="step", level=""
)
_OF_WINDOWS = _EXTREMES.format(
    table="jobs_metricwindow",
    low="point.low",
    low_step="low_step",
    high="point.high",
    high_step="high_step",
    start="start",
    level="AND level = %(level)s",
)
_ROLL_UP = """
INSERT INTO jobs_metricwindow (job_id, name, level, start, low, low_step, high, high_step)
SELECT %(job)s, touched.name, touched.level, touched.start, ends.low[1], ends.low[2], ends.high[1], ends.high[2]
FROM unnest(%(names)s::text[], %(levels)s::int[], %(starts)s::bigint[]) AS touched(name, level, start),
LATERAL (
    SELECT min(ARRAY[value, step]::float8[]) AS low, max(ARRAY[value, step]::float8[]) AS high
    FROM jobs_metricpoint AS point
    WHERE point.job_id = %(job)s AND point.name = touched.name
    AND step >= touched.start AND step < touched.start + touched.level
) AS ends
ON CONFLICT (job_id, name, level, start) DO UPDATE
SET low = EXCLUDED.low, low_step = EXCLUDED.low_step, high = EXCLUDED.high, high_step = EXCLUDED.high_step
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


class Span(NamedTuple):
    """Steps of a curve, both ends included, of which each `width` give one low and one high; read from one level."""

    job_id: UUID
    name: str
    first: int
    last: int
    width: int
    level: int


def downsample(curves: Iterable[Curve], n: int, first: float | None = None, last: float | None = None) -> list[Extreme]:
    """Min and max of each of n equal spans of steps, in order of job, name and step, for each curve.

    Its spans go from its first step to its last between `first` and `last`; what a long curve has before and after its
    first and last whole window is a span of its own.
    """
    spans = [span for found in _ends(list(curves), first, last) for span in _spans(*found, n)]
    rows = [row for level in (POINTS, *LEVELS) for row in _extremes_of([one for one in spans if one.level == level])]
    return sorted({Extreme(job, name, int(step), value) for job, name, *ends in rows for value, step in ends})


def _ends(curves: list[Curve], first: float | None, last: float | None) -> list[tuple[UUID, str, int, int]]:
    """Of each curve that has a point between the two steps, the steps of the first and the last."""
    asked: dict[str, Any] = {"jobs": [job for job, _ in curves], "names": [name for _, name in curves]}
    asked["first"] = ANY_STEP[0] if first is None else math.ceil(max(first, ANY_STEP[0]))
    asked["last"] = ANY_STEP[1] if last is None else math.floor(min(last, ANY_STEP[1]))
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, asked)
        found: list[tuple[UUID, str, int, int]] = cursor.fetchall()
    return found


def _spans(job_id: UUID, name: str, first: int, last: int, n: int) -> list[Span]:
    """From points while a span is shorter than a window, else from whole windows and the points on either side."""
    width = (last - first + n) // n
    level = next((level for level in LEVELS if width >= level), POINTS)
    begin, end = -(-first // level) * level, (last + 1) // level * level
    ends = [Span(job_id, name, *cut, level, POINTS) for cut in ((first, begin - 1), (end, last)) if cut[0] <= cut[1]]
    return [*ends, Span(job_id, name, begin, end - 1, -(-width // level) * level, level)]


def _extremes_of(spans: list[Span]) -> list[tuple[Any, ...]]:
    """Spans of one level: (job, name, [low, its step], [high, its step]) of each `width` that holds a point."""
    if not spans:
        return []
    jobs, names, firsts, lasts, widths, levels = zip(*spans, strict=True)
    asked = {"jobs": list(jobs), "names": list(names), "firsts": list(firsts), "lasts": list(lasts)}
    with connection.cursor() as cursor:
        cursor.execute(
            _OF_POINTS if levels[0] == POINTS else _OF_WINDOWS, asked | {"widths": list(widths), "level": levels[0]}
        )
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def roll_up(job_id: UUID, steps: Iterable[tuple[str, int]]) -> None:
    """Bring up to date the windows of a job that hold these (name, step), from the points that are stored."""
    touched = sorted({(name, level, step // level * level) for name, step in steps for level in LEVELS})
    if touched:
        names, levels, starts = (list(column) for column in zip(*touched, strict=True))
        with connection.cursor() as cursor:
            cursor.execute(_ROLL_UP, {"job": str(job_id), "names": names, "levels": levels, "starts": starts})


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
