"""The runs list's own meaning of the search language: which names exist, and what each compares with.

metrics.`loss/val` < 2        the last value of a metric
params.batch_size = 16        a field of the recipe; params.shape.layers goes one deeper
tags = 'baseline'             has the tag; tags.baseline = 'true' is the same, for MLflow's users
name, status, dataset, model  of the run itself
"""

from __future__ import annotations

from typing import Any

from django.db.models import F, FloatField, Func, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform, KeyTransform

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


class Number(Func):
    """A JSON value as a number, null where it is none: a plain cast of text would end the whole query in an error."""

    output_field = FloatField()

    def as_sql(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, tuple[Any, ...]]:  # type: ignore[override]
        sql, params = compiler.compile(self.source_expressions[0])
        number = f"CASE WHEN jsonb_typeof({sql}) = 'number' THEN ({sql})::text::double precision END"
        return number, (*params, *params)


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
        if not _is_numeric(asked):
            raise QueryError(f"The metric {asked.name!r} compares with a number, without quotes.", asked.position)
        return _named(names, _metric(asked.name))
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


def _metric(name: str) -> Number:
    return Number(KeyTransform(name, "metrics"))


def _parameter(asked: Comparison) -> object:
    """A recipe's value, as a number when it is compared with one: '0.001' in quotes is text, as in MLflow."""
    *outer, last = asked.name.split(".")
    inner: Any = "recipe"
    for part in outer:
        inner = KeyTransform(part, inner)
    return Number(KeyTransform(last, inner)) if _is_numeric(asked) else KeyTextTransform(last, inner)


def _tag(asked: Comparison) -> Q:
    if asked.operator not in {"=", "!="}:
        raise QueryError("A run has a tag or has it not: use = or !=.", asked.position)
    tag = asked.name if asked.scope == "tags" else str(asked.value)
    has = Q(tags__contains=[tag])
    is_false = asked.scope == "tags" and str(asked.value).lower() == "false"
    return ~has if is_false != (asked.operator == "!=") else has
