"""Named recipes: each is a function that returns a run's full configuration, to be read from top to bottom.

A recipe is data. It says nothing about paths, machines or data sets; the sequence length and the vocabulary come
with the shards. `python -m worker.recipes` prints them all as JSON. The sizes in the names count
parameters with a vocabulary of 4096 (CPU recipes) or 32768 (GPU recipes).

Speeds below are tokens per CPU-second, measured on two shared AVX-512 cores in fp32 without bf16 units.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace

from worker.failures import StageFailure
from worker.specs import ModelShape, Optimiser, Schedule, TrainRecipe


def tiny_test() -> TrainRecipe:
    """Two layers, twenty steps, about a second: for tests and for looking at the machinery."""
    return TrainRecipe(
        name="tiny-test",
        shape=ModelShape(hidden_size=32, layers=2, heads=2, key_value_heads=2, intermediate_size=64),
        batch_size=8,
        max_steps=20,
        evaluate_every=10,
        checkpoint_every=10,
        evaluation_samples=8,
    )


def first_model() -> TrainRecipe:
    """The demo's: 8 minutes of two laptop cores out of 15 for the whole pipeline.

    So short a run has few steps to spend: 4 M parameters in batches of 16 took 93 steps in 165 s on two slow cores
    (57 GFLOP/s each). The smaller shape and half the batch take three times as many.
    """
    return replace(llama_2m(), name="first-model", batch_size=8, max_seconds=480.0)


def llama_2m() -> TrainRecipe:
    """Narrow enough to see many tokens in a few minutes."""
    return replace(
        llama_4m(),
        name="llama-2m",
        shape=ModelShape(hidden_size=192, layers=4, heads=4, key_value_heads=4, intermediate_size=512),
        max_seconds=300.0,
    )


def llama_4m() -> TrainRecipe:
    """2700 tokens per CPU-second. The cool-down gives most of the late gain (loss 3.47 to 3.03): never cut it."""
    return TrainRecipe(
        name="llama-4m",
        shape=ModelShape(hidden_size=256, layers=4, heads=4, key_value_heads=4, intermediate_size=688),
        optimiser=Optimiser(name="muon", learning_rate=0.02, adamw_learning_rate=3e-3),
        schedule=Schedule(warmup_share=0.02, cooldown_share=0.3),
        batch_size=16,
        max_seconds=900.0,
        evaluate_every=50,
        checkpoint_every=50,
    )


def llama_10m() -> TrainRecipe:
    """1350 tokens per CPU-second: an hour of two cores, or it sees too little."""
    return replace(
        llama_4m(),
        name="llama-10m",
        shape=ModelShape(hidden_size=320, layers=6, heads=5, key_value_heads=5, intermediate_size=864),
        max_seconds=3600.0,
    )


def llama_125m() -> TrainRecipe:
    """One GPU. GPT-3 Small's depth and width (Brown et al. 2020, table 2.1); 10 B tokens at a sequence of 2048."""
    return TrainRecipe(
        name="llama-125m",
        shape=ModelShape(hidden_size=768, layers=12, heads=12, key_value_heads=12, intermediate_size=2048),
        optimiser=Optimiser(name="muon", learning_rate=0.02, adamw_learning_rate=6e-4, weight_decay=0.1),
        schedule=Schedule(warmup_share=0.01, cooldown_share=0.2),
        batch_size=256,
        microbatch_size=32,
        max_steps=19_000,
        evaluate_every=500,
        checkpoint_every=500,
        evaluation_samples=512,
        precision="amp_bf16",
        compile=True,
    )


def llama_1b() -> TrainRecipe:
    """One node of 8 GPUs. TinyLlama's shape (Zhang et al. 2024); 50 B tokens at a sequence of 2048."""
    return TrainRecipe(
        name="llama-1b",
        shape=ModelShape(
            hidden_size=2048, layers=22, heads=32, key_value_heads=4, intermediate_size=5632, tie_embeddings=False
        ),
        optimiser=Optimiser(name="adamw", learning_rate=4e-4, adamw_learning_rate=4e-4, weight_decay=0.1),
        schedule=Schedule(warmup_share=0.01, cooldown_share=0.2),
        batch_size=512,
        microbatch_size=8,
        max_steps=48_000,
        evaluate_every=1000,
        checkpoint_every=1000,
        evaluation_samples=1024,
        precision="amp_bf16",
        shard_parameters=True,
    )


def llama_3b() -> TrainRecipe:
    """One node of 8 GPUs, for weeks. Llama 3.2 3B's shape; 100 B tokens at a sequence of 2048."""
    return replace(
        llama_1b(),
        name="llama-3b",
        shape=ModelShape(hidden_size=3072, layers=28, heads=24, key_value_heads=8, intermediate_size=8192),
        optimiser=Optimiser(name="adamw", learning_rate=3e-4, adamw_learning_rate=3e-4, weight_decay=0.1),
        microbatch_size=4,
        max_steps=96_000,
    )


RECIPES: dict[str, Callable[[], TrainRecipe]] = {
    recipe().name: recipe
    for recipe in (tiny_test, first_model, llama_2m, llama_4m, llama_10m, llama_125m, llama_1b, llama_3b)
}


def by_name(name: str) -> TrainRecipe:
    """The recipe called `name`; StageFailure training:user:unknown-recipe lists the known ones."""
    if name not in RECIPES:
        raise StageFailure("training:user:unknown-recipe", name=name, known=", ".join(RECIPES))
    return RECIPES[name]()


def check(recipe: TrainRecipe) -> None:
    """Refuse a recipe that contradicts itself (training:user:bad-recipe), naming every contradiction at once."""
    faults = [text for holds, text in _rules(recipe) if not holds]
    if faults:
        raise StageFailure("training:user:bad-recipe", detail="; ".join(faults))


def _rules(recipe: TrainRecipe) -> list[tuple[bool, str]]:
    return [*_size_rules(recipe), *_optimisation_rules(recipe)]


def _size_rules(recipe: TrainRecipe) -> list[tuple[bool, str]]:
    shape, micro = recipe.shape, recipe.microbatch_size
    sizes = (shape.hidden_size, shape.layers, shape.heads, shape.key_value_heads, shape.intermediate_size)
    counts = (recipe.batch_size, recipe.evaluate_every, recipe.checkpoint_every, recipe.evaluation_samples)
    if min(sizes) < 1 or min(counts) < 1:
        return [
            (
                False,
                "sizes of the model, batch_size, evaluate_every, checkpoint_every and evaluation_samples start at 1",
            )
        ]
    return [
        (shape.hidden_size % (2 * shape.heads) == 0, "hidden_size must be an even multiple of heads"),
        (shape.heads % shape.key_value_heads == 0, "heads must be a multiple of key_value_heads"),
        (micro is None or 1 <= micro <= recipe.batch_size, "microbatch_size must be between 1 and batch_size"),
        (recipe.keep_checkpoints >= 1, "keep_checkpoints must be at least 1, or nothing can be resumed"),
    ]


def _optimisation_rules(recipe: TrainRecipe) -> list[tuple[bool, str]]:
    optimiser, schedule = recipe.optimiser, recipe.schedule
    shares = (schedule.warmup_share, schedule.cooldown_share)
    return [
        ((recipe.max_steps is None) != (recipe.max_seconds is None), "give exactly one of max_steps and max_seconds"),
        ((recipe.max_steps or recipe.max_seconds or 0) > 0, "the run must be longer than zero"),
        (optimiser.name in ("muon", "adamw"), f"optimiser {optimiser.name} is neither muon nor adamw"),
        (optimiser.learning_rate > 0 and optimiser.adamw_learning_rate > 0, "learning rates must be above 0"),
        (optimiser.gradient_clip > 0, "gradient_clip must be above 0"),
        (min(shares) >= 0 and sum(shares) <= 1, "warmup_share and cooldown_share must be shares that sum to at most 1"),
        (schedule.cooldown_share < 1, "cooldown_share must be below 1"),
        (0 <= recipe.fim_rate <= 1, "fim_rate must be between 0 and 1"),
        (recipe.precision in ("fp32", "amp_bf16"), f"precision {recipe.precision} is neither fp32 nor amp_bf16"),
        (
            not (recipe.shard_parameters and optimiser.name == "muon"),
            "muon needs whole matrices and cannot run on sharded parameters; use adamw",
        ),
    ]


if __name__ == "__main__":
    json.dump({name: asdict(recipe()) for name, recipe in RECIPES.items()}, sys.stdout, indent=1)
    sys.stdout.write("\n")
