"""Fertility: UTF-8 bytes per token on text the vocabulary was not learnt from, by language and over all.

More is shorter sequences. Figures of different datasets do not compare: they depend on the text as much as on the
vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from worker.data.documents import HELD_OUT, HELD_OUT_SOURCE
from worker.tokenizer import text
from worker.tokenizer.engines import Encoder
from worker.tokenizer.vocabulary import Counts

BYTES_PER_LANGUAGE = 2_000_000
SPLITS = (HELD_OUT, HELD_OUT_SOURCE)
NOTHING: dict[str, Any] = {
    split: {"bytes": 0, "tokens": 0, "bytes_per_token": None, "languages": {}} for split in SPLITS
}


def measure(encoder: Encoder, data: Path, seed: int, size: int) -> tuple[dict[str, Any], Counts]:
    """({split: {"bytes", "tokens", "bytes_per_token", "languages": {...}}}, occurrences of each id below `size`).

    No text, no figure: null.
    """
    counts = np.zeros(size, np.int64)
    return {split: _measure_split(encoder, data, split, seed, counts) for split in SPLITS}, counts


def _measure_split(encoder: Encoder, data: Path, split: str, seed: int, counts: Counts) -> dict[str, Any]:
    languages = {}
    for language in text.languages(data, split):
        sample = text.sample(data, split, BYTES_PER_LANGUAGE, seed, language)
        n_tokens = 0
        for batch in text.read(data, sample):
            ids = encoder.encode(batch).ids
            counts += np.bincount(ids, minlength=len(counts))
            n_tokens += len(ids)
        languages[language] = _row(sample.n_bytes, n_tokens)
    total = _row(sum(row["bytes"] for row in languages.values()), sum(row["tokens"] for row in languages.values()))
    return {**total, "languages": languages}


def _row(n_bytes: int, n_tokens: int) -> dict[str, Any]:
    return {"bytes": n_bytes, "tokens": n_tokens, "bytes_per_token": round(n_bytes / n_tokens, 4) if n_tokens else None}
