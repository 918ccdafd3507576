"""What holds rows that somebody wants out: dataset versions, and all that was made from them down to live deployments.

Joined by rows, not by names: a version counts by the rows that the rules cover, a shard set by those of them that stand
in its training samples, and a run, its models and their deployments by the shard set that they were trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from controlplane.access.models import Project
from datasets_app.models import DatasetVersion, ShardSet
from datasets_app.opt_outs import Covered, Rules, covered, packed
from datasets_app.parquet import Unreadable
from playground_app.models import Deployment
from training_app.models import ModelVersion, TrainingRun


@dataclass
class Holding:
    """A dataset version and what was made of it. `problem`: its files, or a shard set's, could not be asked."""

    version: DatasetVersion
    covered: Covered | None
    problem: str = ""
    shards: list[tuple[ShardSet, int]] = field(default_factory=list)
    runs: list[TrainingRun] = field(default_factory=list)
    models: list[ModelVersion] = field(default_factory=list)

    @property
    def holds_some(self) -> bool:
        return self.covered is not None and self.covered.rows > 0

    @property
    def cannot_tell(self) -> bool:
        """Made before rows carried what the rules ask for."""
        return self.covered is not None and not self.covered.knows_origins


@dataclass(frozen=True)
class Reach:
    """`asked`: every ready version, newest first. `live`: deployments that are not stopped, of the models found."""

    asked: list[Holding]
    live: list[Deployment]

    @property
    def holdings(self) -> list[Holding]:
        return [holding for holding in self.asked if holding.holds_some]

    @property
    def untold(self) -> list[Holding]:
        return [holding for holding in self.asked if holding.cannot_tell]

    @property
    def unreadable(self) -> list[Holding]:
        return [holding for holding in self.asked if holding.problem]

    @property
    def runs(self) -> list[TrainingRun]:
        return [run for holding in self.holdings for run in holding.runs]

    @property
    def models(self) -> dict[ModelVersion, int]:
        """Each model version with the most rows that a shard set of its run holds."""
        found: dict[ModelVersion, int] = {}
        for holding in self.holdings:
            rows = {shards.pk: count for shards, count in holding.shards}
            for model in holding.models:
                count = rows[model.run.shard_set_id] if model.run else 0
                found[model] = max(count, found.get(model, count))
        return found

    @property
    def latest(self) -> list[DatasetVersion]:
        """Of each dataset the newest version, where it holds such rows or cannot tell: what a new version is made of."""
        newest: dict[str, Holding] = {}
        for holding in self.asked:
            row = holding.version
            if row.dataset_id not in newest or newest[row.dataset_id].version.number < row.number:
                newest[row.dataset_id] = holding
        return [holding.version for holding in newest.values() if holding.holds_some or holding.cannot_tell]


def reach_of(project: Project, rules: Rules) -> Reach:
    """Reads every ready version's files once, and those of the shard sets made of versions that hold such rows."""
    asked = [_ask(version, rules) for version in DatasetVersion.objects.for_choice(project)]
    holdings = [holding for holding in asked if holding.holds_some]
    _follow(project, holdings, rules)
    models = [model.pk for holding in holdings for model in holding.models]
    live = Deployment.objects.for_list(project).exclude(state=Deployment.State.STOPPED).filter(model_version__in=models)
    return Reach(asked, list(live))


def _ask(version: DatasetVersion, rules: Rules) -> Holding:
    try:
        return Holding(version, covered(version.uri or "", rules))
    except Unreadable as error:
        return Holding(version, None, str(error))


def _follow(project: Project, holdings: list[Holding], rules: Rules) -> None:
    """Add to each holding its shard sets that hold such rows, their runs and what these made."""
    by_version = {holding.version.pk: holding for holding in holdings}
    shard_sets = ShardSet.objects.for_list(project).ready().filter(dataset_version__in=list(by_version))
    for shards in shard_sets:
        holding = by_version[shards.dataset_version_id]
        try:
            rows = packed(shards.uri or "", holding.version.uri or "", rules)
        except Unreadable as error:
            holding.problem = str(error)
            rows = -1  # not known: better to name a model that saw none than to miss one that did
        if rows:
            holding.shards.append((shards, rows))
    homes = {shards.pk: holding for holding in holdings for shards, _ in holding.shards}
    for run in TrainingRun.objects.for_list(project).filter(shard_set__in=list(homes)):
        homes[run.shard_set_id].runs.append(run)
    models: Any = ModelVersion.objects.filter(project=project, run__shard_set__in=list(homes))
    for model in models.select_related("model", "run").order_by("-created_at", "-id"):
        homes[model.run.shard_set_id].models.append(model)
