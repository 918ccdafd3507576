"""What this machine can do, measured at the start of a job: its matmul rate, and the time of one training step.

The matmul rate is the yardstick for utilisation/flops_share: a data sheet's peak says little about a laptop or a
shared node. The step time only estimates the length of a run bounded by seconds; the run settles its length later,
at its real speed.
"""

from __future__ import annotations

import copy
import itertools
import statistics
import time
from collections.abc import Callable

import torch

from worker.specs import TrainRecipe
from worker.training import muon
from worker.training.data import Batch
from worker.training.model import TrainedLlama


def matmul_flops_per_second(precision: str, device: torch.device, repeats: int = 12) -> float:
    """FLOP/s of a square matmul at the recipe's precision, the best of `repeats` (the others shared the machine)."""
    size = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "amp_bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = min(_timed(lambda: torch.mm(left, right), device) for _ in range(repeats))
    return 2.0 * size**3 / seconds


def seconds_per_step(model: TrainedLlama, recipe: TrainRecipe, batch: Batch, device: torch.device) -> float:
    """Median of three steps after one that warms up, on a copy that is thrown away, in the recipe's microbatches."""
    trial = copy.deepcopy(model).to(device)
    optimiser = muon.build(trial, recipe.optimiser)
    parts = batch["input_ids"].to(device).split(recipe.microbatch_size or recipe.batch_size)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        for part in parts:
            piece = {"input_ids": part}
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "amp_bf16"):
                loss = trial.loss(trial(piece), piece)
            (loss * len(part) / recipe.batch_size).backward()
        optimiser.step()

    return statistics.median(itertools.islice((_timed(step, device) for _ in range(4)), 1, None))


def _timed(action: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
