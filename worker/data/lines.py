"""What a text measures: lines, characters, letters and lexical tokens, in one pass over the bytes of a whole batch.

Lengths are in characters (code points), as in the Codex paper, not bytes. A trailing newline ends the last line and
begins none; an empty document has no line. A lexical token is a run of letters, digits, underscores and characters
beyond ASCII, or one other character that is no white space: about what a lexer of most languages would see.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.data.kernels import kernel

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
NEWLINE = ord("\n")
BINS = 40
# Bits of a class: what a character is, and of bytes beyond ASCII whether they begin or continue one.
ALPHANUMERIC, ALPHABETIC, WORD, MARK, BREAK, BEGINS, CONTINUES = 1, 2, 4, 8, 16, 32, 64
# No letter or digit lies beyond the third plane (tags and private use only), so the table ends there.
LAST_LETTER = 0x40000
# Columns of _measure's table of figures.
LINES, LONGEST, IN_LINES, CHARACTERS, ALNUM, ALPHA, TOKENS = range(7)


@dataclass(frozen=True)
class Measures:
    """One value a document. `in_lines`: characters but for newlines; `mean_line` and shares are 0 for an empty one."""

    n_lines: Ints
    longest_line: Ints
    in_lines: Ints
    characters: Ints
    alphanumeric: Ints
    alphabetic: Ints
    tokens: Ints

    @property
    def mean_line(self) -> Floats:
        return self.in_lines / np.maximum(self.n_lines, 1)

    @property
    def alphanumeric_share(self) -> Floats:
        """Letters and digits (str.isalnum) over all characters."""
        return self.alphanumeric / np.maximum(self.characters, 1)

    @property
    def alphabetic_share(self) -> Floats:
        """Letters (str.isalpha) over all characters."""
        return self.alphabetic / np.maximum(self.characters, 1)


def buffer_of(content: pa.Array) -> tuple[Bytes, Ints]:
    """(bytes of all rows, n + 1 offsets into them) of an array of text or bytes without nulls."""
    if not (pa.types.is_large_string(content.type) or pa.types.is_large_binary(content.type)):
        content = content.cast(pa.large_binary() if pa.types.is_binary(content.type) else pa.large_string())
    buffers = content.buffers()
    offsets = np.frombuffer(buffers[1], dtype=np.int64)[content.offset : content.offset + len(content) + 1]
    if len(content) == 0 or buffers[2] is None:
        return np.zeros(0, np.uint8), np.zeros(len(content) + 1, np.int64)
    data = np.frombuffer(buffers[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


def measure(content: pa.Array) -> Measures:
    """Measures of every document of a batch of UTF-8 text whose newlines are "\\n"."""
    data, offsets = buffer_of(content)
    figures = np.zeros((7, len(content)), np.int64)
    _measure(data, offsets, _byte_classes(), _classes(), figures)
    return Measures(*figures)


def line_histogram(content: pa.Array) -> tuple[Ints, Ints]:
    """(how many lines of the batch have which length, in the bins of log_histogram; each document's `in_lines`)."""
    counts, in_lines = np.zeros(BINS, np.int64), np.zeros(len(content), np.int64)
    _count_lines(*buffer_of(content), counts, in_lines)
    return counts, in_lines


def log_histogram(values: Ints) -> Ints:
    """Counts by power of two: bin 0 holds 0, bin k holds 2^(k-1) to 2^k - 1; 40 bins."""
    bins = np.ceil(np.log2(np.asarray(values, np.float64) + 1)).astype(np.int64)
    return np.bincount(np.minimum(bins, BINS - 1), minlength=BINS).astype(np.int64)


@cache
def _classes() -> Bytes:
    """Class of each code point from 0x80 to LAST_LETTER; below 0x80 nothing is read."""
    points = [chr(point) for point in range(LAST_LETTER)]
    table = np.fromiter((one.isalnum() * ALPHANUMERIC + one.isalpha() * ALPHABETIC for one in points), np.uint8)
    return table | np.uint8(WORD)


@cache
def _byte_classes() -> Bytes:
    table = np.zeros(256, np.uint8)
    for byte in range(0x80):
        one = chr(byte)
        is_word = one.isalnum() or one == "_"
        table[byte] = one.isalnum() * ALPHANUMERIC + one.isalpha() * ALPHABETIC + is_word * WORD
        table[byte] |= 0 if is_word or one.isspace() else MARK
    table[NEWLINE] = BREAK
    table[0x80:0xC0] = WORD | CONTINUES
    table[0xC0:] = BEGINS
    return table


@kernel
def _measure(data: Bytes, offsets: Ints, byte_classes: Bytes, classes: Bytes, figures: Ints) -> None:
    for row in range(len(offsets) - 1):
        text = data[offsets[row] : offsets[row + 1]]
        lines = longest = in_lines = alphanumeric = alphabetic = tokens = length = last_word = 0
        for at in range(len(text)):
            kind = byte_classes[text[at]]
            if kind & BREAK:
                lines += 1
                longest = max(longest, length)
                in_lines += length
                length = last_word = 0
                continue
            if kind & BEGINS:
                point = _decode(text, at)
                kind = classes[point] if point < LAST_LETTER else np.uint8(WORD)
            word = (kind >> 2) & 1
            length += 1 - (kind >> 6)
            alphanumeric += kind & 1
            alphabetic += (kind >> 1) & 1
            tokens += (word & (1 - last_word)) + ((kind >> 3) & 1)
            last_word = word
        if len(text) > 0 and text[len(text) - 1] != NEWLINE:
            lines += 1
            longest = max(longest, length)
            in_lines += length
        newlines = lines - (len(text) > 0 and text[len(text) - 1] != NEWLINE)
        figures[LINES, row], figures[LONGEST, row], figures[IN_LINES, row] = lines, longest, in_lines
        figures[CHARACTERS, row], figures[ALNUM, row] = in_lines + newlines, alphanumeric
        figures[ALPHA, row], figures[TOKENS, row] = alphabetic, tokens


@kernel
def _decode(text: Bytes, at: int) -> int:
    """The character of more than one byte that begins at `at`; the text is valid UTF-8."""
    first = int(text[at])
    width = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
    point = first & (0xFF >> (width + 1))
    for place in range(at + 1, at + width):
        point = point << 6 | (int(text[place]) & 0x3F)
    return point


@kernel
def _count_lines(data: Bytes, offsets: Ints, counts: Ints, in_lines: Ints) -> None:
    for row in range(len(in_lines)):
        length = total = 0
        start, end = offsets[row], offsets[row + 1]
        for at in range(start, end):
            byte = data[at]
            if byte == NEWLINE:
                counts[_bin(length)] += 1
                total += length
                length = 0
            elif byte & 0xC0 != 0x80:  # a byte that begins a character
                length += 1
        if end > start and data[end - 1] != NEWLINE:
            counts[_bin(length)] += 1
            total += length
        in_lines[row] = total


@kernel
def _bin(length: int) -> int:
    bits = 0
    while length > 0:
        bits += 1
        length >>= 1
    return min(bits, BINS - 1)
