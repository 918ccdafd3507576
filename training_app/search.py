"""The runs list's own meaning of the search language: which names exist, and what each compares with.

metrics.`loss/val` < 2        the last value of a metric
params.batch_size = 16        a field of the recipe; params.shape.layers goes one deeper
tags = 'baseline'             has the tag; tags.baseline = 'true' is the same, for MLflow's users
name, status, dataset, model  of the run itself
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, FloatField, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from controlplane.ui.search import And, Comparison, Node, Or, QueryError, parse
from training_app.models import TrainingRun

ATTRIBUTES = {
    "name": "name",
    "status": "job__status",
    "dataset": "shard_set__dataset_version__dataset__name",
    "model": "model__name",
    "notes": "notes",
    "user": "created_by__username",
}
LOOKUPS = {
    "=": "exact",
    "<": "lt",
    "<=": "lte",
    ">": "gt",
    ">=": "gte",
    "like": "contains",
    "ilike": "icontains",
    "in": "in",
}
SORTS = {"name": "name", "created": "created_at", "status": "job__status"}


def matching(runs: QuerySet[TrainingRun], text: str) -> QuerySet[TrainingRun]:
    """The runs that a query asks for. Raises QueryError, which points at the character."""
    node = parse(text)
    if node is None:
        return runs
    names: dict[str, object] = {}
    condition = _condition(node, names)
    return runs.annotate(**names).filter(condition)


def ordered(runs: QuerySet[TrainingRun], sort: str) -> QuerySet[TrainingRun]:
    """By `name`, `created`, `status` or a metric's name, descending after a minus; runs without the metric come last."""
    key, down = sort.removeprefix("-"), sort.startswith("-")
    if key in SORTS:
        field = F(SORTS[key])
    else:
        runs = runs.annotate(sort_value=_metric(key))
        field = F("sort_value")
    return runs.order_by(field.desc(nulls_last=True) if down else field.asc(nulls_last=True), "-id")


def _condition(node: Node, names: dict[str, object]) -> Q:
    if isinstance(node, And | Or):
        parts = [_condition(part, names) for part in node.parts]
        joined = parts[0]
        for part in parts[1:]:
            joined = joined & part if isinstance(node, And) else joined | part
        return joined
    return _comparison(node, names)


def _comparison(asked: Comparison, names: dict[str, object]) -> Q:
    if asked.scope == "tags" or (asked.scope == "" and asked.name == "tags"):
        return _tag(asked)
    field = _field(asked, names)
    value = asked.value
    if asked.operator in {"like", "ilike"}:
        value = str(value).strip("%")
    if asked.operator == "!=":
        return ~Q(**{field: value})
    return Q(**{f"{field}__{LOOKUPS[asked.operator]}": value})


def _field(asked: Comparison, names: dict[str, object]) -> str:
    if asked.scope in {"", "attributes"} and asked.name in ATTRIBUTES:
        return ATTRIBUTES[asked.name]
    if asked.scope == "metrics":
        return _named(names, _metric(asked.name))
    if asked.scope == "params":
        return _named(names, _parameter(asked))
    known = ", ".join([*ATTRIBUTES, "tags", "metrics.…", "params.…"])
    raise QueryError(f"There is no {asked.name!r} here. Known: {known}.", asked.position)


def _named(names: dict[str, object], expression: object) -> str:
    name = f"asked_{len(names)}"
    names[name] = expression
    return name


def _metric(name: str) -> Cast:
    return Cast(KeyTextTransform(name, "metrics"), FloatField())


def _parameter(asked: Comparison) -> Any:
    """A recipe's value, as a number when it is compared with one: '0.001' in quotes is text, as in MLflow."""
    inner: Any = "recipe"
    for part in asked.name.split("."):
        inner = KeyTextTransform(part, inner)
    first = asked.value[0] if isinstance(asked.value, tuple) else asked.value
    return Cast(inner, FloatField()) if isinstance(first, float | int) else inner


def _tag(asked: Comparison) -> Q:
    tag = asked.name if asked.scope == "tags" else str(asked.value)
    has = Q(tags__contains=[tag])
    is_not = asked.operator == "!=" or (asked.scope == "tags" and str(asked.value).lower() == "false")
    return ~has if is_not else has
