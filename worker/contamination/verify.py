"""Whether a document that shares n-grams with a problem holds it: the place, how alike, and how it was changed.

The probe is laid on the document where the most of its n-grams lie close together, and the two runs of tokens are
compared: `overlap` is the share of the probe's tokens that the document has in order (longest common subsequence),
similarity 2 LCS / (length + length), which is difflib's and Cosmopedia's ratio without its junk. Of a reference the
completion must be as alike as the whole: a document with the same signature around another body is none.

    verbatim      the document has the text, character by character
    reformatted   at least SAME of the tokens, of a short one all: white space, comments, case, quotes or line breaks differ
    renamed       at least SAME with names and values left out, and names that stand for each other everywhere
    partial       at least `least_similarity`: copied and edited, or only a part of it

Where these come from: candidates by n-gram, then a ratio of the two texts, is how Cosmopedia was decontaminated (10-grams,
difflib ratio above 0.5). With our n-grams and a bound of 0.5, code of one author was told that merely has the same frame;
at 0.7 what is told has been copied. Riddell et al. 2024 ("Quantifying contamination in evaluating code generation
capabilities") add to Levenshtein similarity that of syntax trees by Dolos, which sees renamed copies; so do SHAPE and
`ast_similarity`, which has to be at least LEAST_AST for a renamed copy where the language has a grammar.

It cannot see a translation to another language, another algorithm for the same task, or a paraphrased docstring.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Indel, LCSseq

from worker.contamination import grams
from worker.contamination.grams import NAME, Tokens
from worker.contamination.probes import CODE, PROMPT, SHAPE, Probe
from worker.data.parse_process import node_types
from worker.data.syntax import TooComplex

VERBATIM, REFORMATTED, RENAMED, PARTIAL = "verbatim", "reformatted", "renamed", "partial"
KINDS = (VERBATIM, REFORMATTED, RENAMED, PARTIAL)
SAME, LEAST_AST = 0.9, 0.8
# Of fewer tokens all must be there: "return a - b" is three quarters of "return a + b".
LEAST_PARTIAL_TOKENS = 13
EXCERPT_LINES = 120


@dataclass(frozen=True)
class Match:
    """One document that has a part of a problem; lines from 1, both included; shares 0 to 1."""

    kind: str
    similarity: float
    overlap: float
    ast_similarity: float | None
    n_shared: int
    line_from: int
    line_to: int
    excerpt: str


@dataclass(frozen=True)
class Document:
    """A row of a dataset, and its tokens by view."""

    content: str
    language: str
    tokens: Mapping[str, Tokens]


@dataclass(frozen=True)
class _Span:
    """The probe's place in a document: its tokens, the bytes they cover, and how alike the two are."""

    tokens: Tokens
    start: int
    end: int
    similarity: float
    overlap: float


def verify(
    probe: Probe, document: Document, ends: npt.NDArray[np.int64], places: npt.NDArray[np.int64], least: float
) -> Match | None:
    """None if the document does not hold the probe.

    ends: of each hit the place of its last token in the document, in order; places: of its first in the probe.
    """
    start, end = _window(probe, ends, places)
    tokens = document.tokens[CODE if probe.view == SHAPE else probe.view]
    span = _compared(probe, tokens, start, min(end, len(tokens)))
    kind = _kind(probe, span, document, least)
    if kind is None:
        return None
    alike = _ast_similarity(probe, document, span)
    if kind == RENAMED and alike is not None and alike < LEAST_AST:
        return None
    line_from, line_to, excerpt = _lines(document.content, span)
    shares = (round(span.similarity, 4), round(span.overlap, 4), None if alike is None else round(alike, 4))
    return Match(kind, *shares, len(np.unique(places)), line_from, line_to, excerpt)


def _kind(probe: Probe, span: _Span, document: Document, least: float) -> str | None:
    if probe.view == SHAPE:
        return RENAMED if span.similarity >= SAME else None
    is_long = probe.body[1] - probe.body[0] >= LEAST_PARTIAL_TOKENS
    if span.similarity >= (SAME if is_long else 1.0):
        return VERBATIM if probe.text in document.content else REFORMATTED
    return PARTIAL if is_long and span.similarity >= least else None


def _window(probe: Probe, ends: npt.NDArray[np.int64], places: npt.NDArray[np.int64]) -> tuple[int, int]:
    """Tokens of the document: where most distinct n-grams lie within the probe's length and a quarter, laid out by the
    first and the last of them.
    """
    length = len(probe.tokens)
    room, seen = length + length // 4, Counter[int]()
    best, found, first = 0, (0, 0), 0
    for last in range(len(ends)):
        seen[int(places[last])] += 1
        while ends[last] - ends[first] > room:
            seen[int(places[first])] -= 1
            seen += Counter()  # drops what is 0
            first += 1
        if len(seen) > best:
            best, found = len(seen), (first, last)
    one, other = found
    start = int(ends[one]) - probe.n + 1 - int(places[one])
    end = int(ends[other]) + length - int(places[other]) - probe.n + 1
    return max(0, start), max(end, int(ends[other]) + 1)


def _compared(probe: Probe, tokens: Tokens, start: int, end: int) -> _Span:
    ours, theirs = probe.tokens, tokens[start:end]
    if probe.view == SHAPE:
        one, two = grams.abstracted(ours).tolist(), grams.abstracted(theirs).tolist()
    else:
        one, two = ours.hashes.tolist(), theirs.hashes.tolist()
    pairs = _aligned(one, two)
    whole = 2 * len(pairs) / max(1, len(one) + len(two))
    in_body = sum(probe.body[0] <= place < probe.body[1] for place, _ in pairs)
    of_body = in_body / (probe.body[1] - probe.body[0])
    similarity = min(whole, of_body)
    if probe.view == SHAPE:
        similarity *= _consistency(ours, theirs, pairs)
    where = (int(theirs.starts[0]), int(theirs.ends[-1]))
    return _Span(theirs, *where, similarity, len(pairs) / max(1, len(one)))


def _aligned(one: Sequence[int], two: Sequence[int]) -> list[tuple[int, int]]:
    """Places that a longest common subsequence pairs, in order."""
    found = LCSseq.opcodes(one, two)
    return [
        (block.src_start + k, block.dest_start + k)
        for block in found
        if block.tag == "equal"
        for k in range(block.src_end - block.src_start)
    ]


def _consistency(ours: Tokens, theirs: Tokens, pairs: Sequence[tuple[int, int]]) -> float:
    """Share of paired names that keep to the most frequent partner of both sides; 1 where each stands for one other."""
    names = [
        (int(ours.hashes[one]), int(theirs.hashes[two]))
        for one, two in pairs
        if ours.kinds[one] == NAME and theirs.kinds[two] == NAME
    ]
    if not names:
        return 1.0
    counts = Counter(names)
    forth: dict[int, int] = {}
    back: dict[int, int] = {}
    kept = 0
    for (one, two), n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if forth.setdefault(one, two) == two and back.setdefault(two, one) == one:
            kept += n
    return kept / len(names)


def _ast_similarity(probe: Probe, document: Document, span: _Span) -> float | None:
    """Of the syntax trees of both; None for words, another language, no grammar, or what the parser gives up."""
    if probe.part == PROMPT or document.language != probe.language:
        return None
    theirs = document.content.encode()[span.start : span.end].decode("utf-8", "replace")
    try:
        one = node_types(_dedented(probe.text), probe.language)
        two = node_types(_dedented(theirs), probe.language)
    except TooComplex:
        return None
    return None if one is None or two is None else float(Indel.normalized_similarity(one, two))


def _dedented(text: str) -> bytes:
    """The first line has lost its margin with the text before it, so the others lose theirs by themselves."""
    head, newline, rest = text.partition("\n")
    return f"{head}{newline}{rest if _is_head(head) else textwrap.dedent(rest)}".encode()


def _is_head(line: str) -> bool:
    """A line that opens a block keeps what is below it indented."""
    return line.rstrip().endswith((":", "{", "("))


def _lines(content: str, span: _Span) -> tuple[int, int, str]:
    raw = content.encode()
    line_from = raw.count(b"\n", 0, span.start) + 1
    line_to = raw.count(b"\n", 0, max(span.start, span.end - 1)) + 1
    shown = content.split("\n")[line_from - 1 : line_to][:EXCERPT_LINES]
    return line_from, line_to, "\n".join(shown)
