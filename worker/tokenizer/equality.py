"""Is the fast engine right? Its merges and its ids against those of `tokenizers`, on a sample, every time it is used.

A difference is a refusal (tokenizer:app:engines-differ), never a quiet change of engine: a vocabulary or shards made
with two readings of the same text would be wrong in a way that no later step could see.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from worker.failures import StageFailure
from worker.tokenizer import engines, merges
from worker.tokenizer.splitting import LEARNT_FAST

SAMPLE_CHARACTERS = 1_000_000
# Enough merges to meet ties and tokens that two pairs make; the reference takes half a second for them.
MERGES_COMPARED = 2_000
# What engines have disagreed about: special words, blanks at ends, controls, scripts, digits of other scripts, nothing.
AWKWARD = (
    "",
    " ",
    "\n",
    "\t\t x",
    "a<|endoftext|>b <|fim_prefix|>",
    "x  \n\n  y\r\n\x00\x7f",
    "don't DON'T 'll 're",
    "123456 १२३ ½ x²",
    "naïve e\u0301 日本語 \U0001f600\u200d",
    "\ufeff\u2028\u00a0 -_.;,",
    "          )",
    "а\u0301б",
)


def first_characters(batches: Iterator[list[str]], limit: int = SAMPLE_CHARACTERS) -> list[str]:
    """Whole texts from the beginning until they hold `limit` characters; the one that passes it is cut."""
    taken: list[str] = []
    room = limit
    for text in itertools.chain.from_iterable(batches):
        taken.append(text[:room])
        room -= len(text)
        if room <= 0:
            break
    return taken


def check_merges(texts: Sequence[str], size: int, specials: Sequence[str], work: Path) -> int:
    """Learn merges of `texts` with both engines; returns how many were compared."""
    wanted = min(size, 256 + len(specials) + MERGES_COMPARED)
    raw = json.loads(merges.learn_by_reference(iter(texts), wanted, specials, LEARNT_FAST).to_str())
    reference = [tuple(pair) for pair in raw["model"]["merges"]]
    file = work / "merges-compared.bin"
    file.write_bytes(merges.SEPARATOR.join(text.encode() for text in texts))
    fast = merges.fast_merges(file, wanted + merges.SPARE_MERGES)[: len(reference)]
    file.unlink()
    for number, (ours, theirs) in enumerate(itertools.zip_longest(fast, reference)):
        if ours != theirs:
            _refuse("merges", f"merge {number} is {ours} and {theirs}")
    return len(reference)


def check_ids(encoder: engines.Encoder, texts: Sequence[str]) -> int:
    """Encode `texts` and some awkward ones with both engines; returns how many characters were compared."""
    if encoder.note:
        return 0  # the reference itself encodes
    all_texts = [*texts, *AWKWARD]
    pairs = zip(encoder.encode(all_texts).each(), encoder.encode_by_reference(all_texts).each(), strict=True)
    for text, (ours, theirs) in zip(all_texts, pairs, strict=True):
        if len(ours) != len(theirs) or (ours != theirs).any():
            _refuse("ids", f"a text of {len(text)} characters has {len(ours)} and {len(theirs)} tokens")
    return sum(map(len, all_texts))


def _refuse(what: str, detail: str) -> None:
    names = {"fast": engines.fast_name(), "reference": engines.REFERENCE}
    raise StageFailure("tokenizer:app:engines-differ", what=what, detail=detail, **names)
