"""The language of a file by its name, and by its content where the name does not tell. Names are GitHub Linguist's.

Extensions that several languages share go to the one with most files in public corpora (.h to C, .m to Objective-C,
.pl to Perl, .v to Verilog), unless what linguist looks for in the content says otherwise. No statistical classifier.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import re2

EXTENSIONS: dict[str, tuple[str, ...]] = {
    "Ada": ("adb", "ads"),
    "Assembly": ("asm", "s"),
    "Batchfile": ("bat", "cmd"),
    "C": ("c", "h"),
    "C#": ("cs",),
    "C++": ("cc", "cpp", "cxx", "hh", "hpp", "hxx", "ipp"),
    "CMake": ("cmake",),
    "CSS": ("css",),
    "Clojure": ("clj", "cljs", "cljc"),
    "CoffeeScript": ("coffee",),
    "Common Lisp": ("lisp", "lsp"),
    "Cuda": ("cu", "cuh"),
    "Cython": ("pyx", "pxd", "pxi"),
    "D": ("d",),
    "Dart": ("dart",),
    "Dockerfile": ("dockerfile",),
    "Elixir": ("ex", "exs"),
    "Elm": ("elm",),
    "Emacs Lisp": ("el",),
    "Erlang": ("erl", "hrl"),
    "F#": ("fs", "fsi", "fsx"),
    "Fortran": ("f", "f90", "f95", "f03", "for"),
    "GLSL": ("glsl", "vert", "frag"),
    "Go": ("go",),
    "Groovy": ("groovy", "gradle"),
    "HCL": ("tf", "hcl"),
    "HTML": ("html", "htm"),
    "Haskell": ("hs",),
    "JSON": ("json",),
    "Java": ("java",),
    "JavaScript": ("js", "jsx", "mjs", "cjs"),
    "Julia": ("jl",),
    "Kotlin": ("kt", "kts"),
    "Lua": ("lua",),
    "Makefile": ("mk", "mak"),
    "Markdown": ("md", "markdown"),
    "Nim": ("nim",),
    "Nix": ("nix",),
    "OCaml": ("ml", "mli"),
    "Objective-C": ("m", "mm"),
    "PHP": ("php",),
    "Pascal": ("pas", "pp"),
    "Perl": ("pl", "pm"),
    "PowerShell": ("ps1", "psm1"),
    "Protocol Buffer": ("proto",),
    "Python": ("py", "pyi", "pyw"),
    "R": ("r",),
    "Racket": ("rkt",),
    "Ruby": ("rb", "rake", "gemspec"),
    "Rust": ("rs",),
    "SCSS": ("scss",),
    "SQL": ("sql",),
    "Scala": ("scala", "sc"),
    "Scheme": ("scm", "ss"),
    "Shell": ("sh", "bash", "zsh", "ksh"),
    "Solidity": ("sol",),
    "Svelte": ("svelte",),
    "Swift": ("swift",),
    "SystemVerilog": ("sv", "svh"),
    "TOML": ("toml",),
    "Tcl": ("tcl",),
    "TeX": ("tex", "sty", "cls"),
    "TypeScript": ("ts", "tsx", "mts", "cts"),
    "VHDL": ("vhd", "vhdl"),
    "Verilog": ("v",),
    "Vim Script": ("vim",),
    "Visual Basic .NET": ("vb",),
    "Vue": ("vue",),
    "XML": ("xml", "xsd", "xslt"),
    "YAML": ("yaml", "yml"),
    "Zig": ("zig",),
    "reStructuredText": ("rst",),
}

FILENAMES: dict[str, str] = {
    "CMakeLists.txt": "CMake",
    "Dockerfile": "Dockerfile",
    "GNUmakefile": "Makefile",
    "Gemfile": "Ruby",
    "Makefile": "Makefile",
    "Rakefile": "Ruby",
    "makefile": "Makefile",
}


# Languages that no extension of the table stands for alone, each with one that it shares.
SHARING: dict[str, str] = {
    "Forth": "fs",
    "MATLAB": "m",
    "Prolog": "pl",
    "Puppet": "pp",
    "Raku": "pm",
    "Rocq Prover": "v",
}

_OBJECTIVE_C = (
    r"^\s*(?:@(?:interface|class|protocol|property|end|synthesize|selector|implementation)\b|#import\s+.+\.h[\">])"
)
_CPP = (
    r"^\s*#\s*include\s+<(?:cstdint|string|vector|map|list|array|bitset|queue|stack|forward_list|unordered_map"
    r"|unordered_set|memory|utility|i?o?stream)>|^\s*template\s*<|^[ \t]*(?:try\b|constexpr\b)|^[ \t]*catch\s*\("
    r"|^[ \t]*(?:class|(?:using[ \t]+)?namespace)\s+\w+|^[ \t]*(?:private|public|protected):|\bstd::\w+"
)
# Extension -> (language, what in its content says so), tried in order; where none holds the table above stands.
# After linguist's heuristics.yml; its look-arounds are written out for RE2.
BY_CONTENT: dict[str, tuple[tuple[str, str], ...]] = {
    "d": (("Makefile", r"^[\w./\\ ]+\.\w+\s*:\s.*\.\w+\s*\\?$"),),
    "fs": (
        ("Forth", r"^(?:: |new-device)"),
        ("F#", r"^\s*(?:#light|import|let|module|namespace|open|type)\b"),
        ("GLSL", r"^\s*(?:#version|precision|uniform|varying|vec[234])\b"),
    ),
    "h": (("Objective-C", _OBJECTIVE_C), ("C++", _CPP)),
    "m": (("Objective-C", _OBJECTIVE_C), ("MATLAB", r"^\s*(?:%|function\b.*=|classdef\b)|^\s*end\s*;?\s*$")),
    "pl": (
        ("Raku", r"^\s*(?:use\s+v6\b|(?:my\s+)?(?:class|grammar|role)\s+\w+)"),
        ("Perl", r"\buse\s+(?:strict|warnings|v?5)\b|^\s*(?:sub|package)\s+\w+|^#!.*\bperl"),
        ("Prolog", r"^[^#%]*:-"),
    ),
    "pm": (("Raku", r"^\s*(?:use\s+v6\b|unit\s+(?:module|class)\b|(?:my\s+)?(?:class|grammar|role)\s+\w+)"),),
    "pp": (("Puppet", r"^\s*\w+\s*\{\s*['\"$]|^\s+\w+\s+=>\s|^\s*(?:class|define|node)\s+[\w:'\"]+.*\{"),),
    "rs": (("XML", r"\A\s*<\?xml"),),
    "ts": (("XML", r"<TS\b"),),
    "v": (("Rocq Prover", r"(?:^|\s)(?:Proof|Qed|Defined)\.(?:$|\s)|(?:^|\s)Require[ \t]+(?:Import|Export)\s"),),
}
# Linguist looks at as much.
CONSIDERED_BYTES = 50 * 1024

INTERPRETERS: dict[str, str] = {
    "bash": "Shell",
    "dash": "Shell",
    "deno": "TypeScript",
    "elixir": "Elixir",
    "escript": "Erlang",
    "groovy": "Groovy",
    "guile": "Scheme",
    "julia": "Julia",
    "ksh": "Shell",
    "lua": "Lua",
    "make": "Makefile",
    "node": "JavaScript",
    "nodejs": "JavaScript",
    "ocaml": "OCaml",
    "perl": "Perl",
    "php": "PHP",
    "pwsh": "PowerShell",
    "pypy": "Python",
    "python": "Python",
    "racket": "Racket",
    "rscript": "R",
    "ruby": "Ruby",
    "runghc": "Haskell",
    "runhaskell": "Haskell",
    "sbcl": "Common Lisp",
    "sh": "Shell",
    "swift": "Swift",
    "tclsh": "Tcl",
    "ts-node": "TypeScript",
    "wish": "Tcl",
    "zsh": "Shell",
}


def language_of(path: str) -> str | None:
    """The language of a file called `path`, or None where the table knows none."""
    name = path.rsplit("/", 1)[-1]
    if name in FILENAMES:
        return FILENAMES[name]
    stem, dot, extension = name.rpartition(".")
    return _by_extension().get(extension.lower()) if dot and stem else None


def may_be_a_script(path: str) -> bool:
    """A name without an extension, such as `manage`, whose first line may name an interpreter; no LICENSE or README."""
    name = path.rsplit("/", 1)[-1]
    return "." not in name and any(letter.islower() for letter in name)


def possible(path: str) -> frozenset[str]:
    """All languages that a file of this name can turn out to be."""
    found = language_of(path)
    if found is None:
        return frozenset(INTERPRETERS.values()) if may_be_a_script(path) else frozenset()
    return frozenset({found, *(language for language, _ in BY_CONTENT.get(_extension(path), ()))})


def refined(path: str, content: bytes) -> str | None:
    """The language of a file of this name with this content; None for a script of no known interpreter."""
    found = language_of(path)
    if found is None:
        return _by_interpreter(content)
    head = content[:CONSIDERED_BYTES]
    rules = _rules(_extension(path))
    return next((language for language, pattern in rules if pattern.search(head) is not None), found)


def is_ambiguous(path: str) -> bool:
    return _extension(path) in BY_CONTENT or language_of(path) is None


def named(asked: str) -> str | None:
    """The table's spelling of a language's name, whatever its case."""
    return _by_folded_name().get(asked.casefold())


def extension_of(language: str) -> str:
    """The language's most usual extension, without the dot."""
    return EXTENSIONS[language][0] if language in EXTENSIONS else SHARING[language]


def _extension(path: str) -> str:
    return path.rsplit("/", 1)[-1].rpartition(".")[2].lower()


def _by_interpreter(content: bytes) -> str | None:
    first = content[:200].split(b"\n", 1)[0]
    found = _interpreter().search(first)
    return None if found is None else INTERPRETERS.get(found.group(1).decode().lower())


@cache
def _interpreter() -> Any:
    """`#!/usr/bin/env -S python3.11 -u`: the program's name, without its version."""
    return re2.compile(rb"^#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*)?(?:\S*/)?([A-Za-z][A-Za-z-]*)")


@cache
def _rules(extension: str) -> list[tuple[str, Any]]:
    return [(language, re2.compile(f"(?m){pattern}".encode())) for language, pattern in BY_CONTENT.get(extension, ())]


@cache
def _by_extension() -> dict[str, str]:
    return {extension: language for language, extensions in EXTENSIONS.items() for extension in extensions}


@cache
def _by_folded_name() -> dict[str, str]:
    return {language.casefold(): language for language in (*EXTENSIONS, *SHARING)}
