"""Completions to verdicts: each once, two at a time, kept as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.context import Context, Stopped
from worker.evaluation.journal import Journal, Key
from worker.evaluation.laps import Laps
from worker.evaluation.rolling import as_they_end
from worker.evaluation.scorers import Judge
from worker.evaluation.suites import Problem

WORKERS = 2


@dataclass(frozen=True)
class Trial:
    """One completion to be judged; (task_id, sample) names it."""

    problem: Problem
    sample: int
    completion: str

    @property
    def key(self) -> Key:
        return self.problem.task_id, self.sample


def judge_all(
    trials: Sequence[Trial],
    verdicts: Journal,
    judge: Judge,
    context: Context,
    heard: Callable[[Mapping[str, Any]], None] = lambda record: None,
) -> None:
    """Fill `verdicts` with what it lacks, in the order that programs end; each new record is also `heard`.

    Raises Stopped when asked to, SandboxUnavailable, and runtimes.RuntimeMissing for a language that cannot be judged.
    """
    missing = [trial for trial in trials if trial.key not in verdicts]
    context.progress(len(trials) - len(missing), len(trials), "programs")

    def judge_one(trial: Trial) -> dict[str, Any]:
        judgement = judge(trial.problem, trial.completion)
        return {"task_id": trial.problem.task_id, "sample": trial.sample, **judgement.to_json()}

    laps = Laps("judge_seconds")
    # One waiting for each that runs: a stop is not held up by a queue of hundreds.
    for ended in as_they_end(judge_one, missing, WORKERS, 2 * WORKERS, context.stop_requested):
        records = laps.shared(ended)
        verdicts.append(records)  # kept first: an event that a kill swallows is missed, but nothing is judged twice
        for record in records:
            heard(record)
        context.progress(len(verdicts.records), len(trials), "programs")
    if any(trial.key not in verdicts for trial in trials):
        raise Stopped(f"{len(verdicts.records)} of {len(trials)} programs are judged")
