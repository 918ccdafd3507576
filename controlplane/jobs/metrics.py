"""Curves that are small and keep their spikes: thinning on the way in, downsampling on the way out.

Both keep extremes and never average: a loss that jumped for one step is the thing one looks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import ExpressionWrapper, F, Max, Min, Value

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

    name: str
    step: int
    value: float


class _Pair(models.Func):
    """ARRAY[value, step]: Postgres orders arrays by their first elements, so min() and max() of it find the step too."""

    template = "ARRAY[%(expressions)s]::float8[]"
    output_field = ArrayField(models.FloatField())


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
    def downsample(self, n: int) -> list[Extreme]:
        """At most 2 n points a name, in order of name and step: min and max of each of n equal spans of steps.

        Give a filtered set: the spans go from its first step to its last. One pass over the index, which holds the
        values, and no sort: the extremes are those of the pairs (value, step).
        """
        ends = self.aggregate(first=Min("step"), last=Max("step"))
        if ends["first"] is None:
            return []
        width = max(1, -(-(ends["last"] - ends["first"] + 1) // n))
        bucket = ExpressionWrapper(
            (F("step") - Value(ends["first"])) / Value(width), output_field=models.BigIntegerField()
        )
        rows = self.order_by().annotate(bucket=bucket, pair=_Pair("value", "step")).values("name", "bucket")
        spans = rows.annotate(low=Min("pair"), high=Max("pair")).values_list("name", "low", "high")
        found = {Extreme(name, int(step), value) for name, *pairs in spans for value, step in pairs}
        return sorted(found)

    def latest_values(self) -> dict[str, float]:
        """Of each name its value at its highest step."""
        rows = self.order_by("name", "-step").distinct("name").values_list("name", "value")
        return dict(rows)
