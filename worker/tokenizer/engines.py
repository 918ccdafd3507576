"""Text to ids by the fastest engine that is known to give the same ids, with `tokenizers` as the reference.

gigatoken encodes about 20 times as many bytes per CPU-second as `tokenizers`. It is young, so three things hold: it is
used only for tokenizers of a kind that it knows by name (`why_not` says why another is not); whoever uses it compares
a sample with the reference (worker.tokenizer.equality); and its cache, which in 0.10.0 grows with every new word, is
thrown away with the object after RECYCLE_BYTES of text.

Text is read as text by both: the word "<|endoftext|>" in a source file is characters and ends nothing.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from worker.tokenizer.splitting import SCHEMES

Ids = npt.NDArray[np.uint32]
RECYCLE_BYTES = 64_000_000
REFERENCE = f"tokenizers {importlib.metadata.version('tokenizers')}"


@functools.cache
def gigatoken() -> ModuleType | None:
    """The module, or None on a machine that it has no wheel for (they are for x86-64 and aarch64)."""
    try:
        return importlib.import_module("gigatoken")
    except ModuleNotFoundError:
        return None


def fast_name() -> str:
    return f"gigatoken {importlib.metadata.version('gigatoken')}"


@dataclass(frozen=True)
class Encoded:
    """Texts as ids: all of them one after another, and how many belong to each text."""

    ids: Ids
    lengths: npt.NDArray[np.int64]

    def each(self) -> Iterator[Ids]:
        ends = np.cumsum(self.lengths)
        for end, length in zip(ends, self.lengths, strict=True):
            yield self.ids[end - length : end]


class Encoder:
    """Encodes with one tokenizer. `engine` names who does it; `note` says why it is not the fast one, or is empty."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.reference = reading_text(tokenizer)
        self.plain_json, self.composes = _as_plain(json.loads(tokenizer.to_str()))
        self.note = why_not(json.loads(tokenizer.to_str()))
        self.engine = REFERENCE if self.note else fast_name()
        self._fast: Any = None
        self._since_new = 0

    def encode(self, texts: Sequence[str]) -> Encoded:
        if self.note:
            return self.encode_by_reference(texts)
        if self.composes and not all(unicodedata.is_normalized("NFC", text) for text in texts):
            return self.encode_by_reference(texts)
        rows = self._fresh(sum(map(len, texts))).encode_batch(list(texts))
        return _flat(rows)

    def encode_by_reference(self, texts: Sequence[str]) -> Encoded:
        rows = [encoding.ids for encoding in self.reference.encode_batch_fast(list(texts), add_special_tokens=False)]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter((number for row in rows for number in row), np.uint32, int(lengths.sum()))
        return Encoded(ids, lengths)

    def _fresh(self, n_characters: int) -> Any:
        """gigatoken's tokenizer, a new one when the old one's cache may have become large."""
        self._since_new += n_characters
        if self._fast is None or self._since_new > RECYCLE_BYTES:
            module = gigatoken()
            assert module is not None, "why_not says so first"
            self._fast, self._since_new = module.Tokenizer.from_json(self.plain_json), n_characters
        return self._fast


def reading_text(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that takes special words for text."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.encode_special_tokens = True
    return copy


def why_not(raw: Mapping[str, Any]) -> str:
    """Why gigatoken is not used for the tokenizer of this tokenizer.json; "" when it is."""
    if gigatoken() is None:
        return "gigatoken has no wheel for this machine"
    model, normalizer = raw["model"], raw.get("normalizer")
    if model["type"] != "BPE" or model.get("byte_fallback") or model.get("dropout"):
        return f"gigatoken is not used for a {model['type']} model of this kind"
    if normalizer is not None and normalizer["type"] != "NFC":
        return f"gigatoken is not used with the normaliser {normalizer['type']}"
    # A pre-tokeniser that gigatoken does not know it either refuses or, without a Split, takes for GPT-2's in silence.
    if not any(scheme.is_of(raw.get("pre_tokenizer")) for scheme in SCHEMES.values()):
        return "gigatoken does not know this pre-tokeniser"
    return ""


def _as_plain(raw: dict[str, Any]) -> tuple[str, bool]:
    """(tokenizer.json without special tokens and normaliser, does it compose characters?).

    A special token that is not in the list cannot be found in a text, which is what `encode_special_tokens` means. Text
    that is in Unicode's composed form already is what NFC leaves alone; other text goes to the reference.
    """
    kept = [token for token in raw.get("added_tokens", []) if not token["special"]]
    return json.dumps({**raw, "added_tokens": kept, "normalizer": None}), raw.get("normalizer") is not None


def _flat(rows: Any) -> Encoded:
    import awkward  # comes with gigatoken, whose results are its arrays

    lengths = np.asarray(awkward.to_numpy(awkward.num(rows)), np.int64)
    return Encoded(np.asarray(awkward.to_numpy(awkward.flatten(rows)), np.uint32), lengths)
