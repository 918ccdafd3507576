"""MinHash signatures of code: how alike two documents are, from 504 bytes of each.

A document is the set of its 5-grams of tokens; tokens are runs of ASCII letters, digits, "_" and of bytes of other
characters, letters in lower case, so that neither indentation nor punctuation counts. For a random order of all
5-grams the chance that two sets have the same least one is their Jaccard similarity J (Broder 1997, "On the
resemblance and containment of documents"). The share of equal values among 126 orders estimates J with a standard
deviation of sqrt(J (1 - J) / 126): 0.041 at J = 0.7.

The orders are x -> a x + b mod 2^32 with odd a, over 5-grams hashed to 32 bits: bijections, as the linear permutations
of Broder et al. 1998, of hashes (FNV-1a, an odd multiplier for each place, Murmur3's 64-bit finish) which are
already well mixed. a and b come from SplitMix64 of a fixed seed: signatures of two releases can be compared as long as
VERSION is the same.

Rows whose signatures agree on a whole band of 6 values meet as candidates; some of 21 bands does with the chance
1 - (1 - J^6)^21 (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4). Recipes that take candidates
for duplicates put this curve's middle at their threshold. Here candidates are checked (worker.data.clusters), so a
false one costs a comparison and the curve can lie below the threshold, where it loses little:

    J                              0.5   0.6   0.7   0.75  0.8   0.85  0.9
    126 orders as 21 x 6 (this)    0.28  0.63  0.93  0.98  1.00  1.00  1.00
    126 orders as 14 x 9           0.03  0.13  0.44  0.67  0.87  0.97  1.00
    256 orders as 25 x 10          0.02  0.14  0.51  0.77  0.94  0.99  1.00

(The last is The Stack's and StarCoder's recipe: 5-grams, 256 orders, threshold 0.7.)

Documents of fewer than 5 tokens have no 5-gram: they are not compared. It does not find copies within one document.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.data.kernels import kernel
from worker.data.lines import buffer_of

VERSION = "1"
SHINGLE_TOKENS = 5
BANDS, ROWS = 21, 6
PERMUTATIONS = BANDS * ROWS

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]
LongWords = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

# 126 orders are computed as 128, whole vectors of every CPU; the last two are thrown away.
_LANES = 128
# Hashes taken together through the orders: with one at a time the loop waits on loading and storing the minima.
_BLOCK = 8
_NOTHING = np.uint32(0xFFFFFFFF)
_FNV_START, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MURMUR_1, _MURMUR_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT_33, _SHIFT_32 = np.uint64(33), np.uint64(32)


@dataclass(frozen=True)
class Signatures:
    """Of n documents: `signature` uint32[n, 126], and `n_tokens` int64[n].

    A document of fewer than SHINGLE_TOKENS tokens has a signature of ones only, which says nothing about it.
    """

    signature: Words
    n_tokens: Ints


def signatures(content: pa.Array) -> Signatures:
    """Signatures of an array of text (string or large_string, no nulls)."""
    data, offsets = buffer_of(content)
    found = Signatures(np.empty((len(content), PERMUTATIONS), np.uint32), np.empty(len(content), np.int64))
    _sign_all(data, offsets, _LETTERS, _PLACES, _MULTIPLIERS, _INCREMENTS, found.signature, found.n_tokens)
    return found


def band_keys(signature: Words, band: int) -> LongWords:
    """uint64[n]: a hash of the values of one band of each signature; rows of equal value are candidates."""
    keys = np.empty(len(signature), np.uint64)
    _hash_columns(signature, band * ROWS, (band + 1) * ROWS, keys)
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
    n_tokens: Ints,
) -> None:
    least = np.empty(_LANES, np.uint32)
    block = np.empty(_BLOCK, np.uint32)
    for row in range(len(n_tokens)):
        least[:] = _NOTHING
        text = data[offsets[row] : offsets[row + 1]]
        n_tokens[row] = _sign(text, letters, places, multipliers, increments, block, least)
        signature[row] = least[:PERMUTATIONS]


@kernel
def _sign(
    text: Bytes,
    letters: Bytes,
    places: LongWords,
    multipliers: Words,
    increments: Words,
    block: Words,
    least: Words,
) -> int:
    """Lower `least` by every 5-gram of `text`; how many tokens it has."""
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
            block[in_block] = np.uint32(_finish(mixed) >> _SHIFT_32)
            in_block += 1
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
def _hash_columns(signature: Words, start: int, end: int, keys: LongWords) -> None:
    for row in range(len(keys)):
        key = _FNV_START
        for column in range(start, end):
            key = _finish((key ^ np.uint64(signature[row, column])) * _FNV_PRIME)
        keys[row] = key


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
