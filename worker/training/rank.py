"""One process's share of the stage: open the inputs, train, and on rank 0 write the outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from composer.utils import dist

from worker.context import Context, Outcome
from worker.specs import TrainModel
from worker.tokenizer.load import verify
from worker.training import data, export, ledger, model, train


def run(spec: TrainModel, context: Context) -> Outcome:
    """The stage's outcome; on ranks other than 0 it is empty."""
    shards = data.ShardSet.open(context.fetch(spec.shards), spec.tokenizer.sha256)
    tokenizer = context.fetch(spec.tokenizer)
    verify(tokenizer, spec.tokenizer.sha256)
    trained = train.train(spec, shards, context)
    weights = export.whole_weights(trained.llama)
    if dist.get_global_rank() != 0:
        return Outcome(outputs={})
    context.enter("export")
    export.write_model(trained.llama, weights, spec, shards, tokenizer, _learned(trained), context.out / "model")
    ledger.merge(context.work / "batches", context.out / "batches" / "batches.parquet")
    return _outcome(trained, context.out)


def _outcome(trained: train.Trained, out: Path) -> Outcome:
    n_parameters = model.n_parameters(trained.llama)
    summary = {
        "steps": trained.steps,
        "tokens_seen": trained.tokens_seen,
        "metrics": dict(trained.metrics),
        "n_parameters": n_parameters,
        "planned_steps": trained.planned_steps,
        "matmul_flops_per_second": trained.matmul_flops_per_second,
        "stopped": trained.stopped,
    }
    counts = {"steps": trained.steps, "tokens_seen": trained.tokens_seen, "parameters": n_parameters}
    outputs = {"model": out / "model", "batches": out / "batches"}
    return Outcome(outputs, counts, summary, complete=not trained.stopped)


def _learned(trained: train.Trained) -> dict[str, Any]:
    """What two equal runs share, for the model folder: speeds and memory would give equal weights unequal hashes."""
    learned = {name: value for name, value in trained.metrics.items() if name.startswith(("loss/", "bits_per_byte/"))}
    return {"steps": trained.steps, "tokens_seen": trained.tokens_seen, "metrics": learned}
