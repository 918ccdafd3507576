"""Fertility: UTF-8 bytes per token on text the vocabulary was not learnt from, by language and over all.

More is shorter sequences. Figures of different datasets do not compare: they depend on the text as much as on the
vocabulary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from worker.data.documents import HELD_OUT, HELD_OUT_SOURCE
from worker.tokenizer import text

BYTES_PER_LANGUAGE = 2_000_000


def measure(tokenizer: Tokenizer, data: Path, seed: int) -> dict[str, Any]:
    """{split: {"bytes", "tokens", "bytes_per_token", "languages": {...}}}; no text, no figure: null."""
    return {split: _measure_split(tokenizer, data, split, seed) for split in (HELD_OUT, HELD_OUT_SOURCE)}


def _measure_split(tokenizer: Tokenizer, data: Path, split: str, seed: int) -> dict[str, Any]:
    languages = {}
    for language in text.languages(data, split):
        sample = text.sample(data, split, BYTES_PER_LANGUAGE, seed, language)
        batches = text.read(data, sample)
        n_tokens = sum(len(encoding.ids) for batch in batches for encoding in tokenizer.encode_batch_fast(batch))
        languages[language] = _row(sample.n_bytes, n_tokens)
    total = _row(sum(row["bytes"] for row in languages.values()), sum(row["tokens"] for row in languages.values()))
    return {**total, "languages": languages}


def _row(n_bytes: int, n_tokens: int) -> dict[str, Any]:
    return {"bytes": n_bytes, "tokens": n_tokens, "bytes_per_token": round(n_bytes / n_tokens, 4) if n_tokens else None}
