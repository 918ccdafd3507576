"""The chain a row hangs on, both ways: up along its foreign keys, down along the newest row made from it.

Up is exact: a row has one origin. Down shows the newest child of each kind, since a dataset version may have many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import JSONField, Model, QuerySet
from django.urls import reverse

from controlplane.ui.lineage import KINDS, LineageStep, strip
from datasets_app.models import DatasetVersion, ShardSet, Tokenizer
from eval_app.models import Evaluation
from playground_app.models import Deployment
from training_app.models import Checkpoint, ModelImport, ModelVersion, TrainingRun

URLS: dict[type[Model], tuple[str, str]] = {
    DatasetVersion: ("dataset", "datasets:version"),
    Tokenizer: ("tokenizer", "datasets:tokenizer"),
    ShardSet: ("shards", "datasets:shard-set"),
    TrainingRun: ("run", "training:run"),
    ModelImport: ("run", "training:model-import"),  # in a run's place: what was before it, nobody here knows
    ModelVersion: ("model", "training:model-version"),
    Evaluation: ("evaluation", "evaluation:evaluation"),
    Deployment: ("deployment", "playground:deployment"),
}
LABELS: dict[type[Model], Callable[[Any], str]] = {
    ShardSet: lambda row: f"{row.counts['tokens'] / 1e6:.1f} M tokens" if row.counts.get("tokens") else "building",
    Evaluation: lambda row: f"{row.suite} {row.pass_at_1:.1%}" if row.is_ready else f"{row.suite} running",
    Deployment: lambda row: row.get_state_display(),
    ModelImport: lambda row: "imported" if row.is_ready else "importing",
}
ELSEWHERE = "elsewhere"


def chain(row: Model) -> list[Model]:
    """The rows before and after `row`, one of each kind, `row` among them."""
    rows: dict[type[Model], Model] = {}
    for item in (*_up(row), *_down(row)):
        rows.setdefault(type(item), item)
    version = row.model_version if isinstance(row, Evaluation | Deployment) else None
    if version is not None:
        for item in _down(version):
            rows.setdefault(type(item), item)
    return list(rows.values())


def steps(row: Model) -> list[LineageStep]:
    """The strip for a row's page: eight kinds in the order data flows, what is not there yet said so."""
    if isinstance(row, Evaluation) and row.baseline is not None:
        return _of_baseline(row)
    rows = chain(row)
    imported = any(isinstance(item, ModelImport) for item in rows)
    before = ("sources", "dataset", "shards") if imported else ()
    found = {kind: LineageStep(kind, ELSEWHERE) for kind in before}
    slug = row.project.slug  # type: ignore[attr-defined]  # all of a chain are of one project
    for item in rows:
        kind, name = URLS[type(item)]
        url = reverse(name, args=[slug, item.pk])
        found[kind] = LineageStep(kind, LABELS.get(type(item), str)(item), url, item == row)
        if isinstance(item, DatasetVersion):
            found["sources"] = LineageStep("sources", _sources(item), f"{url}#sources", False)
    return strip(found)


def _of_baseline(evaluation: Evaluation) -> list[LineageStep]:
    """Of a model from elsewhere nothing is known but its name and how it scored."""
    found = {kind: LineageStep(kind, ELSEWHERE) for kind in KINDS}
    found["model"] = LineageStep("model", evaluation.subject_name, evaluation.subject_url)
    url = reverse("evaluation:evaluation", args=[evaluation.project.slug, evaluation.pk])
    found["evaluation"] = LineageStep("evaluation", LABELS[Evaluation](evaluation), url, True)
    return strip(found)


def _sources(version: DatasetVersion) -> str:
    names = list(version.sources.order_by("is_held_out", "name").values_list("name", flat=True))
    first = "python-stdlib" if "python-stdlib" in names else next(iter(names), "none")
    return first if len(names) < 2 else f"{first} + {len(names) - 1}"


# What a row's label is made of beside its own fields.
NAMED_WITH: dict[type[Model], str] = {DatasetVersion: "dataset", ModelVersion: "model", Evaluation: "suite"}
SHOWN_JSON = {(ShardSet, "counts"), (Evaluation, "summary")}


def _light(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Without what no strip shows: the stages' own accounts are tens of kilobytes a row, and took half of a page's time."""
    kind = rows.model
    json = [field.name for field in kind._meta.concrete_fields if isinstance(field, JSONField)]
    light = rows.defer(*(name for name in json if (kind, name) not in SHOWN_JSON))
    return light.select_related(NAMED_WITH[kind]) if kind in NAMED_WITH else light


def _above(row: Model, name: str) -> Any:
    """What a foreign key leads to, as the page has it already or else light."""
    field: Any = row._meta.get_field(name)
    if field.is_cached(row) or getattr(row, field.attname) is None:
        return getattr(row, name)
    return _light(field.related_model._default_manager.all()).get(pk=getattr(row, field.attname))


def _up(row: Any) -> Iterator[Model]:
    yield row
    match row:
        case Deployment():
            yield from _up(_above(row, "model_version"))
        case Evaluation():
            yield from _of(row.subject)
        case ModelVersion(run_id=str()):
            yield from _up(_above(row, "run"))
        case ModelVersion():
            yield _above(row, "tokenizer")
            yield _above(row, "imported")
        case TrainingRun():
            yield from _up(_above(row, "shard_set"))
        case ShardSet():
            yield _above(row, "tokenizer")
            yield _above(row, "dataset_version")
        case Tokenizer(dataset_version_id=str()):
            yield _above(row, "dataset_version")


def _of(subject: Any) -> Iterator[Model]:
    """A baseline has no origin here, and a checkpoint is a step of its run, not one of the eight."""
    match subject:
        case Checkpoint():
            yield from _up(subject.run)
        case ModelVersion():
            yield from _up(subject)


def _down(row: Any) -> Iterator[Model]:
    """Newest children, depth first, so that a run's model comes before another run's."""
    match row:
        case DatasetVersion():
            yield from _newest(row.shard_sets)
            yield from _light(row.tokenizers.all()).order_by("-created_at")[:1]
        case Tokenizer(dataset_version_id=None):
            for version in _light(row.model_versions.exclude(imported=None)).order_by("created_at")[:1]:
                yield version
                yield _above(version, "imported")
        case Tokenizer():
            yield from _newest(row.shard_sets)
        case ShardSet():
            yield from _newest(row.runs)
        case TrainingRun():
            yield from _newest(row.model_versions)
        case ModelImport():
            for version in _light(row.model_versions.all()).order_by("-created_at")[:1]:
                yield version
                yield _above(version, "tokenizer")
                yield from _down(version)
        case ModelVersion():
            yield from _light(row.evaluations.all()).order_by("-created_at")[:1]
            yield from _light(row.deployments.all()).order_by("-created_at")[:1]


def _newest(children: Any) -> Iterator[Model]:
    for child in _light(children).order_by("-created_at")[:1]:
        yield child
        if isinstance(child, ShardSet):
            yield _above(child, "tokenizer")
        yield from _down(child)
