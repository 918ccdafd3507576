"""Steps over documents that deduplication left: the parse check, which costs as much as all before it, and the draw.

The draw is GPT-3's (Brown et al. 2020, appendix A): a document of score s stays if a Pareto-distributed number with the
recipe's exponent is above 1 - s, so that a few of low score stay whatever the exponent. The number is a hash of the id,
not a generator's: the same document is drawn the same way in every version.

The score is the mean of five signs, each from 0 to 1, that need no model: comments as SantaCoder found to help (their
share between 1 and 80 % of lines), few repeated lines (Gopher, Rae et al. 2021: 30 % are too many), lines of a width
that people read, enough letters, and more than a handful of lines.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.data.comments import comment_share
from worker.data.documents import hash_share
from worker.data.kernels import kernel
from worker.data.lines import NEWLINE, Bytes, Ints, buffer_of, measure
from worker.data.parse_process import error_share
from worker.data.steps.judged import Judged, Parameters, judged
from worker.data.syntax import GRAMMARS, MAX_ERROR_SHARE, TooComplex

Floats = npt.NDArray[np.float64]
REPEATED_TOO_MANY = 0.3
READABLE_MEAN_LINE = (8.0, 60.0)  # characters
LETTERS_ENOUGH, LINES_ENOUGH = 0.45, 10
FEW_COMMENTS, MANY_COMMENTS = 0.01, 0.8


def quality(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """The draw by score, then the share of each language that is to be thinned out."""
    exponent, shares = parameters["exponent"], parameters["shares"]
    if exponent == 0 and not shares:
        return judged(batch, [None] * len(batch))
    scores = score(batch["content"], batch["language"])
    reasons: list[str | None] = [None] * len(batch)
    for row, (name, language) in enumerate(zip(batch["id"].to_pylist(), batch["language"].to_pylist(), strict=True)):
        if exponent and not is_drawn(name, float(scores[row]), exponent):
            reasons[row] = "low-quality"
        elif hash_share(0, "thin out", name) >= shares.get(language, 1.0):
            reasons[row] = "thinned-out"
    measured = [score if reason == "low-quality" else None for score, reason in zip(scores, reasons, strict=True)]
    return judged(batch, reasons, measured)


def is_drawn(document: str, score: float, exponent: float) -> bool:
    """numpy's pareto (Lomax) by inversion: P(x > 1 - s) = (2 - s) ^ -exponent."""
    return hash_share(0, "quality", document) < (2.0 - score) ** -exponent


def score(content: pa.Array, languages: pa.Array) -> Floats:
    """0 to 1 for each document."""
    measures = measure(content)
    comments = comment_share(content, languages)
    repeated = repeated_share(content)
    low, high = READABLE_MEAN_LINE
    signs = [
        np.where(np.isnan(comments), 1.0, (comments >= FEW_COMMENTS) & (comments <= MANY_COMMENTS)),
        np.clip(1.0 - repeated / REPEATED_TOO_MANY, 0.0, 1.0),
        np.clip(np.minimum(measures.mean_line / low, high / np.maximum(measures.mean_line, 1.0)), 0.0, 1.0),
        np.clip(measures.alphabetic_share / LETTERS_ENOUGH, 0.0, 1.0),
        np.clip(measures.n_lines / LINES_ENOUGH, 0.0, 1.0),
    ]
    return np.asarray(np.mean(signs, axis=0), np.float64)


def repeated_share(content: pa.Array) -> Floats:
    """Of a document's lines with five characters and more, the share that stood in it before."""
    data, offsets = buffer_of(content)
    counts = np.zeros((2, len(content)), np.int64)
    _count_repeated(data, offsets, counts)
    return np.asarray(counts[1] / np.maximum(counts[0], 1), np.float64)


@kernel
def _count_repeated(data: Bytes, offsets: Ints, counts: Ints) -> None:
    """counts[2, n]: lines, and those whose hash (FNV-1a over the line without its indent) came before."""
    for row in range(len(offsets) - 1):
        hashes = np.empty((offsets[row + 1] - offsets[row]) // 6 + 2, np.uint64)
        n_lines, hashed, length = 0, np.uint64(0xCBF29CE484222325), 0
        for at in range(offsets[row], offsets[row + 1] + 1):
            ends = at == offsets[row + 1] or data[at] == NEWLINE
            if ends and length >= 5:
                hashes[n_lines] = hashed
                n_lines += 1
            if ends:
                hashed, length = np.uint64(0xCBF29CE484222325), 0
            elif length > 0 or (data[at] != 32 and data[at] != 9):
                hashed = (hashed ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
                length += 1
        found = np.sort(hashes[:n_lines])
        repeated = 0
        for line in range(1, n_lines):
            repeated += found[line] == found[line - 1]
        counts[0, row], counts[1, row] = n_lines, repeated


def parse(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """The share of a file within syntax errors, against its language's bound; languages without a grammar go on."""
    asked, bounds = frozenset(parameters["languages"]), {**MAX_ERROR_SHARE, **parameters["max_error"]}
    reasons: list[str | None] = [None] * len(batch)
    measured: list[float | None] = [None] * len(batch)
    details: list[str | None] = [None] * len(batch)
    contents = batch["content"]
    for row, language in enumerate(batch["language"].to_pylist()):
        if language not in GRAMMARS or (asked and language not in asked):
            continue
        try:
            share = error_share(contents[row].as_buffer().to_pybytes(), language)
        except TooComplex as refused:
            reasons[row], details[row] = "too-complex", str(refused)
            continue
        if share is not None and share > bounds[language]:
            reasons[row], measured[row] = "does-not-parse", share
    return judged(batch, reasons, measured, detail=details)
