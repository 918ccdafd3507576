"""Which problems of a suite may count: the reference passes, and an empty or buggy completion does not, here.

Test code has faults that only running shows: a console.assert that never throws passes 153 of 164 wrong solutions of
one published suite; of others 2 to 7 % of the references fail. A problem that does not separate right from wrong on
this machine, in this sandbox and with these runtimes is left out and named with the reason. A language that is not on
this machine is not available; that is never a score of zero.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import starmap
from typing import Any, NamedTuple

from worker.context import Context
from worker.data.syntax import GRAMMARS
from worker.evaluation import runtimes
from worker.evaluation.journal import Journal
from worker.evaluation.judging import Trial, judge_all
from worker.evaluation.scorers import Judge
from worker.evaluation.suites import Problem, Suite
from worker.evaluation.suites.problem import COMMAND

# Samples of the journal, by what is judged.
REFERENCE, EMPTY, BUGGY = 0, 1, 2


class Doubt(NamedTuple):
    """Why a problem may not count: one of a few reasons, to count by, and its own words."""

    reason: str
    why: str


_WRONG = {
    EMPTY: Doubt("empty passes", "an empty completion passes"),
    BUGGY: Doubt("buggy passes", "its buggy completion passes"),
}
_NO_DOUBT = Doubt("", "")
_NO_REFERENCE = Doubt("no reference", "it has no reference")
_SANDBOX_FAILED = "sandbox failed"
_DETAIL_CHARACTERS = 200
_TELLING = re.compile(r"error(\s*\[\w+\])?:|cannot find", re.IGNORECASE)  # of gcc, rustc, go, javac, Node and Python


def admit(suite: Suite, judge: Judge, unproved: bool, verdicts: Journal, context: Context) -> dict[str, dict[str, Any]]:
    """By task_id: {admitted, language, reason, why}, the last two being "" for what is proved. `verdicts` keeps every
    verdict, for a later attempt. Raises Stopped and SandboxUnavailable.
    """
    refused = {problem.task_id: _lacking(problem, suite, judge) for problem in suite.problems}
    able = [problem for problem in suite.problems if not refused[problem.task_id].why]
    context.enter("run references")
    references = [Trial(problem, REFERENCE, problem.reference) for problem in able if problem.reference is not None]
    judge_all(references, verdicts, judge, context)
    context.enter("run wrong completions")
    judge_all([*references, *_wrong(able, verdicts, unproved)], verdicts, judge, context)
    refused |= {problem.task_id: _doubt(problem, verdicts, unproved) for problem in able}
    return {problem.task_id: _entry(problem, refused[problem.task_id], unproved) for problem in suite.problems}


def _entry(problem: Problem, doubt: Doubt, unproved: bool) -> dict[str, Any]:
    admitted = not doubt.why
    if admitted and problem.reference is None and unproved:
        doubt = Doubt("", "unproved: it has no reference")
    return {"admitted": admitted, "language": problem.language, **doubt._asdict()}


def _wrong(problems: Sequence[Problem], verdicts: Journal, unproved: bool) -> list[Trial]:
    """What should fail, of those problems that are still in question."""
    asked = [problem for problem in problems if not _of_reference(problem, verdicts, unproved).why]
    trials = [Trial(problem, EMPTY, "") for problem in asked]
    return trials + [Trial(problem, BUGGY, problem.buggy) for problem in asked if problem.buggy is not None]


def _doubt(problem: Problem, verdicts: Journal, unproved: bool) -> Doubt:
    """Why not, of a problem that was tried."""
    failed = _of_reference(problem, verdicts, unproved)
    if failed.why:
        return failed
    for sample, passes in _WRONG.items():
        record = verdicts.records.get((problem.task_id, sample), {"outcome": "failed"})
        if record["outcome"] == "passed":
            return passes
        if record["outcome"] == "sandbox_failed":
            return _sandbox_failed(record)
    return _NO_DOUBT


def _of_reference(problem: Problem, verdicts: Journal, unproved: bool) -> Doubt:
    if problem.reference is None:
        return _NO_DOUBT if unproved else _NO_REFERENCE
    record = verdicts.records[problem.task_id, REFERENCE]
    if record["outcome"] == "passed":
        return _NO_DOUBT
    if record["outcome"] == "sandbox_failed":
        return _sandbox_failed(record)
    needs = f" (it needs {', '.join(problem.requires)})" if problem.requires else ""
    return Doubt("reference fails", f"the reference does not pass: {record['outcome']}{needs}: {_said(record)}")


def _sandbox_failed(record: Mapping[str, Any]) -> Doubt:
    return Doubt(_SANDBOX_FAILED, f"the sandbox failed: {record['detail']}")


def is_settled(problems: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether asking again would bring nothing: no sandbox failed."""
    return not any(entry["reason"] == _SANDBOX_FAILED for entry in problems.values())


def _said(record: Mapping[str, Any]) -> str:
    """The line of its output that says most: the first that tells of an error, or the last."""
    lines = [line.strip() for line in f"{record['stdout']}\n{record['stderr']}".splitlines() if line.strip()]
    telling = next(filter(_TELLING.search, lines), None)
    said = telling or record["detail"] or (lines[-1] if lines else "it said nothing")
    return str(said)[:_DETAIL_CHARACTERS]


def _lacking(problem: Problem, suite: Suite, judge: Judge) -> Doubt:
    """Why this machine cannot judge the problem at all."""
    if problem.scorer == "parses":
        runtime = runtimes.declared().get(problem.language)
        known = runtime is not None and runtime.title in GRAMMARS
        return _NO_DOUBT if known else Doubt("no grammar", f"there is no grammar of {problem.language}")
    if problem.scorer == "execution":
        return _unready(problem.language, judge)
    if problem.scorer.startswith(COMMAND):
        return _unready(suite.scripts[problem.scorer.removeprefix(COMMAND)].language, judge)
    return _NO_DOUBT


def _unready(language: str, judge: Judge) -> Doubt:
    found = runtimes.readiness(language, judge.isolation)
    if found.state == "ready":
        return _NO_DOUBT
    return Doubt("not available", f"{language} is not available: {found.state}: {found.detail}")


def by_language(
    suite: Suite, problems: Mapping[str, Mapping[str, Any]], stamps: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """{runtime, version, detail, n, admitted, excluded, status}: `excluded` is {reason: n}, `detail` why a runtime is
    not ready, and status "admitted", "none admitted" or "not available".
    """
    asked = Counter(problem.language for problem in suite.problems)
    taken = Counter(entry["language"] for entry in problems.values() if entry["admitted"])
    return {
        language: {
            "runtime": _title(language),
            "version": ", ".join(starmap(_named, stamps[language]["versions"].items())),
            "detail": stamps[language]["detail"],
            "n": asked[language],
            "admitted": taken[language],
            "excluded": _reasons(problems, language),
            "status": _status(taken[language], stamps[language]["state"]),
        }
        for language in suite.languages
    }


def _named(tool: str, version: str) -> str:
    """Most tools say their own name beside the number."""
    return version if version.lower().startswith(tool.lower()) else f"{tool} {version}"


def _reasons(problems: Mapping[str, Mapping[str, Any]], language: str) -> dict[str, int]:
    refused = [entry for entry in problems.values() if entry["language"] == language and not entry["admitted"]]
    return dict(Counter(entry["reason"] for entry in refused).most_common())


def _title(language: str) -> str:
    runtime = runtimes.declared().get(language)
    return runtime.title if runtime else language


def _status(n_admitted: int, state: str) -> str:
    if n_admitted:
        return "admitted"
    return "none admitted" if state == "ready" else "not available"


def only(suite: Suite, admitted: Callable[[str], bool]) -> Suite:
    """The suite without the problems that were not admitted; its version is still of the whole."""
    problems = tuple(problem for problem in suite.problems if admitted(problem.task_id))
    return dataclasses.replace(suite, problems=problems)
