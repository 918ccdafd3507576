# environment: worker
"""python -m bench.training: the train stage against a bare PyTorch loop and HF Trainer, and against nanoGPT's settings.

Speed: the same 4 M-parameter Llama, the same samples in the same order, the same fused AdamW at a constant rate with
clipping, in fp32. The contestants alternate, `--rounds` times, in one process. Counted are tokens per CPU-second (the
process's own time, so that a shared machine does not decide) from the end of the second step to the end of the last:
start-up, evaluation and checkpoints are left out on all sides, every callback of ours is in.

Quality: bits per byte on held-out files after `--seconds` CPU-seconds each, our recipe (Muon, cool-down) against
nanoGPT's for small models (AdamW, 1e-3 to 1e-4 by a cosine, betas 0.9 and 0.99, weight decay 0.1, 100 steps of
warm-up; its config/train_shakespeare_char.py). Both sides get as many steps as their own measured cost per step
allows, see the same samples in the same order, and are scored by the same function.

Each figure is one line, `figure NAME ours=X peer=Y ratio=R goal=G unit=U`, and all are in
bench/results/training.json. The speeds' ratios should reach their goal, that of bits per byte should not exceed it.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import worker.training  # noqa: F401 - prepares the process before torch is loaded

# isort: split
import torch
from torch.nn import functional
from torch.utils.data import IterableDataset
from transformers import LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

from bench import training_corpus
from worker import recipes
from worker.context import Context
from worker.events import Event, ListReporter, ProgressMade
from worker.specs import ArtifactRef, Optimiser, Schedule, TrainModel, TrainRecipe
from worker.training import data, model, muon, train

TOKENIZER_SHA256 = "bench"
RESULTS = Path(__file__).parent / "results" / "training.json"
SPEED = Optimiser(name="adamw", learning_rate=1e-3, adamw_learning_rate=1e-3, gradient_clip=1.0)


@dataclass
class Marks:
    """CPU time of the process at the end of each step."""

    seconds: list[float] = field(default_factory=list)

    def mark(self) -> None:
        self.seconds.append(time.process_time())

    def per_step(self) -> float:
        return (self.seconds[-1] - self.seconds[1]) / (len(self.seconds) - 2)


class MarkingReporter(ListReporter):
    def __init__(self, marks: Marks) -> None:
        super().__init__()
        self.marks = marks

    def report(self, event: Event) -> None:
        super().report(event)
        if isinstance(event, ProgressMade):
            self.marks.mark()


@dataclass(frozen=True)
class Bench:
    folder: Path
    shards: data.ShardSet
    recipe: TrainRecipe

    @property
    def tokens_per_step(self) -> int:
        return self.recipe.batch_size * self.shards.sequence_length

    def spec(self, recipe: TrainRecipe) -> TrainModel:
        return TrainModel(ArtifactRef(str(self.shards.folder), "bench"), ArtifactRef("", TOKENIZER_SHA256), recipe)

    def batches(self, steps: int) -> Iterator[torch.Tensor]:
        """(batch, sequence) token ids of each step, in the train stage's own order."""
        loader = iter(data.train_batches(self.shards, self.recipe).dataloader)
        return (next(loader)["input_ids"] for _ in range(steps))

    def fresh_model(self) -> model.TrainedLlama:
        return model.build(self.recipe.shape, self.shards, self.recipe.seed)


def ours(bench: Bench, recipe: TrainRecipe, marks: Marks) -> LlamaForCausalLM:
    """The train stage's run in this process, with all its callbacks."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as job_dir:
        context = Context(Path(job_dir), MarkingReporter(marks), storage_url="")
        return train.train(bench.spec(recipe), bench.shards, context).llama


def bare(bench: Bench, steps: int, marks: Marks) -> LlamaForCausalLM:
    """The loop one writes by hand."""
    net = bench.fresh_model()
    optimiser = muon.build(net, SPEED)
    return _loop(net, optimiser, bench.batches(steps), marks)


def _loop(
    net: model.TrainedLlama,
    optimiser: torch.optim.Optimizer,
    batches: Iterator[torch.Tensor],
    marks: Marks,
    rate: Callable[[int], float] | None = None,
) -> LlamaForCausalLM:
    for step, ids in enumerate(batches):
        for group in optimiser.param_groups if rate is not None else ():
            group["lr"] = rate(step)  # type: ignore[misc]
        batch = {"input_ids": ids}
        optimiser.zero_grad(set_to_none=True)
        net.loss(net(batch), batch).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), SPEED.gradient_clip)
        optimiser.step()
        marks.mark()
    return net.llama


class _Samples(IterableDataset[dict[str, torch.Tensor]]):
    def __init__(self, bench: Bench, steps: int) -> None:
        self.bench, self.steps = bench, steps

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for ids in self.bench.batches(self.steps):
            yield from ({"input_ids": row, "labels": row} for row in ids)


class _MarkSteps(TrainerCallback):
    def __init__(self, marks: Marks) -> None:
        self.marks = marks

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self.marks.mark()


def hf_trainer(bench: Bench, steps: int, marks: Marks) -> LlamaForCausalLM:
    """transformers.Trainer as its documentation has it, logging every 10 steps."""
    arguments = TrainingArguments(
        output_dir=str(bench.folder / "hf"),
        max_steps=steps,
        per_device_train_batch_size=bench.recipe.batch_size,
        learning_rate=SPEED.learning_rate,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        adam_beta2=muon.BETAS[1],
        max_grad_norm=SPEED.gradient_clip,
        logging_steps=10,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    llama = bench.fresh_model().llama
    Trainer(model=llama, args=arguments, train_dataset=_Samples(bench, steps), callbacks=[_MarkSteps(marks)]).train()
    return llama


def nanogpt(bench: Bench, steps: int, marks: Marks) -> LlamaForCausalLM:
    """The same model under nanoGPT's settings for small models; its warm-up is capped at a tenth of a short run."""
    net = bench.fresh_model()
    matrices, others = muon.split_parameters(net)
    decayed = [*matrices, *(parameter for parameter in others if parameter.ndim >= 2)]
    plain = [parameter for parameter in others if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
    warmup = min(100, max(1, steps // 10))

    def rate(step: int) -> float:
        if step < warmup:
            return 1e-3 * (step + 1) / (warmup + 1)
        done = (step - warmup) / max(1, steps - warmup)
        return 1e-4 + 0.5 * (1e-3 - 1e-4) * (1 + math.cos(math.pi * done))

    return _loop(net, optimiser, bench.batches(steps), marks, rate)


@torch.no_grad()
def bits_per_byte(llama: LlamaForCausalLM, bench: Bench, samples: int = 256) -> float:
    split = bench.shards.samples(data.HELD_OUT)
    assert split is not None
    chosen = data.ChosenSamples(split, samples)
    losses = []
    for index in range(len(chosen)):
        ids = chosen[index]["input_ids"][None]
        logits = llama(input_ids=ids, use_cache=False).logits
        losses.append(functional.cross_entropy(logits[0, :-1], ids[0, 1:]).item())
    return statistics.mean(losses) / math.log(2) / bench.shards.bytes_per_token(data.HELD_OUT)


def figure(name: str, mine: float, peer: float, goal: float, unit: str) -> dict[str, object]:
    ratio = mine / peer
    print(f"figure {name} ours={mine:.4g} peer={peer:.4g} ratio={ratio:.3f} goal={goal:g} unit={unit}", flush=True)
    return {"figure": name, "ours": mine, "peer": peer, "ratio": round(ratio, 4), "goal": goal, "unit": unit}


def quiet(recipe: TrainRecipe, steps: int) -> TrainRecipe:
    """Evaluation and checkpoints only after the last step, where they are not counted."""
    return replace(recipe, max_steps=steps, max_seconds=None, evaluate_every=steps, checkpoint_every=steps)


def speed_figures(bench: Bench, rounds: int, steps: int) -> list[dict[str, object]]:
    flat = replace(quiet(bench.recipe, steps), optimiser=SPEED, schedule=Schedule(0.0, 0.0))
    contestants: dict[str, Callable[[Marks], object]] = {
        "ours": lambda marks: ours(bench, flat, marks),
        "bare": lambda marks: bare(bench, steps, marks),
        "hf": lambda marks: hf_trainer(bench, steps, marks),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        order = list(contestants)[number % 3 :] + list(contestants)[: number % 3]
        for name in order:
            marks = Marks()
            contestants[name](marks)
            speeds[name].append(bench.tokens_per_step / marks.per_step())
            print(f"round {number + 1} {name}: {speeds[name][-1]:.0f} tokens/cpu-s", flush=True)
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    unit = "tokens/cpu-s"
    return [
        figure("training_speed_against_bare_loop", middle["ours"], middle["bare"], 0.95, unit),
        figure("training_speed_against_hf_trainer", middle["ours"], middle["hf"], 1.0, unit),
    ]


def quality_figures(bench: Bench, seconds: float) -> list[dict[str, object]]:
    cost_ours, cost_peer = Marks(), Marks()
    ours(bench, quiet(bench.recipe, 6), cost_ours)
    nanogpt(bench, 6, cost_peer)
    spent_ours, spent_peer = Marks(), Marks()
    mine = ours(bench, quiet(bench.recipe, _steps_for(seconds, cost_ours)), spent_ours)
    peer = nanogpt(bench, _steps_for(seconds, cost_peer), spent_peer)
    for name, marks in (("ours", spent_ours), ("nanogpt", spent_peer)):
        steps = len(marks.seconds)
        print(
            f"{name}: {steps} steps of {bench.tokens_per_step} tokens, {marks.per_step() * steps:.0f} cpu-s", flush=True
        )
    scores = bits_per_byte(mine, bench), bits_per_byte(peer, bench)
    return [figure("training_bits_per_byte_at_equal_cpu_time", *scores, 1.0, "bits/byte")]


def _steps_for(seconds: float, cost: Marks) -> int:
    return max(3, round(seconds / cost.per_step()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU-seconds of each of the two quality runs")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the speed contest")
    parser.add_argument("--steps", type=int, default=8, help="steps in a round, two of them warm-up")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shards = data.ShardSet.open(training_corpus.build(Path(folder) / "shards", TOKENIZER_SHA256), TOKENIZER_SHA256)
        # Without FIM on any side: the peers have none, and it would count against us in the quality figure.
        bench = Bench(Path(folder), shards, replace(recipes.by_name("llama-4m"), fim_rate=0.0))
        figures = speed_figures(bench, options.rounds, max(4, options.steps))
        figures += quality_figures(bench, options.seconds)
    machine = {"processor": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"options": vars(options), "machine": machine, "figures": figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
