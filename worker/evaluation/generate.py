"""Completions for a suite, a batch at a time, each kept as soon as it is there, with what it took.

A model's engine is the serving one, so that a score is of what people will see: same prompts, healing, stops and
rounding. worker.serving.engine, and worker.serving.conversions for its input, are all of the serving room that this room
imports. An endpoint is asked for one completion at a time, by several threads.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from worker.context import Context, Stopped
from worker.evaluation.cut import cut
from worker.evaluation.journal import Journal
from worker.evaluation.laps import Laps
from worker.evaluation.rolling import as_they_end
from worker.evaluation.suites import Problem
from worker.serving.decode import MAX_STOPS
from worker.specs import DecodeSettings

BATCH = 32


class Generation(Protocol):
    """One completion. finish_reason: "stop" (a stop string or the end token) or "length" (the budget was spent).

    An endpoint's Answer has `raw` and `ignored` beside these.
    """

    @property
    def text(self) -> str: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def n_prompt_tokens(self) -> int: ...
    @property
    def finish_reason(self) -> str: ...


class Engine(Protocol):
    """What is asked of worker.serving.engine.Engine: completions in the order of the prompts, one seed each."""

    def complete_many(
        self,
        prompts: Sequence[str],
        decode: DecodeSettings | None = None,
        seeds: Sequence[int] | None = None,
        suffixes: Sequence[str | None] | None = None,
    ) -> Sequence[Generation]: ...


@dataclass(frozen=True)
class Wanted:
    """One sample of one problem."""

    problem: Problem
    sample: int

    @property
    def key(self) -> tuple[str, int]:
        return self.problem.task_id, self.sample


def wanted(problems: Sequence[Problem], samples: int) -> list[Wanted]:
    """Every sample, problem by problem."""
    return [Wanted(problem, sample) for problem in problems for sample in range(samples)]


def sample_seed(seed: int, task_id: str, sample: int) -> int:
    """A sample's own seed (31 bits): a resumed run, another batch size or a shorter suite draws the same completion."""
    digest = hashlib.sha256(f"{seed}\0{task_id}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


@dataclass(frozen=True)
class Pace:
    """How an engine is asked: completions in one call, and calls at the same time."""

    batch: int = BATCH
    calls: int = 1


def generate(
    engine: Engine, asked: Sequence[Wanted], decode: DecodeSettings, journal: Journal, context: Context, pace: Pace
) -> None:
    """Fill the journal with what it lacks. Raises Stopped between batches when asked to."""
    missing = [item for item in asked if item.key not in journal]
    context.progress(len(asked) - len(missing), len(asked), "completions")

    def complete(batch: Sequence[Wanted]) -> list[dict[str, Any]]:
        return _complete(engine, batch, decode)

    laps, batches = Laps("generate_seconds", "generate_cpu_seconds"), _batches(missing, pace.batch)
    for ended in as_they_end(complete, batches, pace.calls, pace.calls, context.stop_requested):
        journal.append(laps.shared([record for records in ended for record in records]))
        context.progress(len(journal.records), len(asked), "completions")
    if any(item.key not in journal for item in asked):
        raise Stopped(f"{len(journal.records)} of {len(asked)} completions are kept")


def _batches(missing: Sequence[Wanted], size: int) -> Iterator[list[Wanted]]:
    """Runs of samples that are decoded alike, and that all have their suffix shown or none."""
    batch: list[Wanted] = []
    for item in missing:
        if batch and (len(batch) == size or not _alike(item, batch[0])):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def _alike(one: Wanted, other: Wanted) -> bool:
    infills = one.problem.kind == "infill", other.problem.kind == "infill"
    return one.problem.stop == other.problem.stop and infills[0] == infills[1]


def _complete(engine: Engine, batch: Sequence[Wanted], decode: DecodeSettings) -> list[dict[str, Any]]:
    stops = tuple(dict.fromkeys((*decode.stop, *batch[0].problem.stop)))
    seeds = [sample_seed(decode.seed, *item.key) for item in batch]
    prompts = [item.problem.prompt for item in batch]
    suffixes = [item.problem.suffix for item in batch] if batch[0].problem.kind == "infill" else None
    # Those that an engine does not take are cut afterwards.
    answers = engine.complete_many(prompts, dataclasses.replace(decode, stop=stops[:MAX_STOPS]), seeds, suffixes)
    parts = zip(batch, answers, seeds, strict=True)
    return [_record(item, answer, stops) | {"seed": seed} for item, answer, seed in parts]


def _record(item: Wanted, answer: Generation, stops: Sequence[str]) -> dict[str, Any]:
    """What is kept. A text that ends at a stop or a closed brace is whole, whatever budget was spent on its rest."""
    found = cut(item.problem, answer.text, stops)
    told = {name: getattr(answer, name, None) for name in ("raw", "ignored")}
    return {
        "task_id": item.problem.task_id,
        "sample": item.sample,
        "completion": found.text,
        "n_tokens": answer.n_tokens,
        "n_prompt_tokens": answer.n_prompt_tokens,
        "truncated": answer.finish_reason == "length" and not found.ended,
        **{name: value for name, value in told.items() if value},
    }
