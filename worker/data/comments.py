"""How much of a program is comment: one pass over its bytes with its language's comment and string marks.

bigcode's pre-processing (preprocessing/utils/text_extraction.py) runs each file through a lexer: Python's tokenizer and
parser for comments and docstrings, Pygments' for the rest, at about 1 MB a second, and calls what does not parse
comment-free. Here strings are skipped by their quotes and a one-line string ends with its line, so a stray apostrophe
costs one line, not the file. A Python string in triple quotes that opens its line counts as docstring.

It knows no nested comments, here-documents, POD or =begin blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from worker.data.kernels import kernel
from worker.data.lines import Ints, buffer_of

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Marks:
    """Of a family of languages: what opens a comment to the end of the line, (open, close) of blocks, quotes.

    At most two of each, of at most four bytes. `raw` quotes hold newlines. `docstrings`: triple quotes as Python's.
    """

    line: tuple[bytes, ...] = ()
    block: tuple[tuple[bytes, bytes], ...] = ()
    quotes: bytes = b"\"'"
    raw: bytes = b""
    docstrings: bool = False


_C = Marks((b"//",), ((b"/*", b"*/"),))
_SCRIPT = Marks((b"//",), ((b"/*", b"*/"),), raw=b"`")
_HASH = Marks((b"#",))
_TAGS = Marks((), ((b"<!--", b"-->"),), quotes=b"")
_LISP = Marks((b";",), quotes=b'"')
_PERCENT = Marks((b"%",), quotes=b"")
_ML = Marks((), ((b"(*", b"*)"),), quotes=b'"')

_FAMILIES: dict[Marks, tuple[str, ...]] = {
    _C: (
        *("C", "C#", "C++", "Cuda", "D", "Dart", "GLSL", "Groovy", "Java", "Kotlin", "Objective-C"),
        *("Protocol Buffer", "SCSS", "Scala", "Solidity", "Swift", "SystemVerilog", "Verilog", "Zig"),
    ),
    Marks((b"//",), ((b"/*", b"*/"),), quotes=b'"'): ("Rust",),  # 'a is a lifetime
    Marks((), ((b"/*", b"*/"),)): ("CSS",),
    _SCRIPT: ("Go", "JavaScript", "TypeScript"),
    Marks((b"//", b"#"), ((b"/*", b"*/"),)): ("HCL", "PHP"),
    Marks((b"#",), ((b"/*", b"*/"),), quotes=b'"'): ("Nix",),
    _HASH: (
        *("CMake", "CoffeeScript", "Dockerfile", "Elixir", "Julia", "Makefile", "Nim", "Perl", "R", "Ruby", "Shell"),
        *("TOML", "Tcl", "YAML"),
    ),
    Marks((b"#",), ((b"<#", b"#>"),)): ("PowerShell",),
    Marks((b"#",), docstrings=True): ("Cython", "Python"),
    Marks((b"--",), ((b"/*", b"*/"),)): ("SQL",),
    Marks((b"--",), ((b"--[[", b"]]"),)): ("Lua",),
    Marks((b"--",), ((b"{-", b"-}"),), quotes=b'"'): ("Elm", "Haskell"),
    Marks((b"--",), quotes=b'"'): ("Ada", "VHDL"),
    _LISP: ("Clojure", "Common Lisp", "Emacs Lisp", "Racket", "Scheme"),
    _PERCENT: ("Erlang", "TeX"),
    Marks((b"!",)): ("Fortran",),
    Marks((b"'",), quotes=b'"'): ("Visual Basic .NET",),
    _ML: ("OCaml",),
    Marks((b"//",), ((b"(*", b"*)"),), quotes=b'"'): ("F#",),
    Marks((b"//",), ((b"{", b"}"), (b"(*", b"*)")), quotes=b"'"): ("Pascal",),
    _TAGS: ("HTML", "Markdown", "Svelte", "Vue", "XML"),
}
_MARKS: dict[str, Marks] = {language: marks for marks, languages in _FAMILIES.items() for language in languages}
LANGUAGES = frozenset(_MARKS)

# What a byte is part of: marks and quotes belong to what they enclose, a docstring is a comment.
CODE, COMMENT, STRING = 0, 1, 2
# Roles of a byte that may begin something, by language.
_PLAIN, _OPENS, _QUOTE, _RAW_QUOTE = 0, 1, 2, 3
_MARK_BYTES, _MARKS_EACH = 4, 2


def comment_share(content: pa.Array, languages: pa.Array) -> npt.NDArray[np.float64]:
    """Bytes of comments, marks included, over all bytes of each document; NaN where the language is not in the table.

    content: string or large_string without nulls; languages: string, of equal length, null where unknown.
    """
    data, offsets = buffer_of(content)
    which, tables = _rows_of(languages)
    comments = np.zeros(len(content), np.int64)
    _count_comments(data, offsets, which, *tables, comments, np.zeros(0, np.uint8))
    sizes = np.diff(offsets)
    share = comments / np.maximum(sizes, 1)
    share[which < 0] = np.nan
    return np.asarray(share)


def kinds_of_bytes(content: pa.Array, languages: pa.Array) -> Bytes:
    """CODE, COMMENT or STRING for each byte of all documents, one after the other; all CODE where no marks are known.

    content: string or large_string without nulls; languages: string, of equal length, null where unknown.
    """
    data, offsets = buffer_of(content)
    which, tables = _rows_of(languages)
    kinds = np.zeros(len(data), np.uint8)
    _count_comments(data, offsets, which, *tables, np.zeros(len(content), np.int64), kinds)
    return kinds


def _rows_of(languages: pa.Array) -> tuple[Ints, tuple[Bytes, Bytes, Bytes, npt.NDArray[np.bool_]]]:
    """(row of each document's language in the tables, -1 for none; the tables)."""
    names = tuple(sorted(LANGUAGES))
    number = {name: index for index, name in enumerate(names)}
    return np.array([number.get(name, -1) for name in languages.to_pylist()], np.int64), _tables(names)


@cache
def _tables(names: tuple[str, ...]) -> tuple[Bytes, Bytes, Bytes, npt.NDArray[np.bool_]]:
    """(role of each byte [n, 256], marks [n, 6, 4], their lengths [n, 6], docstrings [n]) for the kernel.

    Marks are two of lines, two that open blocks, two that close them; length 0 for none.
    """
    roles = np.zeros((len(names), 256), np.uint8)
    marks = np.zeros((len(names), 3 * _MARKS_EACH, _MARK_BYTES), np.uint8)
    lengths = np.zeros((len(names), 3 * _MARKS_EACH), np.uint8)
    docstrings = np.array([_MARKS[name].docstrings for name in names])
    for row, name in enumerate(names):
        entry = _MARKS[name]
        roles[row, list(entry.quotes)], roles[row, list(entry.raw)] = _QUOTE, _RAW_QUOTE
        opens, closes = [pair[0] for pair in entry.block], [pair[1] for pair in entry.block]
        for group, texts in enumerate((entry.line, opens, closes)):
            for place, text in enumerate(texts, group * _MARKS_EACH):
                marks[row, place, : len(text)], lengths[row, place] = list(text), len(text)
        roles[row, [text[0] for text in (*entry.line, *opens)]] = _OPENS
    return roles, marks, lengths, docstrings


@kernel
def _is_at(data: Bytes, position: int, end: int, mark: Bytes, length: int) -> bool:
    if length == 0 or position + length > end:
        return False
    for offset in range(length):  # noqa: SIM110 - compiled as it stands
        if data[position + offset] != mark[offset]:
            return False
    return True


@kernel
def _after(data: Bytes, position: int, end: int, mark: Bytes, length: int) -> int:
    """The position behind the next `mark`, or `end`."""
    while position < end:
        if data[position] == mark[0] and _is_at(data, position, end, mark, length):
            return position + length
        position += 1
    return end


@kernel
def _line_end(data: Bytes, position: int, end: int) -> int:
    while position < end and data[position] != 10:
        position += 1
    return position


@kernel
def _after_string(data: Bytes, position: int, end: int, quote: int, is_raw: bool) -> int:
    """The position behind the string that `quote` opened before `position`."""
    while position < end:
        byte = data[position]
        if byte == quote:
            return position + 1
        if byte == 10 and not is_raw:
            return position
        position += 2 if byte == 92 else 1
    return end


@kernel
def _opens_its_line(data: Bytes, position: int, start: int) -> bool:
    while position > start:
        position -= 1
        if data[position] == 10:
            return True
        if data[position] != 32 and data[position] != 9:
            return False
    return True


@kernel
def _is_hash_within_a_word(data: Bytes, position: int, start: int) -> bool:
    """`$#`, `${name#prefix}`, a colour: a "#" opens a comment only at a line's start or behind white space."""
    return data[position] == 35 and position > start and data[position - 1] > 32


@kernel
def _after_comment(data: Bytes, position: int, start: int, end: int, marks: Bytes, lengths: Bytes) -> int:
    """The position behind the comment that begins at `position`, or `position` if none does."""
    for block in (2, 3):
        if _is_at(data, position, end, marks[block], lengths[block]):
            return _after(data, position + lengths[block], end, marks[block + 2], lengths[block + 2])
    for line in (0, 1):
        if _is_at(data, position, end, marks[line], lengths[line]) and not _is_hash_within_a_word(
            data, position, start
        ):
            return _line_end(data, position, end)
    return position


@kernel
def _count_comments(
    data: Bytes,
    offsets: Ints,
    which: Ints,
    roles: Bytes,
    marks: Bytes,
    lengths: Bytes,
    docstrings: npt.NDArray[np.bool_],
    comments: Ints,
    kinds: Bytes,
) -> None:
    """comments[row] = bytes of comments of the row, for rows whose `which` is a row of the tables.

    `kinds` is told COMMENT and STRING of each byte, unless it is empty.
    """
    is_told = len(kinds) > 0
    for row in range(len(which)):
        if which[row] < 0:
            continue
        entry, start, end = which[row], offsets[row], offsets[row + 1]
        position, count, triple = start, 0, np.empty(3, np.uint8)
        while position < end:
            role = roles[entry, data[position]]
            if role == 0:
                position += 1
            elif role == 1:
                behind = _after_comment(data, position, start, end, marks[entry], lengths[entry])
                count += behind - position
                if is_told:
                    kinds[position:behind] = 1
                position = max(behind, position + 1)
            else:
                triple[:] = data[position]
                if docstrings[entry] and _is_at(data, position, end, triple, 3):
                    behind = _after(data, position + 3, end, triple, 3)
                    is_comment = _opens_its_line(data, position, start)
                    count += behind - position if is_comment else 0
                else:
                    behind = _after_string(data, position + 1, end, data[position], role == 3)
                    is_comment = False
                if is_told:
                    kinds[position:behind] = 1 if is_comment else 2
                position = behind
        comments[row] = count
