"""Fill-in-the-middle: cut a document in three and tell the middle last (Bavarian et al. 2022, context level).

A packed sample holds several documents, each ended by an end-of-text token; the last one may be cut off. Every
document is transformed by itself with probability `rate`, half as PSM and half as SPM:

    PSM   <prefix> prefix <suffix> suffix <middle> middle
    SPM   <prefix> <suffix> suffix <middle> prefix middle

so nothing is ever moved across documents. Three sentinels are added per document and the sample keeps its length:
what no longer fits is cut from a document before it is transformed, never from its middle. Cuts fall between
tokens, not inside them. Loss is on every token.

It does not choose randomness: the caller passes a generator made from (seed, epoch, sample id), so that the same
sample in the same epoch is always cut alike, in any worker and after any restart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int64]
N_SENTINELS = 3
# One token each for prefix, middle and suffix: a shorter document has nothing to fill in.
SHORTEST = 3


@dataclass(frozen=True)
class FillInTheMiddle:
    """The transformation's settings; token ids of the tokenizer's sentinels."""

    rate: float
    end_of_text: int
    prefix: int
    middle: int
    suffix: int

    def apply(self, tokens: Tokens, rng: np.random.Generator) -> Tokens:
        """(length,) token ids in, the same length out."""
        pieces: list[Tokens] = []
        room = len(tokens)
        for document in split_after(tokens, self.end_of_text):
            if room <= 0:
                break
            piece = self._document(document, room, rng)
            pieces.append(piece)
            room -= len(piece)
        return np.concatenate(pieces)[: len(tokens)]

    def _document(self, document: Tokens, room: int, rng: np.random.Generator) -> Tokens:
        ended = document[-1] == self.end_of_text
        body = (document[:-1] if ended else document)[: max(0, room - N_SENTINELS)]
        # The draw comes first, whatever the length, so that one document's length never shifts the next one's chance.
        if rng.random() >= self.rate or len(body) < SHORTEST:
            return document
        piece = self._rearrange(body, rng)
        return np.append(piece, self.end_of_text) if ended else piece

    def _rearrange(self, body: Tokens, rng: np.random.Generator) -> Tokens:
        first, second = sorted(rng.integers(0, len(body) + 1, size=2))
        prefix, middle, suffix = body[:first], body[first:second], body[second:]
        if rng.random() < 0.5:
            return np.concatenate([[self.prefix], prefix, [self.suffix], suffix, [self.middle], middle])
        return np.concatenate([[self.prefix, self.suffix], suffix, [self.middle], prefix, middle])


def split_after(tokens: Tokens, end_of_text: int) -> list[Tokens]:
    """The documents of a packed sample, each with its end-of-text token; concatenated they give the sample back."""
    ends = np.flatnonzero(tokens == end_of_text) + 1
    return [part for part in np.split(tokens, ends) if len(part)]
