"""The completions of an earlier evaluation, taken over so that they are judged again and nothing is generated.

A sample counts again when its problem is still in the suite and asks the same of a model: same prompt and suffix, same
kind. Tests, timeouts, scorers and stops may have changed; a completion is cut again at the stops that hold now, which
can only shorten it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.evaluation.cut import cut
from worker.evaluation.generate import Wanted
from worker.evaluation.suites import Problem
from worker.failures import StageFailure
from worker.specs import DecodeSettings

_OF_GENERATION = ("n_tokens", "n_prompt_tokens", "truncated", "seed", "raw", "ignored")


@dataclass(frozen=True)
class Earlier:
    """`score` is what was said of them; `missing` are {task_id, why} of the suite's problems that have no sample here."""

    score: Mapping[str, Any]
    asked: tuple[Wanted, ...]
    records: tuple[dict[str, Any], ...]
    missing: tuple[dict[str, str], ...]


def read_earlier(folder: Path, problems: Sequence[Problem]) -> Earlier:
    """Of an "evaluation" artifact, what the problems can use. Raises StageFailure evaluation:user:bad-generations, also
    when that is nothing.
    """
    score, samples, before = _read(folder)
    lacking = {problem.task_id: _lacking(problem, before, samples) for problem in problems}
    taken = [
        (Wanted(problem, sample["sample"]), sample)
        for problem in problems
        if not lacking[problem.task_id]
        for sample in samples[problem.task_id]
    ]
    if not taken:
        raise StageFailure(
            "evaluation:user:bad-generations", detail="none of its samples is of a problem of this suite"
        )
    decode = DecodeSettings(**{**score["decode"], "stop": tuple(score["decode"]["stop"])})
    return Earlier(
        score,
        tuple(item for item, _ in taken),
        tuple(_record(item.problem, sample, decode) for item, sample in taken),
        tuple({"task_id": name, "why": why} for name, why in lacking.items() if why),
    )


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, Problem]]:
    """Its score; its samples by task_id, in order; its problems as they were asked."""
    try:
        score = json.loads((folder / "score.json").read_text(encoding="utf-8"))
        rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
        lines = (folder / "problems.jsonl").read_text(encoding="utf-8").splitlines()
        problems = [Problem.from_json(json.loads(line)) for line in lines]
    except (OSError, ValueError) as error:  # BadProblem is a ValueError
        raise StageFailure("evaluation:user:bad-generations", detail=error) from error
    samples: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: int(row["sample"])):
        samples.setdefault(row["task_id"], []).append(row)
    return score, samples, {problem.task_id: problem for problem in problems}


def _lacking(problem: Problem, before: Mapping[str, Problem], samples: Mapping[str, object]) -> str:
    """Why there is no completion of this problem; "" where there is."""
    if problem.task_id not in samples:
        return "it was not generated for"
    told, tells = ((one.prompt, one.suffix, one.kind) for one in (before[problem.task_id], problem))
    return "" if told == tells else "it asks another thing now: its prompt or suffix is not the same"


def _record(problem: Problem, sample: Mapping[str, Any], decode: DecodeSettings) -> dict[str, Any]:
    """As generate keeps them, but for what generating took: that was another evaluation's."""
    kept = {name: sample[name] for name in _OF_GENERATION if name in sample}
    text = cut(problem, sample["completion"], (*decode.stop, *problem.stop)).text
    return {"task_id": problem.task_id, "sample": sample["sample"], "completion": text, **kept}
