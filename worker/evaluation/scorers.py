"""How a completion is judged: by running its program, or by what its text is. A problem's `scorer` says which.

    execution          the program with its tests, in the sandbox
    exact_match        the reference's text, both without white space around them (SantaCoder's FIM metric)
    edit_similarity    1 - Levenshtein distance / the longer length, of the same texts; passed when they are equal
    parses             no more of the code within syntax errors than with the reference in its place (none without one)
    command:NAME       a script of the suite's, run in the sandbox beside sample.json, which has task_id, language,
                       prompt, suffix, reference and completion; it ends well, or an assertion of its own fails.
                       A last line `score: X`, X from 0 to 1, is kept as the score; without one it is 1 or 0

Every judgement is a sandbox's Verdict and a score from 0 to 1. What counts in pass@k is the outcome alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rapidfuzz.distance import Levenshtein

from worker.data.parse_process import error_share
from worker.data.syntax import TooComplex
from worker.evaluation import runtimes
from worker.evaluation.suites import Problem, Script
from worker.evaluation.suites.problem import COMMAND
from worker.sandbox import Isolation, Limits, Program, Verdict, run

WALL_PER_CPU_SECOND = 4.0  # the clock only ends the wait; processor time judges
SAMPLE_FILE = "sample.json"
_SCORE = re.compile(r"^score: (\d+(?:\.\d+)?)\s*\Z", re.MULTILINE)


@dataclass(frozen=True)
class Judgement:
    """`program` is the SHA-256 of what was judged, in hex."""

    verdict: Verdict
    score: float
    program: str

    def to_json(self) -> dict[str, Any]:
        return {"program": self.program, "score": self.score, **dataclasses.asdict(self.verdict)}


@dataclass(frozen=True)
class Judge:
    """Judges completions of one suite; safe in threads. Raises SandboxUnavailable and runtimes.RuntimeMissing."""

    isolation: Isolation
    limits: Limits
    scripts: Mapping[str, Script]

    def __call__(self, problem: Problem, completion: str) -> Judgement:
        if problem.scorer == "execution":
            return self._executed(problem, completion)
        if problem.scorer.startswith(COMMAND):
            return self._by_script(problem, completion, self.scripts[problem.scorer.removeprefix(COMMAND)])
        return BY_TEXT[problem.scorer](problem, completion)

    def _executed(self, problem: Problem, completion: str) -> Judgement:
        source = problem.program(completion)
        program = runtimes.program(source, problem.language, self.isolation)
        verdict = run(program, limits_of(problem, self.limits), self.isolation)
        return _judgement(verdict, float(verdict.outcome == "passed"), source)

    def _by_script(self, problem: Problem, completion: str, script: Script) -> Judgement:
        names = ("task_id", "language", "prompt", "suffix", "reference")
        sample = json.dumps({**{name: getattr(problem, name) for name in names}, "completion": completion})
        program = _with_file(runtimes.program(script.source, script.language, self.isolation), SAMPLE_FILE, sample)
        verdict = run(program, limits_of(problem, self.limits), self.isolation)
        found = _SCORE.search(verdict.stdout)
        passed = verdict.outcome == "passed"
        score = min(1.0, float(found[1])) if found and verdict.outcome in ("passed", "failed") else float(passed)
        return _judgement(verdict, score, f"{script.source}\0{sample}")


def limits_for(timeout_seconds: float) -> Limits:
    """The sandbox's limits for a suite's timeout, which is of processor time: a busy machine must not fail a model."""
    return Limits(cpu_seconds=timeout_seconds, wall_seconds=WALL_PER_CPU_SECOND * timeout_seconds)


def limits_of(problem: Problem, limits: Limits) -> Limits:
    """The suite's, but for a problem that brings a timeout of its own."""
    if problem.timeout_seconds is None:
        return limits
    own = limits_for(problem.timeout_seconds)
    return dataclasses.replace(limits, cpu_seconds=own.cpu_seconds, wall_seconds=own.wall_seconds)


def exact_match(problem: Problem, completion: str) -> float:
    """1 or 0."""
    return float(completion.strip() == (problem.reference or "").strip())


def edit_similarity(problem: Problem, completion: str) -> float:
    """0 to 1; two empty texts are alike."""
    return Levenshtein.normalized_similarity(completion.strip(), (problem.reference or "").strip())


def parses(problem: Problem, completion: str) -> float:
    """1 or 0. Raises ValueError for a language without a grammar; such problems are not admitted."""
    allowed = 0.0 if problem.reference is None else _error_share(problem, problem.reference)
    return float(bool(completion.strip()) and _error_share(problem, completion) <= allowed)


def over_generates(problem: Problem, completion: str) -> bool:
    """Whether an infilling goes on after it should have ended: past the whole reference, or into the suffix.

    The suffix's first line counts when it has a letter and the reference does not have it too.
    """
    text, reference = completion.strip(), (problem.reference or "").strip()
    if len(text) > len(reference) and reference and text.startswith(reference):
        return True
    first = next((line.strip() for line in problem.suffix.splitlines() if line.strip()), "")
    lines = [line.strip() for line in text.splitlines()]
    return any(map(str.isalpha, first)) and first in lines and first not in map(str.strip, reference.splitlines())


def _error_share(problem: Problem, completion: str) -> float:
    runtime = runtimes.declared().get(problem.language)
    title = runtime.title if runtime else problem.language
    try:
        share = error_share(problem.text(completion).encode("utf-8", "surrogatepass"), title)
    except TooComplex:
        return 1.0
    if share is None:
        raise ValueError(f"there is no grammar of {title}")
    return share


def _by_text(score: Callable[[Problem, str], float]) -> Callable[[Problem, str], Judgement]:
    def judge(problem: Problem, completion: str) -> Judgement:
        value = score(problem, completion)
        return _judgement(Verdict("passed" if value == 1.0 else "failed"), value, problem.text(completion))

    return judge


BY_TEXT: Mapping[str, Callable[[Problem, str], Judgement]] = {
    "exact_match": _by_text(exact_match),
    "edit_similarity": _by_text(edit_similarity),
    "parses": _by_text(parses),
}


def _judgement(verdict: Verdict, score: float, text: str) -> Judgement:
    return Judgement(verdict, score, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest())


def _with_file(program: Program, name: str, text: str) -> Program:
    """The same with one more file in its folder. Python that runs by itself has no toolchain, so it writes its own."""
    if program.toolchain is None:
        begin = f"import pathlib as _pathlib; _pathlib.Path({name!r}).write_text({text!r}); del _pathlib\n"
        return dataclasses.replace(program, source=begin + program.source)
    files = (*program.toolchain.files, (name, text))
    return dataclasses.replace(program, toolchain=dataclasses.replace(program.toolchain, files=files))
