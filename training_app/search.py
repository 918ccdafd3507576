"""The runs list's own meaning of the search language: which names exist, and what each compares with.

metrics.`loss/val` < 2        the last value of a metric
params.batch_size = 16        a field of the recipe; params.shape.layers goes one deeper
tags = 'baseline'             has the tag; tags.baseline = 'true' is the same, for MLflow's users
name, status, dataset, model  of the run itself
"""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTextTransform

from controlplane.ui.search import And, Comparison, Node, Or, QueryError, parse
from training_app.columns import Number, metric, parameter
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


def matching(runs: QuerySet[TrainingRun], text: str) -> QuerySet[TrainingRun]:
    """The runs that a query asks for. Raises QueryError, which points at the character."""
    node = parse(text)
    if node is None:
        return runs
    names: dict[str, object] = {}
    condition = _condition(node, names)
    return runs.annotate(**names).filter(condition)


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
        if not _is_numeric(asked):
            raise QueryError(f"The metric {asked.name!r} compares with a number, without quotes.", asked.position)
        return _named(names, metric(asked.name))
    if asked.scope == "params":
        return _named(names, _parameter(asked))
    known = ", ".join([*ATTRIBUTES, "tags", "metrics.…", "params.…"])
    raise QueryError(f"There is no {asked.name!r} here. Known: {known}.", asked.position)


def _named(names: dict[str, object], expression: object) -> str:
    name = f"asked_{len(names)}"
    names[name] = expression
    return name


def _is_numeric(asked: Comparison) -> bool:
    values = asked.value if isinstance(asked.value, tuple) else (asked.value,)
    return all(isinstance(value, float | int) for value in values)


def _parameter(asked: Comparison) -> object:
    """A recipe's value, as a number when it is compared with one: '0.001' in quotes is text, as in MLflow."""
    found = parameter(asked.name)
    return Number(found) if _is_numeric(asked) else KeyTextTransform(found.key_name, *found.source_expressions)


def _tag(asked: Comparison) -> Q:
    if asked.operator not in {"=", "!="}:
        raise QueryError("A run has a tag or has it not: use = or !=.", asked.position)
    tag = asked.name if asked.scope == "tags" else str(asked.value)
    has = Q(tags__contains=[tag])
    is_false = asked.scope == "tags" and str(asked.value).lower() == "false"
    return ~has if is_false != (asked.operator == "!=") else has
