"""Result files of other harnesses as evaluations of ours: read, kept as they are, and told with what they do not say.

Which harness writes what is worker.evaluation.imported's to know. Nothing is judged here; of a sample whose verdict the
files do not tell there is no row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.access.refusals import Refused
from eval_app.models import SampleResult
from worker.evaluation.imported import BadResult, ImportedProblem, ImportedResult, Metric, read_results

EXPECTED = (
    "Expected are one file of results (lm-eval: results_DATE.json; bigcode: evaluation_results.json) and, beside it, "
    "the files of samples (samples_TASK_DATE.jsonl) or generations (generations_TASK.json) if there are any."
)
NOT_KNOWN = "not known"
NORMAL_95 = 1.96


@dataclass(frozen=True)
class Read:
    """What the files hold: tasks that were judged by running programs, and the names of those that were not."""

    results: Sequence[ImportedResult]
    left_out: Sequence[str]


def read(files: Mapping[str, bytes]) -> Read:
    """The tasks of one run. Raises Refused, saying what is wrong and what was expected."""
    try:
        found = read_results({name: content.decode() for name, content in files.items()})
    except UnicodeDecodeError as error:
        raise Refused(f"A file is no text in UTF-8: {error.reason} at byte {error.start}. {EXPECTED}") from error
    except BadResult as bad:
        raise Refused(f"This cannot be imported: {bad}. {EXPECTED}") from bad
    ours = [result for result in found if 1 in result.pass_at_k]
    rest = [f"{result.task} ({', '.join(result.metrics)})" for result in found if 1 not in result.pass_at_k]
    if not ours:
        raise Refused(f"No task in the file has pass@1, which is what stands on a leaderboard here: {'; '.join(rest)}.")
    return Read(ours, rest)


def summary(result: ImportedResult) -> dict[str, Any]:
    """As an evaluation's own stage writes it, as far as the files say it; the rest is not known, and says so."""
    problems = [_problem(row) for row in result.problems if row.n_passed is not None]
    return {
        "pass_at_k": {str(k): _interval(metric) for k, metric in result.pass_at_k.items()},
        "metrics": {name: metric.value for name, metric in result.metrics.items()},
        "n_problems": result.n_problems,
        "n_samples": sum(row.n for row in result.problems) or None,
        "problems": problems,
        "suite": {"name": result.task, "version": f"{result.harness} {result.task} {result.task_version}".strip()},
        "isolation": {"level": NOT_KNOWN},
        "engine": {"name": result.harness},
        "decode": dict(result.decode),
        "harness": {"name": result.harness, "version": result.version, "model": result.model},
    }


def _interval(metric: Metric) -> dict[str, float | None]:
    """The harness's standard error as a 95 % interval by the normal approximation; none where it gives none."""
    if metric.stderr is None:
        return {"value": metric.value, "low": None, "high": None}
    reach = NORMAL_95 * metric.stderr
    return {"value": metric.value, "low": max(0.0, metric.value - reach), "high": min(1.0, metric.value + reach)}


def _problem(row: ImportedProblem) -> dict[str, Any]:
    return {"task_id": row.task_id, "n": row.n, "c": row.n_passed}


def samples(evaluation: Any, result: ImportedResult) -> Iterator[SampleResult]:
    """The samples whose verdict is told: those of problems of which all passed, or none."""
    for problem in result.problems:
        if problem.n_passed not in (0, problem.n) or not problem.n:
            continue
        outcome = SampleResult.Outcome.PASSED if problem.n_passed else SampleResult.Outcome.FAILED
        for number, completion in enumerate(problem.completions):
            yield SampleResult(
                evaluation=evaluation,
                task_id=problem.task_id[:120],
                sample=number,
                outcome=outcome,
                prompt=problem.prompt.replace("\0", ""),
                completion=completion.replace("\0", ""),
            )
