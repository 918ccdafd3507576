"""HumanEvalPack, where its files are given: SUITES=FOLDER, and SUITES_PROBLEMS for more than the first few of each.

Of every language that this machine has: canonical solutions pass (but for those that need a library which is not here),
and no buggy one does, nor nothing at all.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.evaluation.runtimes import readiness, run
from worker.sandbox import Limits, probe

FOLDER = os.environ.get("SUITES", "")
N_PROBLEMS = int(os.environ.get("SUITES_PROBLEMS", "6"))
LIMITS = Limits(cpu_seconds=10.0, wall_seconds=60.0)
# Share of canonical solutions that must pass; the rest lack a library (js-md5, boost, openssl, rand, regex). Go's all
# want testify: RUNTIME_LIBRARIES/go is a GOPATH that has it.
LEAST = {"python": 1.0, "javascript": 0.99, "java": 1.0, "cpp": 0.97, "go": 0.98, "rust": 0.94}
FILES = {"python": "python", "javascript": "js", "java": "java", "cpp": "cpp", "go": "go", "rust": "rust"}
_CRATES = ("use rand::Rng;\n", "use regex::Regex;\n", "use md5;\n")

pytestmark = pytest.mark.skipif(not FOLDER, reason="SUITES names no folder with humanevalpack-*.jsonl")

Problem = dict[str, str]


def problems(language: str) -> list[Problem]:
    path = Path(FOLDER, f"humanevalpack-{FILES[language]}.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][:N_PROBLEMS]


def program(language: str, problem: Problem, solution: str) -> str:
    text = f"{problem['prompt']}{solution}\n{problem['test']}\n"
    if language == "go":
        return f"{problem['test_setup']}\n{text}"
    for crate in _CRATES if language == "rust" else ():
        text = text.replace(crate, "")
    return text


def passed(language: str, solutions: list[tuple[Problem, str]]) -> set[str]:
    """Task ids of those that passed."""

    def judge(given: tuple[Problem, str]) -> bool:
        verdict = run(program(language, *given), language, LIMITS, probe())
        assert verdict.outcome != "sandbox_failed", verdict
        return verdict.outcome == "passed"

    with ThreadPoolExecutor(2) as threads:
        verdicts = threads.map(judge, solutions)
    return {problem["task_id"] for (problem, _), ok in zip(solutions, verdicts, strict=True) if ok}


@pytest.mark.slow
@pytest.mark.parametrize("language", FILES)
def test_canonical_solutions_pass_and_no_buggy_or_empty_one_does(language: str) -> None:
    found = readiness(language, probe())
    if found.state != "ready":
        pytest.skip(f"{language}: {found.detail}")
    given = problems(language)
    canonical = passed(language, [(problem, problem["canonical_solution"]) for problem in given])
    lacking = {problem["task_id"] for problem in given} - canonical
    assert len(lacking) <= (1 - LEAST[language]) * len(given), lacking
    assert passed(language, [(problem, problem["buggy_solution"]) for problem in given]) == set()
    assert passed(language, [(problem, "") for problem in given]) == set()
