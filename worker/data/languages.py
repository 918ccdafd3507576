"""The language of a file by its name. Names are those of GitHub Linguist; a file's content is not looked at.

Extensions that several languages share go to the one with most files in public corpora (.h to C, .m to Objective-C,
.pl to Perl, .v to Verilog).
"""

from __future__ import annotations

from functools import cache

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


def language_of(path: str) -> str | None:
    """The language of a file called `path`, or None where the table knows none."""
    name = path.rsplit("/", 1)[-1]
    if name in FILENAMES:
        return FILENAMES[name]
    stem, dot, extension = name.rpartition(".")
    return _by_extension().get(extension.lower()) if dot and stem else None


def named(asked: str) -> str | None:
    """The table's spelling of a language's name, whatever its case."""
    return _by_folded_name().get(asked.casefold())


def extension_of(language: str) -> str:
    """The language's most usual extension, without the dot."""
    return EXTENSIONS[language][0]


@cache
def _by_extension() -> dict[str, str]:
    return {extension: language for language, extensions in EXTENSIONS.items() for extension in extensions}


@cache
def _by_folded_name() -> dict[str, str]:
    return {language.casefold(): language for language in EXTENSIONS}
