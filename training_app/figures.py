"""What the run pages draw: curves of one run, and the same curve of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.jobs.metrics import Extreme, downsample
from controlplane.jobs.models import Job
from controlplane.ui.charts import Series, line_chart
from training_app.models import TrainingRun

BUCKETS = 600  # two points each: about one a pixel of a wide chart, spikes kept
LOSSES = ("loss/train", "loss/val")
BITS = ("bits_per_byte/held_out", "bits_per_byte/held_out_source")
CHARTS: dict[str, tuple[tuple[str, ...], str]] = {
    "loss": (LOSSES, "nats per token"),
    "bits": (BITS, "bits per byte"),
    "throughput": (("throughput/tokens_per_second",), "tokens/s"),
    "gradient": (("gradient_norm",), "norm before clipping"),
    "rate": (("learning_rate",), "learning rate"),
    "memory": (("memory/rss_bytes",), "bytes"),
}
# What the curves are called in a chart whose axis says the rest.
SHORT = {
    "bits_per_byte/held_out": "held out",
    "bits_per_byte/held_out_source": "held-out source",
    "throughput/tokens_per_second": "tokens/s",
    "gradient_norm": "norm",
    "learning_rate": "rate",
    "memory/rss_bytes": "resident",
}
COMPARED = ("loss/train", "loss/val", "bits_per_byte/held_out", "throughput/tokens_per_second")


def curves(job: Job, chart: str, first: float | None = None, last: float | None = None) -> dict[str, Any]:
    """One chart of a run, between two steps when zoomed. Raises KeyError for a chart that is not in CHARTS."""
    names, unit = CHARTS[chart]
    points = downsample([(job.pk, name) for name in names], BUCKETS, first, last)
    return line_chart(_series(points, names), x_title="step", y_title=unit, log_y=chart in {"loss", "gradient"})


def overlaid(runs: Sequence[TrainingRun], metric: str) -> dict[str, Any]:
    """The same metric of several runs, named by run; many runs share the points that one page can carry."""
    points = downsample([(run.job_id, metric) for run in runs], max(BUCKETS // len(runs), 100))
    found = [(run, [point for point in points if point.job_id == run.job_id]) for run in runs]
    series = [Series(run.name, [point.step for point in own], [point.value for point in own]) for run, own in found]
    return line_chart(series, x_title="step", y_title=metric, log_y=metric.startswith("loss/"))


def differing(runs: Sequence[TrainingRun]) -> list[tuple[str, list[Any]]]:
    """Recipe fields in which the runs differ, with each run's value; what is the same for all is left out."""
    recipes = [dict(flat(run.recipe)) for run in runs]
    names = sorted({name for recipe in recipes for name in recipe})
    rows = [(name, [recipe.get(name) for recipe in recipes]) for name in names]
    return [(name, values) for name, values in rows if any(value != values[0] for value in values)]


def _series(points: Sequence[Extreme], names: Sequence[str]) -> list[Series]:
    found = {name: [point for point in points if point.name == name] for name in names}
    return [
        Series(SHORT.get(name, name), [p.step for p in rows], [p.value for p in rows])
        for name, rows in found.items()
        if rows
    ]


def flat(recipe: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """A recipe's fields by their dotted names."""
    for name, value in recipe.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
