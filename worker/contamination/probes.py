"""What to look for of each problem, and the n-grams by which a document that has it is noticed.

    prompt      the words of its comments and docstrings, in WORDS
    reference   its code with the right completion in place, in CODE and, if long enough, in SHAPE

Of the reference only n-grams that touch the completion count: a document with the same signature, imports or helper
functions and another body shares none. For the same reason a prompt without comments is no probe of its own, since the
reference has its code. An n-gram in more than BOILERPLATE_SHARE of a suite's problems (licences, "Write a function to")
is boilerplate and does not count either.

A probe of fewer than n tokens is one n-gram of its own length: it is found where all of it stands. One of fewer than
`min_tokens` is not looked for: BigCode's decontamination had to except such by hand ("return x + y", "return n**2"),
since any large body of code has them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.contamination import grams
from worker.contamination.grams import Hashes, Table, Tokens
from worker.data.comments import COMMENT, kinds_of_bytes
from worker.data.languages import named
from worker.evaluation.runtimes import declared
from worker.evaluation.suites import Problem
from worker.specs import FindContamination

PROMPT, REFERENCE = "prompt", "reference"
WORDS, CODE, SHAPE = "words", "code", "shape"
VIEWS = (WORDS, CODE, SHAPE)
BOILERPLATE_SHARE, BOILERPLATE_PROBLEMS = 0.2, 5
_LINGUIST = {"bash": "Shell"}  # where a runtime's title is not Linguist's name


@dataclass(frozen=True)
class Probe:
    """One view of a part of a problem.

    text: bytes `start` to `end` of `whole` are what is compared, tokens are of it alone; `body`: which of the tokens
    count (of a reference those of the completion). grams: uint64, distinct, `n` tokens each, at `places` in the tokens.
    """

    task_id: str
    part: str
    view: str
    language: str
    whole: str
    start: int
    end: int
    body: tuple[int, int]
    n: int
    grams: Hashes
    places: npt.NDArray[np.int64]

    @property
    def text(self) -> str:
        return self.whole.encode()[self.start : self.end].decode("utf-8", "replace")

    @cached_property
    def tokens(self) -> Tokens:
        found = tokens_of(self.whole, self.language, self.view)
        return found[(found.starts >= self.start) & (found.ends <= self.end)]


@dataclass(frozen=True)
class View:
    """The n-grams of all probes of one view. Probes of n-gram g are `owners[firsts[g] : firsts[g + 1]]`."""

    probes: tuple[Probe, ...]
    grams: Hashes
    table: Table
    owners: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]

    @cached_property
    def n_grams(self) -> npt.NDArray[np.int64]:
        return np.array([len(probe.grams) for probe in self.probes], np.int64)


def probes_of(problems: Sequence[Problem], asked: FindContamination) -> list[Probe]:
    """Those that can be looked for, in the order of problems."""
    found = [probe for problem in problems for probe in _of_problem(problem, asked)]
    common = _boilerplate(found, len(problems))
    thinned = [_without(probe, common) for probe in found]
    return [probe for probe in thinned if len(probe.grams)]


def view_of(probes: Sequence[Probe], view: str) -> View:
    """The index of one view."""
    mine = tuple(probe for probe in probes if probe.view == view)
    all_grams = np.concatenate([np.zeros(0, np.uint64), *(probe.grams for probe in mine)])
    of_probe = np.repeat(np.arange(len(mine)), [len(probe.grams) for probe in mine])
    distinct, number = np.unique(all_grams, return_inverse=True)
    owners = of_probe[np.argsort(number, kind="stable")]
    firsts = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=len(distinct)))])
    return View(mine, distinct, grams.table(distinct, [probe.n for probe in mine]), owners, firsts)


def tokens_of(text: str, language: str, view: str) -> Tokens:
    """The tokens of a text as `view` has them (of SHAPE: CODE's)."""
    return grams.words(text.encode()) if view == WORDS else grams.code(text.encode(), _kinds(text, language))


def language_of(problem: Problem) -> str:
    """Linguist's name of a problem's language; "" where that is not known."""
    runtime = declared().get(problem.language)
    name = _LINGUIST.get(problem.language) or (runtime.title if runtime else problem.language)
    return named(name) or ""


def _of_problem(problem: Problem, asked: FindContamination) -> list[Probe]:
    language = language_of(problem)
    found = [_prompt(problem, language, asked)]
    if problem.reference is not None:
        found += [
            _reference(problem, language, CODE, asked.n_gram, asked.min_tokens),
            _reference(problem, language, SHAPE, asked.renamed_n_gram, asked.renamed_n_gram),
        ]
    return [probe for probe in found if probe is not None]


def _prompt(problem: Problem, language: str, asked: FindContamination) -> Probe | None:
    """From the first word of its comments to the last: examples between them are a part of the task."""
    text = problem.text("")
    words = grams.words(text.encode())
    said = np.flatnonzero(_kinds(text, language)[words.starts] == COMMENT)
    if not len(said):
        return None
    first, last = said[0], said[-1] + 1
    if last - first < asked.min_tokens:
        return None
    tokens = words[first:last]
    return _probe(problem, PROMPT, WORDS, language, text, tokens, (0, last - first), min(asked.n_gram, last - first))


def _reference(problem: Problem, language: str, view: str, n: int, least: int) -> Probe | None:
    """The completion with up to n tokens on either side, of which the signature is the most."""
    whole = problem.text(problem.reference or "")
    start = len(problem.prompt.encode())
    end = start + len((problem.reference or "").encode())
    tokens = tokens_of(whole, language, view)
    inside = np.flatnonzero((tokens.ends > start) & (tokens.starts < end))
    if not len(inside):
        return None
    first, last = max(0, inside[0] - n), min(len(tokens), inside[-1] + 1 + n)
    enough = last - first if view == CODE else len(inside)
    if enough < least:
        return None
    body = (int(inside[0] - first), int(inside[-1] + 1 - first))
    return _probe(problem, REFERENCE, view, language, whole, tokens[first:last], body, min(n, last - first))


def _probe(
    problem: Problem, part: str, view: str, language: str, whole: str, tokens: Tokens, body: tuple[int, int], n: int
) -> Probe:
    all_grams = grams.shape_grams(tokens, n) if view == SHAPE else grams.sequence_grams(tokens, n)
    touching = np.arange(len(all_grams))
    touching = touching[(touching + n > body[0]) & (touching < body[1])]
    distinct, first = np.unique(all_grams[touching], return_index=True)
    start, end = int(tokens.starts[0]), int(tokens.ends[-1])
    return Probe(problem.task_id, part, view, language, whole, start, end, body, n, distinct, touching[first])


def _boilerplate(probes: Sequence[Probe], n_problems: int) -> set[tuple[str, int]]:
    """(view, n-gram) of what many of the problems have."""
    counted: Counter[tuple[str, int]] = Counter()
    for probe in probes:
        counted.update((probe.view, gram) for gram in probe.grams.tolist())
    most = max(BOILERPLATE_PROBLEMS, BOILERPLATE_SHARE * n_problems)
    return {key for key, n in counted.items() if n > most}


def _without(probe: Probe, common: set[tuple[str, int]]) -> Probe:
    kept = np.array([(probe.view, gram) not in common for gram in probe.grams.tolist()], bool)
    return dataclasses.replace(probe, grams=probe.grams[kept], places=probe.places[kept])


def _kinds(text: str, language: str) -> Any:
    return kinds_of_bytes(pa.array([text], pa.large_string()), pa.array([language or None], pa.string()))
