"""The chain a row hangs on, both ways: up along its foreign keys, down along the newest row made from it.

Up is exact: a row has one origin. Down shows the newest child of each kind, since a dataset version may have many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import Model
from django.urls import reverse

from controlplane.ui.lineage import LineageStep, strip
from datasets_app.models import DatasetVersion, ShardSet, Tokenizer
from eval_app.models import Evaluation
from playground_app.models import Deployment
from training_app.models import ModelVersion, TrainingRun

URLS: dict[type[Model], tuple[str, str]] = {
    DatasetVersion: ("dataset", "datasets:version"),
    Tokenizer: ("tokenizer", "datasets:tokenizer"),
    ShardSet: ("shards", "datasets:shard-set"),
    TrainingRun: ("run", "training:run"),
    ModelVersion: ("model", "training:model-version"),
    Evaluation: ("evaluation", "evaluation:evaluation"),
    Deployment: ("deployment", "playground:deployment"),
}
LABELS: dict[type[Model], Callable[[Any], str]] = {
    ShardSet: lambda row: f"{row.counts['tokens'] / 1e6:.1f} M tokens" if row.counts.get("tokens") else "building",
    Evaluation: lambda row: f"{row.suite} {row.pass_at_1:.1%}" if row.is_ready else f"{row.suite} running",
    Deployment: lambda row: row.get_state_display(),
}


def chain(row: Model) -> list[Model]:
    """The rows before and after `row`, one of each kind, `row` among them."""
    rows: dict[type[Model], Model] = {}
    for item in (*_up(row), *_down(row)):
        rows.setdefault(type(item), item)
    if isinstance(row, Evaluation | Deployment):
        for item in _down(row.model_version):
            rows.setdefault(type(item), item)
    return list(rows.values())


def steps(row: Model) -> list[LineageStep]:
    """The strip for a row's page: eight kinds in the order data flows, what is not there yet said so."""
    found: dict[str, LineageStep] = {}
    for item in chain(row):
        kind, name = URLS[type(item)]
        url = reverse(name, args=[item.project.slug, item.pk])  # type: ignore[attr-defined]
        found[kind] = LineageStep(kind, LABELS.get(type(item), str)(item), url, item == row)
        if isinstance(item, DatasetVersion):
            found["sources"] = LineageStep("sources", _sources(item), f"{url}#sources", False)
    return strip(found)


def _sources(version: DatasetVersion) -> str:
    names = list(version.sources.order_by("is_held_out", "name").values_list("name", flat=True))
    first = "python-stdlib" if "python-stdlib" in names else next(iter(names), "none")
    return first if len(names) < 2 else f"{first} + {len(names) - 1}"


def _up(row: Any) -> Iterator[Model]:
    yield row
    match row:
        case Deployment() | Evaluation():
            yield from _up(row.model_version)
        case ModelVersion(run=TrainingRun()):
            yield from _up(row.run)
        case ModelVersion():
            yield row.tokenizer
        case TrainingRun():
            yield from _up(row.shard_set)
        case ShardSet():
            yield row.tokenizer
            yield row.dataset_version
        case Tokenizer():
            yield row.dataset_version


def _down(row: Any) -> Iterator[Model]:
    """Newest children, depth first, so that a run's model comes before another run's."""
    match row:
        case DatasetVersion():
            yield from _newest(row.shard_sets)
            yield from row.tokenizers.order_by("-created_at")[:1]
        case Tokenizer():
            yield from _newest(row.shard_sets)
        case ShardSet():
            yield from _newest(row.runs)
        case TrainingRun():
            yield from _newest(row.model_versions)
        case ModelVersion():
            yield from row.evaluations.order_by("-created_at")[:1]
            yield from row.deployments.order_by("-created_at")[:1]


def _newest(children: Any) -> Iterator[Model]:
    for child in children.order_by("-created_at")[:1]:
        yield child
        if isinstance(child, ShardSet):
            yield child.tokenizer
        yield from _down(child)
