"""Tokens of documents in three views, and the n-grams of probes looked up in them: one pass, in machine code.

    WORDS   words of everything, comments and strings too, lower case, no punctuation: how GPT-3's decontamination reads
            text (Brown et al. 2020, appendix C)
    CODE    tokens without comments, docstrings, white space and case; a string is one token, whatever its quotes
    SHAPE   as CODE, but a literal is only a literal, and a name only where it was last used within the n-gram: programs
            that differ in names alone are equal (the "prev" encoding of Baker 1993, "A theory of parameterized pattern
            matching")

An n-gram is a 64-bit hash. In WORDS and CODE it is a difference of two polynomial hashes of prefixes, so that n-grams of
several lengths (of probes shorter than n) cost one multiplication each.

A name that is a keyword in any of the languages is a keyword: one list serves documents of unknown language too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.data.kernels import kernel

Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]

# What a token of CODE is.
NAME, KEPT, LITERAL = 0, 1, 2
ROW, GRAM, END = 0, 1, 2  # columns of hits

_KEYWORDS = """
abstract and any as assert async await begin bool boolean break byte case catch chan char class const continue def
default defer del delete do done double echo elif else elsif end ensure enum except export extends extern false False fi
final finally float fn for foreach fi from func function global go goto if impl implements import in include inline
instanceof int interface is lambda let local long loop map match mod module mut namespace native new next nil None not
null nullptr operator or package pass print private protected pub public raise range redo ref repeat require rescue
retry return self short signed sizeof static struct sub super switch template then this throw throws trait True true try
type typedef typename typeof undef union unless unsafe unsigned until use using var virtual void volatile when where
while with yield
"""

_FNV_START, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
_START, _PRIME = np.uint64(_FNV_START), np.uint64(_FNV_PRIME)
_MURMUR_1, _MURMUR_2, _SHIFT_33 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)
_BASE = np.uint64(0x9E3779B97F4A7C15)
_A_LITERAL, _A_NAME = np.uint64(0x5DEECE66D1CE4E5B), np.uint64(0x2545F4914F6CDD1D)
_ZERO, _ONE, _THREE, _SEVEN = np.uint64(0), np.uint64(1), np.uint64(3), np.uint64(7)
_RECENT_BITS = 15  # names of which the last use is remembered; a collision forgets one, and an n-gram may be missed
_FILTER_BITS = 22


@dataclass(frozen=True)
class Tokens:
    """n tokens: `hashes` uint64[n], `kinds` uint8[n] (of CODE, else KEPT), bytes `starts` to `ends` int32[n] of the text."""

    hashes: Hashes
    kinds: Bytes
    starts: Places
    ends: Places

    def __len__(self) -> int:
        return len(self.hashes)

    def __getitem__(self, some: Any) -> Tokens:
        """Those of a slice or a mask."""
        return Tokens(self.hashes[some], self.kinds[some], self.starts[some], self.ends[some])


@dataclass(frozen=True)
class Table:
    """The n-grams to look for, of one view: hash -> number. `lengths`: all lengths that n-grams have."""

    keys: Hashes
    numbers: Places
    bits: Bytes
    lengths: Ints


def words(text: bytes) -> Tokens:
    """WORDS of one text."""
    data = _bytes_of(text)
    found = _room(len(data))
    return _cut(found, _words(data, _LETTERS, *found))


def code(text: bytes, kinds: Bytes) -> Tokens:
    """CODE of one text; kinds as worker.data.comments.kinds_of_bytes."""
    data = _bytes_of(text)
    found = _room(len(data))
    return _cut(found, _code(data, kinds, _LETTERS, _KEYWORD_HASHES, *found))


def sequence_grams(tokens: Tokens, n: int) -> Hashes:
    """uint64[len - n + 1]: the n-grams of WORDS or CODE."""
    found = np.zeros(max(0, len(tokens) - n + 1), np.uint64)
    _sequence_grams(tokens.hashes, n, found)
    return found


def shape_grams(tokens: Tokens, n: int) -> Hashes:
    """uint64[len - n + 1]: the n-grams of SHAPE, of CODE's tokens."""
    found, length = np.zeros(max(0, len(tokens) - n + 1), np.uint64), len(tokens)
    previous, following = np.zeros(length, np.int64), np.zeros(length, np.int64)
    _previous(tokens.hashes, tokens.kinds, length, *_memory(), 1, previous)
    _shape_grams(tokens.hashes, tokens.kinds, previous, following, length, n, found)
    return found


def abstracted(tokens: Tokens) -> Hashes:
    """CODE's tokens with all names equal and all literals equal: what SHAPE is aligned by."""
    hashes = tokens.hashes.copy()
    hashes[tokens.kinds == NAME], hashes[tokens.kinds == LITERAL] = _A_NAME, _A_LITERAL
    return hashes


def table(grams: Hashes, lengths: list[int]) -> Table:
    """grams: distinct, their numbers are their places."""
    size = 1 << max(10, int(4 * len(grams) - 1).bit_length())
    made = Table(
        np.zeros(size, np.uint64),
        np.full(size, -1, np.int32),
        np.zeros(1 << (_FILTER_BITS - 3), np.uint8),
        np.array(sorted(set(lengths)), np.int64),
    )
    _fill(grams, made.keys, made.numbers, made.bits)
    return made


def find_words(data: Bytes, offsets: Ints, wanted: Table) -> Ints:
    """int64[hits, 3]: row, number of the n-gram, place of its last token; by row and place."""
    found = _find_words(data, offsets, _LETTERS, wanted.keys, wanted.numbers, wanted.bits, wanted.lengths)
    return _in_order(found)


def find_code(data: Bytes, offsets: Ints, kinds: Bytes, wanted: Table, shapes: Table) -> tuple[Ints, Ints]:
    """As find_words, of CODE and of SHAPE."""
    names, marks, last = _memory()
    sequences, found = _find_code(
        data, offsets, kinds, _LETTERS, _KEYWORD_HASHES, names, marks, last,
        wanted.keys, wanted.numbers, wanted.bits, wanted.lengths,
        shapes.keys, shapes.numbers, shapes.bits, shapes.lengths,
    )  # fmt: skip
    return _in_order(sequences), _in_order(found)


def _in_order(hits: Ints) -> Ints:
    """By place in each row: n-grams of different lengths are looked up one after the other."""
    return hits[np.lexsort((hits[:, END], hits[:, ROW]))]


# ---- tokens ----------------------------------------------------------------------------------------------------------


@kernel
def _words(text: Bytes, letters: Bytes, hashes: Hashes, kinds: Bytes, starts: Places, ends: Places) -> int:
    """How many there are."""
    n = at = 0
    while True:
        while at < len(text) and letters[text[at]] == 0:
            at += 1
        if at == len(text):
            return n
        starts[n], token = at, _START
        while at < len(text) and letters[text[at]] != 0:
            token = (token ^ np.uint64(letters[text[at]])) * _PRIME
            at += 1
        hashes[n], ends[n], kinds[n] = _finish(token), at, 1
        n += 1


@kernel
def _code(
    text: Bytes,
    of_bytes: Bytes,
    letters: Bytes,
    keywords: Hashes,
    hashes: Hashes,
    kinds: Bytes,
    starts: Places,
    ends: Places,
) -> int:
    """How many there are."""
    n = at = 0
    while at < len(text):
        byte = text[at]
        if of_bytes[at] == 1 or byte <= 32:
            at += 1
            continue
        starts[n], token, exact = at, _START, _START
        if of_bytes[at] == 2:
            while at < len(text) and of_bytes[at] == 2:
                # Quotes, escapes and blanks are layout: formatters change them.
                if text[at] > 32 and text[at] != 34 and text[at] != 39 and text[at] != 92 and text[at] != 96:
                    token = (token ^ np.uint64(text[at])) * _PRIME
                at += 1
            kinds[n] = 2
            token = token ^ _A_LITERAL
        elif letters[byte] != 0:
            while at < len(text) and letters[text[at]] != 0 and of_bytes[at] == 0:
                token = (token ^ np.uint64(letters[text[at]])) * _PRIME
                exact = (exact ^ np.uint64(text[at])) * _PRIME
                at += 1
            is_number = 48 <= byte <= 57
            kinds[n] = 2 if is_number else 1 if _is_among(exact, keywords) else 0
        else:
            token = (token ^ np.uint64(byte)) * _PRIME
            kinds[n] = 1
            at += 1
        hashes[n], ends[n] = _finish(token), at
        n += 1
    return n


@kernel
def _is_among(value: Any, ordered: Hashes) -> bool:
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low < len(ordered) and ordered[low] == value


@kernel
def _finish(value: Any) -> Any:
    """Murmur3's fmix64: every bit of a uint64 in reaches every bit out."""
    value = (value ^ (value >> _SHIFT_33)) * _MURMUR_1
    value = (value ^ (value >> _SHIFT_33)) * _MURMUR_2
    return value ^ (value >> _SHIFT_33)


# ---- n-grams ---------------------------------------------------------------------------------------------------------


@kernel
def _prefixes(hashes: Hashes, n: int, prefixes: Hashes) -> None:
    """prefixes[k]: the polynomial hash of the first k tokens."""
    prefixes[0] = _ZERO
    for place in range(n):
        prefixes[place + 1] = prefixes[place] * _BASE + hashes[place]


@kernel
def _power(n: int) -> Any:
    value = _ONE
    for _ in range(n):
        value = value * _BASE
    return value


@kernel
def _sequence_grams(hashes: Hashes, n: int, found: Hashes) -> None:
    prefixes = np.empty(len(hashes) + 1, np.uint64)
    _prefixes(hashes, len(hashes), prefixes)
    power = _power(n)
    for place in range(len(found)):
        found[place] = _finish((prefixes[place + n] - prefixes[place] * power) ^ np.uint64(n))


@kernel
def _previous(
    hashes: Hashes, kinds: Bytes, n: int, names: Hashes, marks: Ints, last: Ints, mark: int, previous: Ints
) -> None:
    """previous[k]: the place where the name at k was used before, -1 for none. `mark` is new for each text."""
    for place in range(n):
        previous[place] = -1
        if kinds[place] == 0:
            slot = hashes[place] >> np.uint64(64 - _RECENT_BITS)
            if marks[slot] == mark and names[slot] == hashes[place]:
                previous[place] = last[slot]
            names[slot], marks[slot], last[slot] = hashes[place], mark, place


@kernel
def _shape_grams(
    hashes: Hashes, kinds: Bytes, previous: Ints, following: Ints, length: int, n: int, found: Hashes
) -> int:
    """found[k]: the n-gram of SHAPE that begins at k, of `length` tokens; how many there are. `following` is scratch.

    Rolled on: with the first token goes what points back to it, so that the name's next use is now the first.
    """
    powers = np.empty(n + 1, np.uint64)
    powers[0] = _ONE
    for exponent in range(n):
        powers[exponent + 1] = powers[exponent] * _BASE
    value = _ZERO
    for end in range(length):
        first, before, following[end] = end - n + 1, previous[end], -1
        if before >= 0:
            following[before] = end
        value = value * _BASE + _shape(hashes[end], kinds[end], end - before if before >= max(first, 0) else 0)
        if first > 0:
            value -= _shape(hashes[first - 1], kinds[first - 1], 0) * powers[n]
            again = following[first - 1]
            if kinds[first - 1] == 0 and first <= again < end:
                change = _shape(hashes[again], 0, again - first + 1) - _shape(hashes[again], 0, 0)
                value -= change * powers[end - again]
        if first >= 0:
            found[first] = _finish(value)
    return max(0, length - n + 1)


@kernel
def _shape(token: Any, kind: int, back: int) -> Any:
    """What of a token counts: back, tokens since a name's last use in the n-gram, 0 for none."""
    if kind == 1:
        return token
    return _A_LITERAL if kind == 2 else (_A_NAME + np.uint64(back)) * _MURMUR_1


# ---- looking up ------------------------------------------------------------------------------------------------------


@kernel
def _fill(grams: Hashes, keys: Hashes, numbers: Places, bits: Bytes) -> None:
    mask = np.uint64(len(keys) - 1)
    for number in range(len(grams)):
        gram = grams[number]
        short = gram >> np.uint64(64 - _FILTER_BITS)
        bits[short >> _THREE] |= np.uint8(_ONE << (short & _SEVEN))
        slot = gram & mask
        while numbers[slot] >= 0:
            slot = (slot + _ONE) & mask
        keys[slot], numbers[slot] = gram, number


@kernel
def _number(gram: Any, keys: Hashes, numbers: Places, bits: Bytes) -> int:
    """The n-gram's number, -1 if it is none that is looked for."""
    short = gram >> np.uint64(64 - _FILTER_BITS)
    if (np.uint64(bits[short >> _THREE]) >> (short & _SEVEN)) & _ONE == _ZERO:
        return -1
    mask = np.uint64(len(keys) - 1)
    slot = gram & mask
    while numbers[slot] >= 0:
        if keys[slot] == gram:
            return numbers[slot]
        slot = (slot + _ONE) & mask
    return -1


@kernel
def _added(hits: Ints, n: int, row: int, number: int, end: int) -> Ints:
    if n == len(hits):
        larger = np.empty((2 * n, 3), np.int64)
        larger[:n] = hits
        hits = larger
    hits[n, 0], hits[n, 1], hits[n, 2] = row, number, end
    return hits


@kernel
def _longest(offsets: Ints) -> int:
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    return longest


@kernel
def _look_up(
    row: int,
    hashes: Hashes,
    n: int,
    prefixes: Hashes,
    keys: Hashes,
    numbers: Places,
    bits: Bytes,
    lengths: Ints,
    hits: Ints,
    n_hits: int,
) -> tuple[Ints, int]:
    """Of a text's n tokens the n-grams that are looked for, added to the hits."""
    _prefixes(hashes, n, prefixes)
    for at in range(len(lengths)):
        length, power = lengths[at], _power(lengths[at])
        for start in range(n - length + 1):
            gram = _finish((prefixes[start + length] - prefixes[start] * power) ^ np.uint64(length))
            number = _number(gram, keys, numbers, bits)
            if number >= 0:
                hits = _added(hits, n_hits, row, number, start + length - 1)
                n_hits += 1
    return hits, n_hits


@kernel
def _find_words(
    data: Bytes, offsets: Ints, letters: Bytes, keys: Hashes, numbers: Places, bits: Bytes, lengths: Ints
) -> Ints:
    room = _longest(offsets)
    hashes, kinds = np.empty(room, np.uint64), np.empty(room, np.uint8)
    starts, ends = np.empty(room, np.int32), np.empty(room, np.int32)
    prefixes = np.empty(room + 1, np.uint64)
    hits, n_hits = np.empty((1024, 3), np.int64), 0
    for row in range(len(offsets) - 1):
        n = _words(data[offsets[row] : offsets[row + 1]], letters, hashes, kinds, starts, ends)
        hits, n_hits = _look_up(row, hashes, n, prefixes, keys, numbers, bits, lengths, hits, n_hits)
    return hits[:n_hits]


@kernel
def _find_code(
    data: Bytes,
    offsets: Ints,
    of_bytes: Bytes,
    letters: Bytes,
    keywords: Hashes,
    names: Hashes,
    marks: Ints,
    last: Ints,
    keys: Hashes,
    numbers: Places,
    bits: Bytes,
    lengths: Ints,
    shape_keys: Hashes,
    shape_numbers: Places,
    shape_bits: Bytes,
    shape_lengths: Ints,
) -> tuple[Ints, Ints]:
    room = _longest(offsets)
    hashes, kinds = np.empty(room, np.uint64), np.empty(room, np.uint8)
    starts, ends = np.empty(room, np.int32), np.empty(room, np.int32)
    previous, following = np.empty(room, np.int64), np.empty(room, np.int64)
    prefixes, shapes = np.empty(room + 1, np.uint64), np.empty(room, np.uint64)
    hits, n_hits = np.empty((1024, 3), np.int64), 0
    alike, n_alike = np.empty((1024, 3), np.int64), 0
    for row in range(len(offsets) - 1):
        text, of_text = data[offsets[row] : offsets[row + 1]], of_bytes[offsets[row] : offsets[row + 1]]
        n = _code(text, of_text, letters, keywords, hashes, kinds, starts, ends)
        hits, n_hits = _look_up(row, hashes, n, prefixes, keys, numbers, bits, lengths, hits, n_hits)
        if len(shape_lengths) > 0:
            _previous(hashes, kinds, n, names, marks, last, row + 1, previous)
        for at in range(len(shape_lengths)):
            length = shape_lengths[at]
            for start in range(_shape_grams(hashes, kinds, previous, following, n, length, shapes)):
                number = _number(shapes[start], shape_keys, shape_numbers, shape_bits)
                if number >= 0:
                    alike = _added(alike, n_alike, row, number, start + length - 1)
                    n_alike += 1
    return hits[:n_hits], alike[:n_alike]


# ---- tables ----------------------------------------------------------------------------------------------------------


def _bytes_of(text: bytes) -> Bytes:
    """Copied: of an array that cannot be written to, the kernels would be compiled once more."""
    return np.frombuffer(text, np.uint8).copy()


def _room(n: int) -> tuple[Hashes, Bytes, Places, Places]:
    return np.empty(n, np.uint64), np.empty(n, np.uint8), np.empty(n, np.int32), np.empty(n, np.int32)


def _cut(found: tuple[Hashes, Bytes, Places, Places], n: int) -> Tokens:
    """Copied, since the room was made for as many tokens as there are bytes."""
    hashes, kinds, starts, ends = found
    return Tokens(hashes[:n].copy(), kinds[:n].copy(), starts[:n].copy(), ends[:n].copy())


def _memory() -> tuple[Hashes, Ints, Ints]:
    """Names, the text that each was seen in, and where."""
    size = 1 << _RECENT_BITS
    return np.zeros(size, np.uint64), np.zeros(size, np.int64), np.zeros(size, np.int64)


def _letters() -> Bytes:
    """Byte -> the byte to hash, 0 for one that belongs to no word."""
    found = np.zeros(256, np.uint8)
    for byte in range(256):
        if byte >= 0x80 or chr(byte).isalnum() or byte == ord("_"):
            found[byte] = byte if byte >= 0x80 else ord(chr(byte).lower())
    return found


def _fnv(word: str) -> int:
    value = _FNV_START
    for byte in word.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


_LETTERS = _letters()
_KEYWORD_HASHES = np.unique(np.array([_fnv(word) for word in _KEYWORDS.split()], np.uint64))
