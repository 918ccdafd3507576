"""The columns of the runs table: what each is called, whence its value comes, what it is ordered by and how it is drawn.

A column's key is what the address says: `status`, `metrics.loss/val`, `params.optimiser.name`. Metrics and parameters are
those that the project's runs have; no list of them is kept. Nothing here reads a request or writes HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    DurationField,
    Expression,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    JSONField,
    Value,
    When,
)
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from controlplane.access.models import Project
from controlplane.jobs.models import Status
from training_app.figures import flat
from training_app.models import TrainingRun

Order = Expression | F
METRICS, PARAMS = "metrics.", "params."
NEWEST = 100  # runs that are asked which metrics and parameters there are: 2 ms, where all of 10,000 would be 120
# What asks for attention first, when runs are ordered by status.
STATUSES = (Status.RUNNING, Status.QUEUED, Status.FAILED, Status.CRASHED, Status.CANCELLED, Status.SUCCEEDED)
# What the best-known metrics are called in a heading that stands alone, without a chart's axis beside it.
LABELS = {
    "bits_per_byte/held_out": "bits per byte",
    "bits_per_byte/held_out_source": "bits per byte, held-out source",
    "throughput/tokens_per_second": "tokens/s",
    "gradient_norm": "gradient norm",
    "learning_rate": "learning rate",
    "memory/rss_bytes": "resident memory",
    "tokens/seen": "tokens seen",
}
# How a metric is drawn, by the word for its unit in its name; what has none is a plain number.
LOOKS = (
    ("bytes_per", "number"),
    ("_bytes", "bytes"),
    ("_share", "percent"),
    ("_percent", "number"),
    ("seconds", "duration"),
)


class Number(Func):
    """A JSON value as a number, null where it is none: a plain cast of text would end the whole query in an error."""

    output_field = FloatField()

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:  # type: ignore[override]
        sql, params = compiler.compile(self.source_expressions[0])
        number = f"CASE WHEN jsonb_typeof({sql}) = 'number' THEN ({sql})::text::double precision END"
        return number, (*params, *params)


class Orderable(Func):
    """A JSON value to order by: jsonb compares numbers as numbers and texts as texts. JSON's null is no value."""

    template = "NULLIF(%(expressions)s, 'null'::jsonb)"
    output_field = JSONField()


@dataclass(frozen=True)
class Column:
    """`look` names how a cell is drawn (training_app.templatetags.runs); `order` is None where there is none."""

    key: str
    label: str
    look: str
    value: Callable[[TrainingRun], Any]
    order: Order | None

    @property
    def is_number(self) -> bool:
        return self.look in {"number", "bytes", "percent", "duration", "value"}


def metric(name: str) -> Number:
    return Number(KeyTransform(name, "metrics"))


def parameter(name: str) -> KeyTransform:
    """A field of the recipe; dots go deeper: shape.layers."""
    inner: Any = "recipe"
    for part in name.split("."):
        inner = KeyTransform(part, inner)
    found: KeyTransform = inner
    return found


def _elapsed(run: TrainingRun) -> timedelta | None:
    started: datetime | None = run.job.started_at
    return None if started is None else (run.job.finished_at or timezone.now()) - started


def _by_status() -> Expression:
    return Case(*(When(job__status=status, then=Value(place)) for place, status in enumerate(STATUSES)))


def _by_elapsed() -> Expression:
    elapsed = Coalesce(F("job__finished_at"), Now()) - F("job__started_at")
    return ExpressionWrapper(elapsed, output_field=DurationField())


FIXED = {
    column.key: column
    for column in (
        Column("name", "run", "run", lambda run: run, F("name")),
        Column("status", "status", "status", lambda run: run.job.status, _by_status()),
        Column("model", "registers as", "text", lambda run: run.model, F("model__name")),
        Column(
            "dataset",
            "dataset",
            "text",
            lambda run: run.shard_set.dataset_version,
            F("shard_set__dataset_version__dataset__name"),
        ),
        Column("tokenizer", "tokenizer", "text", lambda run: run.shard_set.tokenizer, F("shard_set__tokenizer__name")),
        Column("tags", "tags", "tags", lambda run: run.tags, None),
        Column("notes", "notes", "text", lambda run: run.notes, F("notes")),
        Column("user", "started by", "text", lambda run: run.created_by, F("created_by__username")),
        Column("duration", "time", "duration", _elapsed, _by_elapsed()),
        Column("attempts", "attempts", "number", lambda run: run.job.attempt, F("job__attempt")),
        Column(
            "parameters",
            "weights",
            "number",
            lambda run: run.counts.get("parameters"),
            Number(KeyTransform("parameters", "counts")),
        ),
        Column("size", "model size", "bytes", lambda run: run.n_bytes, F("n_bytes")),
        Column("created", "started", "since", lambda run: run.created_at, F("created_at")),
    )
}
DEFAULT = (
    "name",
    "status",
    "dataset",
    "tags",
    "metrics.loss/val",
    "metrics.bits_per_byte/held_out",
    "metrics.throughput/tokens_per_second",
    "metrics.step",
    "duration",
    "created",
)


def column(key: str) -> Column | None:
    """The column of a key, None for a key that means nothing."""
    if key in FIXED:
        return FIXED[key]
    if key.startswith(METRICS) and (name := key.removeprefix(METRICS)):
        look = next((look for word, look in LOOKS if word in name), "number")
        return Column(key, LABELS.get(name, name), look, lambda run: run.metrics.get(name), metric(name))
    if key.startswith(PARAMS) and (name := key.removeprefix(PARAMS)):
        label = "recipe" if name == "name" else name
        return Column(key, label, "value", lambda run: _dig(run.recipe, name), Orderable(parameter(name)))
    return None


def offered(project: Project, shown: Sequence[str]) -> dict[str, list[Column]]:
    """What may be chosen, by group: what is shown already, in its order, and what else the newest runs have."""
    newest = TrainingRun.objects.filter(project=project).order_by("-created_at", "-id")[:NEWEST]
    metrics: set[str] = set()
    params: set[str] = set()
    for found, recipe in newest.values_list("metrics", "recipe"):
        metrics.update(found)
        params.update(name for name, _ in flat(recipe))
    keys = {
        "Shown": list(shown),
        "Run": list(FIXED),
        "Metrics, last value": [f"{METRICS}{name}" for name in sorted(metrics)],
        "Parameters": [f"{PARAMS}{name}" for name in sorted(params)],
    }
    groups = {}
    for group, names in keys.items():
        others = names if group == "Shown" else [name for name in names if name not in shown]
        groups[group] = [found for name in others if (found := column(name))]
    return groups


def _dig(recipe: Mapping[str, Any], name: str) -> Any:
    found: Any = recipe
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found
