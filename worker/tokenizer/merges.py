"""Learning merges: which pairs of tokens become one, most frequent first (byte-level BPE, Sennrich et al. 2016).

gigatoken learns them about ten times as fast per CPU-second as `tokenizers`, the same ones in the same order, for the
pre-tokeniser of GPT-2; for the others, and where it has no wheel, `tokenizers` learns them. Both end in the same
tokenizer.json, byte for byte.

Where the two differ: `tokenizers` stops when no pair is left, gigatoken goes on with pairs that never occur. The token
of the last merge cannot be a part of a later one, so if the text holds none of it, the text was exhausted: whoever
counts tokens next sees it, and `real_merges` says how far the text went.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from worker.tokenizer import engines
from worker.tokenizer.spelling import CHARACTER, spell
from worker.tokenizer.splitting import LEARNT_FAST, SCHEMES

Pair = tuple[str, str]
Texts = Callable[[], Iterator[list[str]]]
# Two pairs can make the same token; gigatoken counts both towards the size, so a few more are asked for.
SPARE_MERGES = 64
# Between documents in the file that gigatoken reads: a byte that UTF-8 never has.
SEPARATOR = b"\xff"
NO_LIMIT = 2**31


def learner(scheme: str) -> tuple[str, str]:
    """(who learns merges for this pre-tokeniser, why it is not the fast engine or "")."""
    if engines.gigatoken() is None:
        return engines.REFERENCE, "gigatoken has no wheel for this machine"
    if scheme != LEARNT_FAST:
        return engines.REFERENCE, f"gigatoken learns merges for the pre-tokeniser {LEARNT_FAST} only"
    return engines.fast_name(), ""


def learn_by_reference(texts: Iterator[str], size: int, specials: Sequence[str], scheme: str) -> Tokenizer:
    """A tokenizer of at most `size` tokens; smaller where the text gives no more pairs."""
    tokenizer = _empty(models.BPE(), scheme)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(specials),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def learn_fast(file: Path, size: int, specials: Sequence[str]) -> Tokenizer:
    """The same from `file`, documents with SEPARATOR between them; merges that never occur are among it if it is short."""
    return assemble(fast_merges(file, size + SPARE_MERGES), size, specials)


def fast_merges(file: Path, size: int) -> list[Pair]:
    """Merges for a vocabulary of 256 bytes and merges, in order; some of the last may never occur in the text."""
    module = engines.gigatoken()
    assert module is not None, "learner says so first"
    _, merges = module.train_bpe(file, size, [], separator=SEPARATOR)
    # Past the end of the text it names pairs again that it had merged long before; the first time is the one that counts.
    return list(dict.fromkeys((spell(left), spell(right)) for left, right in merges))


def assemble(merges: Sequence[Pair], size: int, specials: Sequence[str]) -> Tokenizer:
    """Special tokens, then single bytes by their character, then merges in order, as `tokenizers` numbers them."""
    vocabulary = {token: number for number, token in enumerate([*specials, *sorted(CHARACTER.values())])}
    kept = 0
    for left, right in merges:
        if len(vocabulary) >= size:
            break
        vocabulary.setdefault(left + right, len(vocabulary))
        kept += 1
    tokenizer = _empty(models.BPE(vocab=vocabulary, merges=list(merges[:kept])), LEARNT_FAST)
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


def real_merges(tokenizer: Tokenizer, texts: Texts, specials: Sequence[str]) -> int:
    """How many of a tokenizer's merges occur in the text: those that do come first, so it is found by halving."""
    merges = [(left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]
    low, high = 0, len(merges)
    while low < high:
        middle = (low + high + 1) // 2
        occurs = _count_last(assemble(merges[:middle], NO_LIMIT, specials), texts) > 0
        low, high = (middle, high) if occurs else (low, middle - 1)
    return low


def _count_last(tokenizer: Tokenizer, texts: Texts) -> int:
    last = tokenizer.get_vocab_size() - 1
    encoder = engines.Encoder(tokenizer)
    return sum(int(np.count_nonzero(encoder.encode(batch).ids == last)) for batch in texts())


def _empty(model: models.Model, scheme: str) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = SCHEMES[scheme].build()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
