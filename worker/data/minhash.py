"""MinHash of code: which documents may be alike, and how alike two of them are, from 1.1 KB of each.

A document is the set of its 5-grams of tokens; tokens are runs of ASCII letters, digits, "_" and of bytes of other
characters, letters in lower case, so that neither indentation nor punctuation counts. For a random order of all
5-grams the chance that two sets have the same least one is their Jaccard similarity J (Broder 1997, "On the
resemblance and containment of documents"). 5-grams are hashed to 64 bits (FNV-1a, an odd multiplier for each place,
Murmur3's finish), and the two halves of a hash serve two ends.

Who may be alike: 125 orders, x -> a x + b mod 2^32 with odd a, bijections as the linear permutations of Broder et al.
1998. Rows that agree on a whole band of 5 of them meet as candidates; on some of 25 bands they do with the chance
1 - (1 - J^5)^25 (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4). Recipes that take candidates
for duplicates put this curve's middle at their threshold. Here candidates are checked (worker.data.clusters), so a
false one costs a comparison and the curve can lie below the threshold, where it loses little:

    J                              0.3   0.5   0.6   0.7   0.75  0.8   0.85
    125 orders as 25 x 5 (this)    0.06  0.55  0.87  0.99  1.00  1.00  1.00
    126 orders as 21 x 6           0.02  0.28  0.63  0.93  0.98  1.00  1.00
    256 orders as 25 x 10          0.00  0.02  0.14  0.51  0.77  0.94  0.99

(The last is The Stack's and StarCoder's recipe: 5-grams, 256 orders, threshold 0.7.)

How alike they are: one permutation hashing (Li, Owen, Zhang 2012, "One permutation hashing"). A hash falls into one of
1024 bins, of each bin the least is kept, of that one byte (b-bit minwise hashing, Li and Koenig 2010); 0 for an empty
bin. The share of bins with equal leasts among those that are not empty in both estimates J without bias, equal bytes of
different leasts (1 of 255) taken off. Its standard deviation is at most sqrt(J (1 - J) / 1024), 0.014 at J = 0.7, and
near nothing for documents of few 5-grams, which have bins of their own. That many permutations would cost 8 times all
of the above; a bin costs one comparison.

The numbers a and b come from SplitMix64 of a fixed seed: what two releases wrote can be compared as long as VERSION is
the same. Documents of fewer than 5 tokens have no 5-gram: they are not compared. It does not find copies within one
document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.data.kernels import kernel
from worker.data.lines import buffer_of

VERSION = "2"
SHINGLE_TOKENS = 5
BANDS, ROWS = 25, 5
PERMUTATIONS = BANDS * ROWS
BINS = 1024

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]
LongWords = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

# 125 orders are computed as 128, whole vectors of every CPU; the last three are thrown away.
_LANES = 128
# Hashes taken together through the orders: with one at a time the loop waits on loading and storing the minima.
_BLOCK = 8
_NOTHING = np.uint32(0xFFFFFFFF)
# Of the lower half of a hash 10 bits choose the bin, 22 are the value.
_BIN_BITS, _BIN_MASK, _LOWER_HALF = np.uint64(10), np.uint64(BINS - 1), np.uint64(0xFFFFFFFF)
# What a byte tells apart: 1 to 255, 0 being an empty bin.
_BYTES = np.uint32(255)
_FNV_START, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MURMUR_1, _MURMUR_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT_33, _SHIFT_32 = np.uint64(33), np.uint64(32)


@dataclass(frozen=True)
class Signatures:
    """Of n documents: `signature` uint32[n, 125], the least of each order; `sketch` uint8[n, 1024]; `n_tokens` int64[n].

    A document of fewer than SHINGLE_TOKENS tokens has a signature of ones and an empty sketch, which say nothing of it.
    """

    signature: Words
    sketch: Bytes
    n_tokens: Ints


def signatures(content: pa.Array) -> Signatures:
    """Signatures of an array of text (string or large_string, no nulls)."""
    data, offsets = buffer_of(content)
    n = len(content)
    found = Signatures(np.empty((n, PERMUTATIONS), np.uint32), np.empty((n, BINS), np.uint8), np.empty(n, np.int64))
    _sign_all(
        data, offsets, _LETTERS, _PLACES, _MULTIPLIERS, _INCREMENTS, found.signature, found.sketch, found.n_tokens
    )
    return found


def band_keys(signature: Words) -> Words:
    """uint32[n, 25]: a hash of each band of each signature; rows with an equal one are candidates.

    32 bits: two of 300 million documents that share none meet by chance with 1 in 170 million, and are then compared.
    """
    keys = np.empty((len(signature), BANDS), np.uint32)
    _hash_bands(signature, keys)
    return keys


@kernel
def _sign_all(
    data: Bytes,
    offsets: Ints,
    letters: Bytes,
    places: LongWords,
    multipliers: Words,
    increments: Words,
    signature: Words,
    sketch: Bytes,
    n_tokens: Ints,
) -> None:
    least = np.empty(_LANES, np.uint32)
    in_bins = np.empty(BINS, np.uint32)
    block = np.empty(_BLOCK, np.uint32)
    for row in range(len(n_tokens)):
        least[:] = _NOTHING
        in_bins[:] = _NOTHING
        text = data[offsets[row] : offsets[row + 1]]
        n_tokens[row] = _sign(text, letters, places, multipliers, increments, block, least, in_bins)
        signature[row] = least[:PERMUTATIONS]
        for at in range(BINS):
            value = in_bins[at]
            sketch[row, at] = 0 if value == _NOTHING else 1 + value % _BYTES


@kernel
def _sign(
    text: Bytes,
    letters: Bytes,
    places: LongWords,
    multipliers: Words,
    increments: Words,
    block: Words,
    least: Words,
    in_bins: Words,
) -> int:
    """Lower `least` and `in_bins` by every 5-gram of `text`; how many tokens it has."""
    n_tokens, in_block, at = 0, 0, 0
    first = second = third = fourth = np.uint64(0)
    while True:
        while at < len(text) and letters[text[at]] == 0:
            at += 1
        if at == len(text):
            break
        token = _FNV_START
        while at < len(text) and letters[text[at]] != 0:
            token = (token ^ np.uint64(letters[text[at]])) * _FNV_PRIME
            at += 1
        n_tokens += 1
        if n_tokens >= SHINGLE_TOKENS:
            mixed = first * places[0] + second * places[1] + third * places[2] + fourth * places[3] + token * places[4]
            hashed = _finish(mixed)
            block[in_block] = np.uint32(hashed >> _SHIFT_32)
            in_block += 1
            place = hashed & _BIN_MASK
            in_bins[place] = min(in_bins[place], np.uint32((hashed & _LOWER_HALF) >> _BIN_BITS))
        if in_block == _BLOCK:
            _lower(block, multipliers, increments, least)
            in_block = 0
        first, second, third, fourth = second, third, fourth, token
    if in_block > 0:
        block[in_block:] = block[0]
        _lower(block, multipliers, increments, least)
    return n_tokens


@kernel
def _lower(block: Words, multipliers: Words, increments: Words, least: Words) -> None:
    """least[k] = min(least[k], a_k x + b_k for each x of the block).

    Products are cut to 32 bits by hand: numba makes uint32 * uint32 a uint64, whose minimum is nearly always 0.
    """
    b0, b1, b2, b3 = block[0], block[1], block[2], block[3]
    b4, b5, b6, b7 = block[4], block[5], block[6], block[7]
    for k in range(_LANES):
        a, b, low = multipliers[k], increments[k], least[k]
        low = min(low, np.uint32(a * b0 + b))
        low = min(low, np.uint32(a * b1 + b))
        low = min(low, np.uint32(a * b2 + b))
        low = min(low, np.uint32(a * b3 + b))
        low = min(low, np.uint32(a * b4 + b))
        low = min(low, np.uint32(a * b5 + b))
        low = min(low, np.uint32(a * b6 + b))
        least[k] = min(low, np.uint32(a * b7 + b))


@kernel
def _hash_bands(signature: Words, keys: Words) -> None:
    for row in range(len(keys)):
        for band in range(BANDS):
            key = _FNV_START
            for column in range(band * ROWS, (band + 1) * ROWS):
                key = _finish((key ^ np.uint64(signature[row, column])) * _FNV_PRIME)
            keys[row, band] = np.uint32(key >> _SHIFT_32)


@kernel
def _finish(value: Any) -> Any:
    """Murmur3's fmix64: every bit of a uint64 in reaches every bit out."""
    value = (value ^ (value >> _SHIFT_33)) * _MURMUR_1
    value = (value ^ (value >> _SHIFT_33)) * _MURMUR_2
    return value ^ (value >> _SHIFT_33)


def _letters() -> Bytes:
    """Byte -> the byte to hash, 0 for one that belongs to no token."""
    letters = np.zeros(256, np.uint8)
    for byte in range(256):
        if byte >= 0x80 or chr(byte).isalnum() or byte == ord("_"):
            letters[byte] = byte if byte >= 0x80 else ord(chr(byte).lower())
    return letters


def _split_mix(seed: int, n: int) -> LongWords:
    """n numbers of SplitMix64 (Steele, Lea, Flood 2014): unlike a library's generator it cannot change under us."""
    numbers, mask = [], (1 << 64) - 1
    for step in range(1, n + 1):
        value = (seed + step * 0x9E3779B97F4A7C15) & mask
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
        numbers.append(value ^ (value >> 31))
    return np.array(numbers, np.uint64)


_LETTERS = _letters()
_PLACES = _split_mix(1, SHINGLE_TOKENS) | np.uint64(1)
_MULTIPLIERS = (_split_mix(2, _LANES) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
_INCREMENTS = (_split_mix(3, _LANES) >> np.uint64(32)).astype(np.uint32)
