"""Every token with how often it occurs: `vocabulary.parquet`, what pages show of unused and under-trained tokens.

    id, text, n_bytes     `text` is as UTF-8, with \\xe6 and the like where a token is a part of a character
    special               is it an added token?
    sample, held_out      occurrences in the training sample (null: not trained here) and in both held-out splits
                          (null: there was no text to look at)
    reachable             does its own text encode to it alone? null where the text is not whole characters

A token that training hardly sees keeps a nearly random embedding and misbehaves when a prompt holds it; a token that no
text can reach is dead weight. The notions and the test for reachability: Land & Bartolo 2024, "Fishing for Magikarp".
Here counts stand for what that paper reads from trained weights, so a token can be judged before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from worker.data.documents import write_parquet
from worker.tokenizer.engines import Encoder
from worker.tokenizer.special import vocabulary_size
from worker.tokenizer.spelling import unspell

Counts = npt.NDArray[np.int64]
VOCABULARY = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("n_bytes", pa.int64(), nullable=False),
        pa.field("special", pa.bool_(), nullable=False),
        pa.field("sample", pa.int64()),
        pa.field("held_out", pa.int64(), nullable=False),
        pa.field("reachable", pa.bool_()),
    ]
)
_UNMEASURED = VOCABULARY.set(VOCABULARY.get_field_index("held_out"), pa.field("held_out", pa.int64()))
RARE = (10, 100)  # fewer occurrences in the sample than this are counted for the page


@dataclass(frozen=True)
class _Token:
    id: int
    raw: bytes
    special: bool


def count(encoder: Encoder, batches: Iterable[list[str]], size: int) -> Counts:
    """Occurrences of each id, (size,) int64."""
    counts = np.zeros(size, np.int64)
    for batch in batches:
        counts += np.bincount(encoder.encode(batch).ids, minlength=size)
    return counts


def table(tokenizer: Tokenizer, encoder: Encoder, sample: Counts | None, held_out: Counts | None) -> pa.Table:
    """All tokens, by id; ids that no token has are left out."""
    tokens = list(_tokens(tokenizer))
    ids = np.array([token.id for token in tokens], np.int64)
    columns = {
        "id": ids,
        "text": [token.raw.decode("utf-8", "backslashreplace") for token in tokens],
        "n_bytes": [len(token.raw) for token in tokens],
        "special": [token.special for token in tokens],
        "sample": [None] * len(tokens) if sample is None else sample[ids],
        "held_out": [None] * len(tokens) if held_out is None else held_out[ids],
        "reachable": _reachable(tokens, encoder),
    }
    schema = _UNMEASURED if held_out is None else VOCABULARY
    return pa.table({name: pa.array(columns[name], schema.field(name).type) for name in schema.names}, schema)


def write(made: pa.Table, folder: Path) -> None:
    write_parquet(made, folder / "vocabulary.parquet")


def account(made: pa.Table) -> dict[str, Any]:
    """What the tokenizer's page says in numbers; special tokens do not count."""
    rows = [row for row in made.to_pylist() if not row["special"]]
    seen = [row["sample"] for row in rows if row["sample"] is not None]
    held_out = [row["held_out"] for row in rows if row["held_out"] is not None]
    return {
        "tokens": len(rows),
        "never_in_held_out": sum(n == 0 for n in held_out) if held_out else None,
        "never_in_sample": sum(n == 0 for n in seen) if seen else None,
        "rare_in_sample": {str(limit): sum(n < limit for n in seen) for limit in RARE} if seen else None,
        "unreachable": sum(row["reachable"] is False for row in rows),
        "parts_of_characters": sum(row["reachable"] is None for row in rows),
    }


def _tokens(tokenizer: Tokenizer) -> Iterator[_Token]:
    added = tokenizer.get_added_tokens_decoder()
    for number in range(vocabulary_size(tokenizer)):
        token = tokenizer.id_to_token(number)
        if token is None:
            continue
        spelt = None if number in added else unspell(token)
        # What is in a vocabulary without being spelt as bytes are, no text can hold.
        yield _Token(number, token.encode() if spelt is None else spelt, number in added)


def _reachable(tokens: list[_Token], encoder: Encoder) -> list[bool | None]:
    texts = [None if token.special else _whole_text(token.raw) for token in tokens]
    known = [number for number, text in enumerate(texts) if text is not None]
    encoded = encoder.encode([texts[number] or "" for number in known]).each()
    reached: list[bool | None] = [None] * len(tokens)
    for number, ids in zip(known, encoded, strict=True):
        reached[number] = len(ids) == 1 and int(ids[0]) == tokens[number].id
    return reached


def _whole_text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
