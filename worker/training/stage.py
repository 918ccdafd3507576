"""train_model: from a shard set and a recipe to a model folder, and the record of what each step saw.

Outputs: `model` (worker.training.export) and `batches` (batches.parquet, worker.training.ledger). Under `work` it
keeps the plan, the checkpoints and the ledger's chunks; a later attempt goes on from there and draws the identical
curve. A run that was stopped early exports the model as it then was: a usable result, marked stopped, and never
taken for the full one.
"""

from __future__ import annotations

from worker import recipes
from worker.context import Context, Outcome
from worker.specs import TrainModel
from worker.training import launch, rank

VERSION = "1"


def run(spec: TrainModel, context: Context) -> Outcome:
    """Raises StageFailure (training:user:*, tokenizer:user:hash-mismatch, shards:user:no-samples) and Stopped."""
    recipes.check(spec.recipe)
    processes = launch.processes_needed()
    if processes > 1:
        return launch.run(spec, context, processes)
    return rank.run(spec, context)
