"""How long a run is and what its learning rate does: warm up, hold, cool down to zero.

A constant rate makes the length a late decision: until the cool-down begins, no step depends on where the end is.
So a run bounded by seconds starts with an estimate, holds its rate, and settles its length when the clock says that
the cool-down is due, at the speed it really had (on a shared machine the first steps tell little). Settled or
estimated, the plan is written to a file before it is acted on: a run that is killed and resumed follows the same
plan, hence the same curve.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from worker import manifest
from worker.specs import Schedule, TrainRecipe


@dataclass(frozen=True)
class Plan:
    """Steps of a run. While not `settled`, `total_steps` is an estimate and the rate is held after the warm-up."""

    total_steps: int
    warmup_steps: int
    cooldown_steps: int
    settled: bool

    def factor(self, done: int) -> float:
        """Share of the peak rate for the step after `done` steps; it would reach zero one step after the last."""
        if done < self.warmup_steps:
            return (done + 1) / (self.warmup_steps + 1)
        if not self.settled or done < self.total_steps - self.cooldown_steps:
            return 1.0
        return max(0.0, (self.total_steps - done) / (self.cooldown_steps + 1))


def plan_of(schedule: Schedule, total_steps: int, settled: bool) -> Plan:
    warmup = round(schedule.warmup_share * total_steps)
    cooldown = min(round(schedule.cooldown_share * total_steps), total_steps - warmup)
    return Plan(total_steps, warmup, cooldown, settled)


class Course:
    """The plan that a run follows, kept in `path` (plan.json under the job's work folder)."""

    def __init__(self, recipe: TrainRecipe, plan: Plan, path: Path) -> None:
        self.recipe, self.plan, self.path = recipe, plan, path
        manifest.write_atomically(path, json.dumps(asdict(plan)))

    @classmethod
    def resume(cls, recipe: TrainRecipe, path: Path) -> Course | None:
        """The course an earlier attempt wrote down, if any."""
        return cls(recipe, Plan(**json.loads(path.read_text())), path) if path.exists() else None

    def cooldown_is_due(self, seconds: float) -> bool:
        """Whether a run bounded by time must begin its cool-down after `seconds` of training."""
        limit = self.recipe.max_seconds
        return (
            not self.plan.settled and limit is not None and seconds >= limit * (1 - self.recipe.schedule.cooldown_share)
        )

    def settle(self, done: int) -> None:
        """The cool-down begins after `done` steps and takes its share of the whole at the pace so far."""
        share = self.recipe.schedule.cooldown_share
        cooldown = round(done * share / (1 - share))
        self.plan = replace(self.plan, total_steps=done + cooldown, cooldown_steps=cooldown, settled=True)
        manifest.write_atomically(self.path, json.dumps(asdict(self.plan)))

    def expected_steps(self, done: int, seconds: float) -> int:
        """The total, or for a run bounded by time what its pace so far promises."""
        if self.plan.settled or self.recipe.max_seconds is None or not done or seconds <= 0:
            return self.plan.total_steps
        return max(done, round(done * self.recipe.max_seconds / seconds))


def start(recipe: TrainRecipe, seconds_per_step: float, path: Path) -> Course:
    """A new run's course. `seconds_per_step`, as measured before the run, matters only to a run bounded by time."""
    if recipe.max_steps is not None:
        return Course(recipe, plan_of(recipe.schedule, recipe.max_steps, settled=True), path)
    assert recipe.max_seconds is not None
    estimate = max(1, round(recipe.max_seconds / seconds_per_step))
    return Course(recipe, plan_of(recipe.schedule, estimate, settled=False), path)
