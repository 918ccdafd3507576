"""How much of a file is no code of its language: the share of its bytes within syntax errors, by tree-sitter.

tree-sitter parses on after an error, so the answer is a share and not a yes or no: what lies in ERROR nodes but in no
whole construct within them, and a byte for each MISSING token. (The plain size of the outermost ERROR nodes punishes
sound code: one export macro between "class" and its name and the whole class counts. More than a twentieth was error
by that in 51 % of OpenVINO's headers, against 1 % by this; of Python or prose taken for C all files are, by both.) It
does not see what a compiler sees: undefined names, types, wrong imports; nor errors within strings and comments.

MAX_ERROR_SHARE are the shares up to which a file is taken to parse. Of released packages no file in Python,
JavaScript, Java, Ruby, PHP or JSON has any error. In C and C++ macros make errors of sound code: of their headers 1 to
5 % have more than a tenth in errors. Younger syntax does so in TypeScript, Go and Rust, where 6, 2 and 2 % of files
have any.

A parse is given up after so many steps of the parser for each byte (real files take 5 to 15 checks a KB, the bound is
50): not after so many seconds, which would depend on the machine. Nesting is bounded by nothing else: 200 000 nested
brackets are parsed in half a second, but "a<" 50 000 times ends the Java parser with SIGSEGV.

So the parser, which is C that others wrote and holds the interpreter lock, is to be asked in a process of its own:
worker.data.parse_process makes threads parse at the same time and survives a crash.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from tree_sitter import Language, Node, Parser, Point

# Language (Linguist's name) -> grammars to try in turn: (module, function that gives it). The least share counts.
GRAMMARS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "C": (("tree_sitter_c", "language"),),
        "C++": (("tree_sitter_cpp", "language"),),
        "Go": (("tree_sitter_go", "language"),),
        "JSON": (("tree_sitter_json", "language"),),
        "Java": (("tree_sitter_java", "language"),),
        "JavaScript": (("tree_sitter_javascript", "language"),),
        "PHP": (("tree_sitter_php", "language_php"),),
        "Python": (("tree_sitter_python", "language"),),
        "Ruby": (("tree_sitter_ruby", "language"),),
        "Rust": (("tree_sitter_rust", "language"),),
        # <T>value is a cast in one and an element in the other.
        "TypeScript": (("tree_sitter_typescript", "language_typescript"), ("tree_sitter_typescript", "language_tsx")),
    }
)
MAX_ERROR_SHARE: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("JSON", "Java", "JavaScript", "PHP", "Python", "Ruby"), 0.0),
        **dict.fromkeys(("Go", "Rust"), 0.02),
        "TypeScript": 0.05,
        **dict.fromkeys(("C", "C++"), 0.1),
    }
)

# tree-sitter asks whether to go on once in 100 operations of its parser.
CHECKS_PER_BYTE = 0.05
LEAST_CHECKS = 1_000
_CHUNK_BYTES = 65_536


class TooComplex(Exception):
    """The parser needed more steps than are allowed, or did not survive the file."""


def error_share(content: bytes, language: str) -> float | None:
    """Share of the bytes of `content` within syntax errors, 0 to 1; None for a language without a grammar.

    Raises TooComplex. Safe in threads, which wait for each other.
    """
    least = None
    for grammar in GRAMMARS.get(language, ()):
        share = _error_bytes(_parse(content, grammar)) / max(1, len(content))
        least = share if least is None else min(least, share)
        if least == 0:
            break
    return least


def node_types(content: bytes, language: str) -> list[str] | None:
    """The kinds of the syntax tree's named nodes in the order of the text, comments left out: the same for programs that
    differ in names, values and layout alone (as Dolos compares them). None for a language without a grammar.

    Raises TooComplex. Safe in threads, which wait for each other.
    """
    if language not in GRAMMARS:
        return None
    found, pending = [], [_parse(content, GRAMMARS[language][0])]
    while pending:
        node = pending.pop()
        if "comment" not in node.type:
            found.append(node.type)
            pending.extend(reversed(node.named_children))
    return found


def _parse(content: bytes, grammar: tuple[str, str]) -> Node:
    checks, allowed = 0, LEAST_CHECKS + int(len(content) * CHECKS_PER_BYTE)

    def read(start: int, point: Point) -> bytes:
        return content[start : start + _CHUNK_BYTES]

    def is_enough(at: int, has_error: bool) -> bool:
        nonlocal checks
        checks += 1
        return checks > allowed

    parser = _parser(grammar)
    try:
        return parser.parse(read, progress_callback=is_enough).root_node
    except ValueError as error:  # what the binding makes of a parse that was given up
        parser.reset()  # else the next file is taken for the rest of this one
        raise TooComplex(f"needs more than {allowed} checks of the parser for {len(content)} bytes") from error


def _error_bytes(root: Node) -> int:
    """Bytes of errors; 0 only for a tree without any."""
    total, pending = 0, [root]
    while pending:
        node = pending.pop()
        if node.is_missing:
            total += 1
        elif node.is_error:
            whole = [child for child in node.children if child.is_named and child.child_count > 0]
            total += node.end_byte - node.start_byte - sum(child.end_byte - child.start_byte for child in whole)
            pending.extend(whole)
        elif node.has_error:
            pending.extend(node.children)
    return max(1, total) if root.has_error else 0


def _parser(grammar: tuple[str, str]) -> Parser:
    """A parser keeps state while it works, so each thread has its own."""
    parsers = _LOCAL.parsers
    if grammar not in parsers:
        parsers[grammar] = Parser(_language(*grammar))
    return parsers[grammar]


@cache
def _language(module: str, function: str) -> Language:
    return Language(getattr(importlib.import_module(module), function)())


class _Local(threading.local):
    def __init__(self) -> None:
        self.parsers: dict[tuple[str, str], Parser] = {}


_LOCAL = _Local()
