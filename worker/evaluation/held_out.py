"""Perplexity and bits per byte on held-out text, per split and language, on a bounded sample of documents.

Every token is predicted once: a document is read in windows of the model's context, each beginning with the last token
of the one before, the first with end of text, as in training. Bits per byte do not depend on the tokenizer, so versions
with different ones compare; perplexity is per token and does not.

The sample takes the same number of tokens from each language. A split's "all" weighs the languages by their bytes in
the split (stratified sampling), so it is the number for the split's own mix.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as pads

SPLITS = ("held_out", "held_out_source")
TOKENS_PER_SPLIT = 64 * 1024
MAX_DOCUMENT_CHARACTERS = 8192  # so that no single file fills the sample

Read = Callable[[str], tuple[float, int]]


@dataclass
class Tally:
    """Sums over a sample: natural-log loss, tokens and UTF-8 bytes predicted, documents read; and the split's own
    bytes.
    """

    loss: float = 0.0
    n_tokens: int = 0
    n_bytes: int = 0
    n_documents: int = 0
    split_bytes: int = 0

    def figures(self) -> dict[str, float | int]:
        return {
            "bits_per_byte": self.loss / math.log(2) / self.n_bytes,
            "perplexity": math.exp(self.loss / self.n_tokens),
            "n_tokens": self.n_tokens,
            "n_bytes": self.n_bytes,
            "n_documents": self.n_documents,
            "split_bytes": self.split_bytes,
        }


@dataclass(frozen=True)
class Chosen:
    """A document of the sample."""

    language: str
    content: str


def measure(dataset_dir: Path, read: Read, seed: int, budget: int = TOKENS_PER_SPLIT) -> dict[str, dict[str, Any]]:
    """Figures by split and language, with "all" for each split; splits without documents are left out.

    `read` gives a text's total loss in nats and its number of predicted tokens.
    """
    table = pads.dataset(dataset_dir / "data", format="parquet")
    measured = {split: _measure_split(table, split, read, seed, budget) for split in SPLITS}
    return {split: figures for split, figures in measured.items() if figures}


def _measure_split(table: pads.Dataset, split: str, read: Read, seed: int, budget: int) -> dict[str, Any]:
    sizes = _sizes(table, split)
    tallies = {}
    for language in sorted(sizes):
        share = max(budget // len(sizes), 1)
        ids = _order(sizes[language], seed, share)
        tally = Tally(split_bytes=sum(sizes[language].values()))
        for document in _documents(table, split, ids):
            if tally.n_tokens >= share:
                break
            _add(tally, document, read)
        if tally.n_tokens:
            tallies[language] = tally
    figures: dict[str, Any] = {language: tally.figures() for language, tally in tallies.items()}
    return {"all": _weighed(list(tallies.values())), **figures} if tallies else {}


def _sizes(table: pads.Dataset, split: str) -> Mapping[str, dict[str, int]]:
    """Bytes of each document, by language and id."""
    sizes: dict[str, dict[str, int]] = defaultdict(dict)
    columns = {"id": pc.field("id"), "language": pc.field("language"), "size": pc.binary_length(pc.field("content"))}
    for batch in table.to_batches(columns=columns, filter=pc.field("split") == split):
        for row in batch.to_pylist():
            if row["size"]:
                sizes[row["language"]][row["id"]] = row["size"]
    return sizes


def _order(sizes: Mapping[str, int], seed: int, n_tokens: int) -> list[str]:
    """Ids in the order of their hash with the seed, enough of them for `n_tokens` at up to 8 bytes a token."""
    ordered = sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
    chosen, n_bytes = [], 0
    for name in ordered:
        if n_bytes > 8 * n_tokens:
            break
        chosen.append(name)
        n_bytes += min(sizes[name], MAX_DOCUMENT_CHARACTERS)
    return chosen


def _documents(table: pads.Dataset, split: str, ids: Sequence[str]) -> Iterator[Chosen]:
    """The documents of `ids`, in that order."""
    rows = table.to_table(
        columns=["id", "language", "content"], filter=(pc.field("split") == split) & pc.field("id").isin(list(ids))
    ).to_pylist()
    by_id = {row["id"]: row for row in rows}
    for name in ids:
        yield Chosen(by_id[name]["language"], by_id[name]["content"])


def _add(tally: Tally, document: Chosen, read: Read) -> None:
    text = document.content[:MAX_DOCUMENT_CHARACTERS]
    loss, n_tokens = read(text)
    tally.loss += loss
    tally.n_tokens += n_tokens
    tally.n_bytes += len(text.encode("utf-8", "surrogatepass"))
    tally.n_documents += 1


def _weighed(tallies: Sequence[Tally]) -> dict[str, float | int]:
    """The split's own mix: each language's loss and tokens per byte, times its bytes in the split."""
    loss = sum(tally.loss / tally.n_bytes * tally.split_bytes for tally in tallies)
    tokens = sum(tally.n_tokens / tally.n_bytes * tally.split_bytes for tally in tallies)
    split_bytes = sum(tally.split_bytes for tally in tallies)
    return {
        "bits_per_byte": loss / math.log(2) / split_bytes,
        "perplexity": math.exp(loss / tokens),
        "n_tokens": sum(tally.n_tokens for tally in tallies),
        "n_bytes": sum(tally.n_bytes for tally in tallies),
        "n_documents": sum(tally.n_documents for tally in tallies),
        "split_bytes": split_bytes,
    }
