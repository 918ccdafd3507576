"""One training run in one process: put a Composer Trainer together, run it, say what came of it.

This is what each rank executes; `stage` calls it directly, or `launch` once per GPU. It does not know about
artifacts' addresses: inputs are folders, and the result is a `Trained` whose model the caller exports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from composer import Trainer
from composer.core import Evaluator, State
from composer.utils import dist
from transformers import LlamaForCausalLM

from worker.context import Context, Stopped
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.specs import TrainModel, TrainRecipe
from worker.training import calibrate, callbacks, checkpoints, data, ledger, model, muon, schedule
from worker.training.data import ShardSet

T = TypeVar("T")
# A run bounded by seconds learns its end when its cool-down begins.
UNSETTLED_STEPS = 2**40


@dataclass(frozen=True)
class Trained:
    """A model and how it got there. `metrics` are the last values by name; `stopped`: somebody asked before the end."""

    llama: LlamaForCausalLM
    steps: int
    planned_steps: int
    tokens_seen: int
    metrics: Mapping[str, float]
    matmul_flops_per_second: float
    stopped: bool


@dataclass(frozen=True)
class Parts:
    """What a run is made of, before Composer holds it together."""

    network: model.TrainedLlama
    course: schedule.Course
    clip: callbacks.ClipGradients
    report: callbacks.ReportMetrics
    leave: callbacks.LeaveWhenAsked
    matmul_flops_per_second: float


def train(spec: TrainModel, shards: ShardSet, context: Context) -> Trained:
    """Train, or go on training, to the end or until asked to stop.

    Raises Stopped when SIGTERM asked (a checkpoint is written, nothing is exported) or when nothing was trained yet;
    StageFailure training:user:not-finite names the step.
    """
    interruption = callbacks.Interruption()
    try:
        if dist.get_world_size() > 1:
            dist.initialize_dist(device_of(spec.recipe).type.replace("cuda", "gpu"))
        parts = _parts(spec, shards, context, interruption)
        return _run(spec, shards, context, parts, interruption)
    finally:
        interruption.restore()


def _parts(spec: TrainModel, shards: ShardSet, context: Context, interruption: callbacks.Interruption) -> Parts:
    recipe, device = spec.recipe, device_of(spec.recipe)
    context.enter("calibrate")
    network = model.build(recipe, shards)
    matmul = calibrate.matmul_flops_per_second(recipe.precision, device)
    course = _course(recipe, shards, network, context.work / "plan.json", device)
    clip = callbacks.ClipGradients(recipe.optimiser.gradient_clip)
    splits = [split for split in (data.HELD_OUT, data.HELD_OUT_SOURCE) if shards.samples(split) is not None]
    report = callbacks.ReportMetrics(
        reporter=context.reporter,
        course=course,
        clip=clip,
        bytes_per_token={split: shards.bytes_per_token(split) for split in splits},
        flops_per_token=model.flops_per_token(network.llama, shards.sequence_length),
        matmul_flops_per_second=matmul,
    )
    leave = callbacks.LeaveWhenAsked(context.stop_requested, interruption)
    return Parts(network, course, clip, report, leave, matmul)


def device_of(recipe: TrainRecipe) -> torch.device:
    """CUDA where there is one. bf16 is refused on a CPU, which would only emulate it, 3.4 times slower than fp32."""
    if torch.cuda.is_available():
        return torch.device("cuda", dist.get_local_rank())
    if recipe.precision != "fp32":
        raise StageFailure(
            "training:user:bad-recipe", detail=f"precision {recipe.precision} needs a CUDA device; use fp32"
        )
    return torch.device("cpu")


def _course(
    recipe: TrainRecipe, shards: ShardSet, network: model.TrainedLlama, path: Path, device: torch.device
) -> schedule.Course:
    resumed = schedule.Course.resume(recipe, path)
    if resumed is not None:
        return resumed
    if recipe.max_seconds is None:
        return schedule.start(recipe, 0.0, path)
    world_size = dist.get_world_size()
    batch = next(iter(data.train_batches(shards, recipe, dist.get_global_rank(), world_size).dataloader))
    seconds = _decided_by_rank_zero(lambda: calibrate.seconds_per_step(network, recipe, batch, device))
    return schedule.start(recipe, seconds, path)


def _decided_by_rank_zero(decide: Callable[[], T]) -> T:
    """One rank looks at the clock or the disk, and all go by what it saw."""
    decided: list[Any] = [decide() if dist.get_global_rank() == 0 else None]
    dist.broadcast_object_list(decided)
    value: T = decided[0]
    return value


def _run(
    spec: TrainModel, shards: ShardSet, context: Context, parts: Parts, interruption: callbacks.Interruption
) -> Trained:
    folder = context.work / "checkpoints"
    resumed_at = _decided_by_rank_zero(lambda: checkpoints.mend(folder))
    asked = interruption.asked or (context.stop_requested() and resumed_at is None)
    if _decided_by_rank_zero(lambda: asked):
        raise Stopped("before the first step")
    recorded = ledger.BatchLedger(context.work / "batches", parts.network.take_sample_losses)
    trainer = build_trainer(spec, shards, context, parts, recorded, folder)
    try:
        _fit(trainer, parts, context, resumed_at)
        recorded.flush()
        steps = trainer.state.timestamp.batch.value
        if parts.leave.interrupted:
            raise Stopped(f"saved at step {steps}")
        return _trained(trainer.state, parts)
    finally:
        trainer.close()


def _fit(trainer: Trainer, parts: Parts, context: Context, resumed_at: int | None) -> None:
    if resumed_at is not None:
        context.reporter.report(MessageLogged(f"continuing from the checkpoint of step {resumed_at}"))
    context.enter("train")
    if trainer.state.timestamp.batch.value < _last_step(parts.course):
        trainer.fit()
    else:  # the last attempt ended after its last checkpoint and before its model was written
        trainer.eval()


def _last_step(course: schedule.Course) -> int:
    return course.plan.total_steps if course.plan.settled else UNSETTLED_STEPS


def _trained(state: State, parts: Parts) -> Trained:
    return Trained(
        llama=parts.network.llama,
        steps=state.timestamp.batch.value,
        planned_steps=parts.course.plan.total_steps,
        tokens_seen=state.timestamp.token.value,
        metrics=dict(parts.report.latest),
        matmul_flops_per_second=parts.matmul_flops_per_second,
        stopped=parts.leave.left_early,
    )


def build_trainer(
    spec: TrainModel, shards: ShardSet, context: Context, parts: Parts, recorded: ledger.BatchLedger, folder: Path
) -> Trainer:
    """Composer's Trainer for this run. It resumes by itself from `folder`."""
    recipe, rank, world_size = spec.recipe, dist.get_global_rank(), dist.get_world_size()

    def factor(state: State, ssr: float = 1.0) -> float:
        return parts.course.plan.factor(state.timestamp.batch.value)

    return Trainer(
        model=parts.network,
        run_name=spec.run_name,
        train_dataloader=data.train_batches(shards, recipe, rank, world_size),
        eval_dataloader=_evaluators(shards, recipe, context),
        max_duration=f"{_last_step(parts.course)}ba",
        optimizers=muon.build(parts.network, recipe.optimiser),
        schedulers=factor,
        step_schedulers_every_batch=True,
        algorithms=[parts.clip],
        loggers=[parts.report],
        callbacks=[recorded, callbacks.KeepToPlan(parts.course, context.reporter), parts.leave],
        save_folder=str(folder),
        save_filename=checkpoints.FILENAME,
        save_interval=f"{recipe.checkpoint_every}ba",
        save_num_checkpoints_to_keep=recipe.keep_checkpoints,
        autoresume=True,
        device="gpu" if torch.cuda.is_available() else "cpu",
        precision=recipe.precision,
        device_train_microbatch_size=min(recipe.microbatch_size or recipe.batch_size, recipe.batch_size // world_size),
        parallelism_config={"fsdp": {"state_dict_type": "sharded"}} if recipe.shard_parameters else None,
        compile_config={} if recipe.compile else None,
        seed=recipe.seed,
        progress_bar=False,
        load_progress_bar=False,
    )


def _evaluators(shards: ShardSet, recipe: TrainRecipe, context: Context) -> list[Evaluator]:
    evaluators = []
    for split in (data.HELD_OUT, data.HELD_OUT_SOURCE):
        samples = shards.samples(split)
        if samples is None:
            context.reporter.report(
                MessageLogged(f"the split {split} is empty: bits_per_byte/{split} is not measured", "warning")
            )
            continue
        batches = data.held_out_batches(samples, recipe)
        interval = f"{recipe.evaluate_every}ba"
        evaluators.append(
            Evaluator(label=split, dataloader=batches, metric_names=["LanguageCrossEntropy"], eval_interval=interval)
        )
    return evaluators
