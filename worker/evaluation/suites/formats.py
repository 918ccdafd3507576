"""Published formats, one reader each. A row's fields say which format it is; a file's name says nothing.

    own             language, and a field that only the record has (tests, reference, scorer ...)
    HumanEval       test, entry_point, canonical_solution                   Chen et al. 2021, openai/human-eval
    Infilling       HumanEval's and suffix                                  Bavarian et al. 2022
    SantaCoder FIM  prompt, suffix, canonical_solution, language            Ben Allal et al. 2023
    MBPP            text, code, test_list; sanitized: prompt, code, ...     Austin et al. 2021
    MultiPL-E       name, language, tests, stop_tokens                      Cassano et al. 2022
    mxeval          HumanEval's, language and description                   Athiwaratkun et al. 2022
    HumanEvalPack   canonical_solution, buggy_solution                      Muennighoff et al. 2023
    ODEX            test_start, test (a list), intent                       Wang et al. 2022

Where harnesses disagree on a template or stops, bigcode-evaluation-harness is followed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from worker.evaluation.runtimes import declared
from worker.evaluation.suites.problem import FUNCTION_STOPS, BadProblem, Problem, checked

Row = Mapping[str, Any]

_MBPP_STOPS = ("\nclass ", "\nassert", '\n"""', "\nprint(", "\nif ", "\n```")
# How formats call languages that have another name here.
_LANGUAGES = {
    "js": "javascript",
    "py": "python",
    "rb": "ruby",
    "rs": "rust",
    "ts": "typescript",
    "sh": "bash",
    "pl": "perl",
}
# HumanEvalPack's Rust prompts import these crates whether they are used or not; without Cargo nothing would compile.
_CRATES = re.compile(r"^use (?:rand::Rng|regex::Regex|md5);\n", re.MULTILINE)
_GO_PACKAGES = {
    "bytes": "Equal", "crypto/md5": "New", "fmt": "Sprint", "math": "Abs", "math/rand": "Int", "regexp": "MustCompile",
    "sort": "Ints", "strconv": "Itoa", "strings": "ToLower", "time": "Now",
}  # fmt: skip
_MODULES = re.compile(r"""\brequire\(["']([\w./@-]+)["']\)|["'](github\.com/[\w./-]+)["']""")
_NODES_OWN = frozenset({"assert", "buffer", "crypto", "fs", "os", "path", "url", "util"})


def read_row(row: Row) -> Problem:
    """A row of any known format. Raises BadProblem."""
    for belongs, read in _READERS:
        if belongs(row):
            return checked(read(row))
    raise BadProblem(f"its fields fit no known format: {', '.join(sorted(row))}")


def _text(row: Row, *names: str) -> str:
    """The first of the fields that is there, which must be a text."""
    name = next((name for name in names if name in row), names[0])
    value = row.get(name)
    if not isinstance(value, str):
        raise BadProblem(f"has no text called {name}")
    return value


def _texts(row: Row, name: str) -> tuple[str, ...]:
    value = row.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadProblem(f"{name} must be a list of texts")
    return tuple(value)


def _reference(row: Row) -> str | None:
    """mxeval has null where nobody wrote one."""
    return None if row.get("canonical_solution") is None else _text(row, "canonical_solution")


def _identity(row: Row) -> str:
    value = row.get("task_id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadProblem("has no task_id")
    return str(value)


def _language(name: str) -> str:
    lowered = name.lower()
    return _LANGUAGES.get(lowered, lowered)


def _stops(language: str, closes_itself: bool) -> tuple[str, ...]:
    """The language's own. A stop is cut off, so a completion that must write its last brace cannot be stopped by it."""
    runtime = declared().get(language)
    if runtime is None:
        return ("\n```",)
    return tuple(stop for stop in runtime.stop if not (closes_itself and "}" in stop))


def _closes_itself(reference: str | None) -> bool:
    return reference is None or reference.rstrip().endswith("}")


def _human_eval(row: Row) -> Problem:
    entry_point, tests = _text(row, "entry_point"), _text(row, "test")
    stop = _texts(row, "stop") or FUNCTION_STOPS
    if not all(stop):
        raise BadProblem("stop must be a list of strings, none of them empty")
    return Problem(
        _identity(row), "python", _text(row, "prompt"), _text(row, "canonical_solution"),
        tests=f"{tests}\ncheck({entry_point})\n", entry_point=entry_point, stop=stop,
    )  # fmt: skip


def _infilling(row: Row) -> Problem:
    """No stops: the middle may be anything; where it ends is what is measured."""
    entry_point, tests = _text(row, "entry_point"), _text(row, "test")
    return Problem(
        _identity(row), "python", _text(row, "prompt"), _text(row, "canonical_solution"),
        tests=f"{tests}\ncheck({entry_point})\n", suffix=_text(row, "suffix"), entry_point=entry_point, kind="infill",
    )  # fmt: skip


def _santa_coder(row: Row) -> Problem:
    prompt, suffix = _text(row, "prompt"), _text(row, "suffix")
    identity = _identity(row) if "task_id" in row else f"FIM/{_digest(prompt + suffix)}"
    return Problem(
        identity, _language(_text(row, "language")), prompt, _text(row, "canonical_solution"),
        suffix=suffix, kind="infill", scorer="exact_match",
    )  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _mbpp(row: Row) -> Problem:
    """The prompt is a docstring with the task and its first test, as InCoder has it."""
    tests = _texts(row, "test_list")
    if not tests:
        raise BadProblem("test_list is empty")
    prompt = f'"""\n{_text(row, "text", "prompt")}\n{tests[0]}\n"""\n'
    imports = "".join(f"{line}\n" for line in _texts(row, "test_imports"))
    setup = _text(row, "test_setup_code") if "test_setup_code" in row else ""
    return Problem(
        f"MBPP/{_identity(row)}", "python", prompt, _text(row, "code").replace("\r\n", "\n"), tests="\n".join(tests) + "\n",
        before=f"{imports}{setup}\n".replace("\r\n", "\n"), stop=_MBPP_STOPS,
    )  # fmt: skip


def _multipl_e(row: Row) -> Problem:
    """No references. Tests of brace languages begin with the brace that the stop cut off."""
    language = _language(_text(row, "language"))
    tests, stop = _text(row, "tests"), _texts(row, "stop_tokens")
    return Problem(
        f"{language}/{_text(row, 'name')}", language, _text(row, "prompt"), tests=tests, stop=tuple(filter(None, stop)),
        requires=_required(tests),
    )  # fmt: skip


def _mxeval(row: Row) -> Problem:
    language, reference = _language(_text(row, "language")), _reference(row)
    tests, entry_point = _text(row, "test"), _text(row, "entry_point")
    python = language == "python"
    stop = FUNCTION_STOPS if python else _stops(language, _closes_itself(reference))
    return Problem(
        _identity(row), language, _text(row, "prompt"), reference, entry_point=entry_point, stop=stop,
        tests=f"{tests}\ncheck({entry_point})\n" if python else tests, requires=_required(tests),
    )  # fmt: skip


def _human_eval_pack(row: Row) -> Problem:
    """Its task_ids name the language: CPP/0. Go's prompts begin with their imports, so its package goes before them."""
    identity, reference = _identity(row), _text(row, "canonical_solution")
    language = _language(identity.split("/")[0])
    setup = f"{_text(row, 'test_setup')}\n" if "test_setup" in row else ""
    before = ""
    if language == "go":
        setup, before = _go_imports(setup, _text(row, "prompt"))
    prompt = _CRATES.sub("", _text(row, "prompt"))
    stop = FUNCTION_STOPS if language == "python" else _stops(language, _closes_itself(reference))
    return Problem(
        identity, language, prompt, reference, tests=f"{_text(row, 'test')}\n", buggy=_text(row, "buggy_solution"),
        setup=setup, before=before, entry_point=_text(row, "entry_point"), stop=stop, requires=_required(f"{setup}{prompt}{reference}"),
    )  # fmt: skip


def _go_imports(setup: str, prompt: str) -> tuple[str, str]:
    """The setup with the packages that the harness would import for a completion that uses them, and a use of each:
    Go refuses a package that is imported and not used, and one that is used and not imported.
    """
    missing = [package for package in _GO_PACKAGES if f'"{package}"' not in setup + prompt]
    imports = "".join(f'import "{package}"\n' for package in missing)
    uses = "".join(f"var _ = {package.split('/')[-1]}.{name}\n" for package, name in _GO_PACKAGES.items())
    return f"{setup}{imports}\n", uses


def _odex(row: Row) -> Problem:
    """An intent, and an expression or a statement for it; what follows the statement is not shown to the model.

    Its prompts are indented by tabs, its tests by spaces.
    """
    head, _, indented = _text(row, "prompt").partition("\n")
    intent = _text(row, "intent").replace("\\", "\\\\").replace('"', "'")
    prompt = f'{head}\n\t"""{intent}"""\n{indented}'
    entry_point = _text(row, "entry_point")
    return Problem(
        f"ODEX/{_identity(row)}", "python", _spaced(prompt), _spaced(_text(row, "canonical_solution")),
        tests=f"{_text(row, 'test_start')}{''.join(_texts(row, 'test'))}\ncheck({entry_point})\n",
        suffix=_spaced(_text(row, "suffix").rstrip()), entry_point=entry_point, stop=FUNCTION_STOPS,
        requires=_texts(row, "library"),
    )  # fmt: skip


def _spaced(text: str) -> str:
    return text.replace("\t", "    ")


def _required(text: str) -> tuple[str, ...]:
    """Libraries that a program asks for by name, in JavaScript and Go."""
    names = (one or other for one, other in _MODULES.findall(text))
    return tuple(dict.fromkeys(name for name in names if name not in _NODES_OWN))


_OWN = ("reference", "tests", "scorer", "buggy", "before", "setup")


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(name in row for name in names)


# In this order: what is more particular comes first.
_READERS: tuple[tuple[Callable[[Row], bool], Callable[[Row], Problem]], ...] = (
    (_has("name", "language", "tests"), _multipl_e),
    (lambda row: "language" in row and any(name in row for name in _OWN), Problem.from_json),
    (_has("buggy_solution", "canonical_solution"), _human_eval_pack),
    (_has("test_start", "intent"), _odex),
    (_has("test_list", "code"), _mbpp),
    (_has("suffix", "test"), _infilling),
    (_has("suffix", "language", "canonical_solution"), _santa_coder),
    (_has("language", "test"), _mxeval),
    (_has("test"), _human_eval),
)
