"""From a step of a run to the samples it trained on and the documents those were packed from, and back from a document.

The training stage writes down what each step saw (worker.training.ledger): batches.parquet beside a finished model, and
files of some steps each in the job's directory while it runs, one with each checkpoint. So a spike in the loss opens to
its rows, and a row to every step that saw it. Nothing here recomputes the order of samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.jobs.models import MetricPoint
from controlplane.jobs.relay import job_dir
from datasets_app import documents, samples
from datasets_app.models import DatasetVersion, ShardSet
from datasets_app.parquet import Unreadable, path_of, query
from training_app.models import TrainingRun

SHOWN = 32  # samples of a step; a batch may have thousands
MOST_STEPS = 100  # steps named for one document; how many there are is said beside them
MOST_RUNS = 20
SPLIT = "train"


@dataclass(frozen=True)
class Seen:
    """A sample of a step's batch. `loss` in nats per token, None where the run did not record it."""

    sample: int
    loss: float | None
    pieces: list[dict[str, Any]]


@dataclass(frozen=True)
class Step:
    """`total` samples, the SHOWN worst or first of them in `seen`; `epoch` counts from 1."""

    number: int
    epoch: int
    loss: float | None
    total: int
    seen: list[Seen]
    has_losses: bool


@dataclass(frozen=True)
class RunSaw:
    """The steps of a run that saw a document: how many, and the first MOST_STEPS; `problem` if they cannot be read."""

    run: TrainingRun
    total: int = 0
    steps: tuple[int, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Packed:
    """Where a document went in a shard set: samples by split, and the runs that trained on these shards."""

    shards: ShardSet
    splits: dict[str, samples.Holding]
    runs: list[RunSaw]


class NotRecorded(Exception):
    """The run has not written down what this step saw, or there was no such step."""


def of_step(run: TrainingRun, number: int) -> Step:
    """Raises NotRecorded, or Unreadable when the shards or the dataset are gone."""
    rows = query("SELECT * FROM read_parquet(?) WHERE step = ?", [_batches(run), number], "run")
    if not rows:
        raise NotRecorded(f"Step {number} is not among the recorded ones. A running job records with each checkpoint.")
    ids, losses = rows[0]["sample_ids"], rows[0].get("losses")
    batch = list(zip(ids, losses or [None] * len(ids), strict=True))
    if losses:
        batch.sort(key=lambda item: -item[1])
    shown = batch[:SHOWN]
    n_samples = run.shard_set.summary["meta"]["n_samples"][SPLIT]
    epoch = 1 + (number - 1) * len(ids) // n_samples
    return Step(number, epoch, _loss(run, number), len(ids), _seen(run.shard_set, shown), bool(losses))


def of_document(version: DatasetVersion, document: str) -> list[Packed]:
    """Every finished shard set of a dataset version with what it and its runs did with one document."""
    ready = ShardSet.objects.for_list(version.project).filter(dataset_version=version).ready()[:MOST_RUNS]
    return [_packed(shards, document) for shards in ready.defer(None)]


def _packed(shards: ShardSet, document: str) -> Packed:
    splits = shards.summary["meta"]["n_samples"]
    held = {split: samples.holding(shards.uri or "", split, document) for split in splits}
    found = {split: holding for split, holding in held.items() if holding.total}
    runs = TrainingRun.objects.for_list(shards.project).filter(shard_set=shards, archived_at=None).defer(None)
    return Packed(shards, found, [_saw(run, document) for run in runs[:MOST_RUNS]] if SPLIT in found else [])


def _saw(run: TrainingRun, document: str) -> RunSaw:
    sql = """
        SELECT DISTINCT step FROM (SELECT step, unnest(sample_ids) AS sample FROM read_parquet(?))
        WHERE sample IN (SELECT sample FROM read_parquet(?) WHERE document = ?) ORDER BY step
    """
    ledger = f"{path_of(run.shard_set.uri or '')}/{SPLIT}/ledger.parquet"
    try:
        steps = [row["step"] for row in query(sql, [_batches(run), ledger, document], "run")]
    except (Unreadable, NotRecorded) as error:
        return RunSaw(run, problem=str(error))
    return RunSaw(run, len(steps), tuple(steps[:MOST_STEPS]))


def _batches(run: TrainingRun) -> str:
    """What DuckDB reads: the run's published record, or what its job has written so far."""
    published = run.summary.get("batches")
    if published:
        return f"{path_of(published['uri'])}/batches.parquet"
    folder = job_dir(run.job) / "work" / "batches"
    if not any(folder.glob("*.parquet")):
        raise NotRecorded("This run has recorded no step yet. A running job records with each checkpoint.")
    return f"{folder}/*.parquet"


def _seen(shards: ShardSet, batch: Sequence[tuple[int, float | None]]) -> list[Seen]:
    uri, dataset = shards.uri or "", shards.dataset_version.uri or ""
    found = samples.documents_of(uri, SPLIT, [sample for sample, _ in batch])
    paths = documents.paths(dataset, [piece["document"] for pieces in found.values() for piece in pieces])
    named = {
        sample: [piece | {"path": paths.get(piece["document"])} for piece in pieces] for sample, pieces in found.items()
    }
    return [Seen(sample, loss, named[sample]) for sample, loss in batch]


def _loss(run: TrainingRun, step: int) -> float | None:
    """The batch's loss, if that very step's point was kept."""
    point = MetricPoint.objects.filter(job=run.job, name="loss/train", step=step).first()
    return point.value if point else None
