"""What is said of a language, as data: languages/NAME.toml, one file each. Another one is another file.

name, title         "javascript", "JavaScript"
file                what the program is called in its folder
comment             what begins a comment to the end of the line
stop                strings that end a completion of a function's body
opaque              patterns of what hides a brace (strings, comments, regular expressions), which also say that a
                    completion ends where the braces that its prompt opened are closed; without them it does not
builtin             true for Python alone: it runs on the interpreter that runs us, forked where that is possible
compile, run        lines of sh, with {tool} for each tool's path, {cache} for the warm cache and {libraries} for
                    what machine.libraries finds; see worker.sandbox.Toolchain for what `run` owes the sandbox
failed_pattern      found in the output when an assertion did not hold; any other ending is an error
address_space, least_memory_bytes, least_processes, least_disk_bytes, compile_cpu_seconds
                    as in Toolchain
readable            glob patterns of further files that the tools read (/etc/java-*)
[environment]       variables for both, with {cache} and {libraries}
[files]             text files beside the program, the verdict file among them
same_files_as       the language whose [files] are meant as well
[[tools]]           name; find: names on the PATH, or package/path inside an installed Python package, in the order
                    of preference, each with arguments that it always takes; version: arguments that print it;
                    at_least: the oldest that will do; home: arguments that print the folder it lives in, where that
                    is not its bin folder's parent
[warm]              command: fills {cache} once per tool version, outside the sandbox, on nothing but itself
[self_test]         hello, failing, endless, missing_module, early_exit: the programs of self_test.py
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "languages"
SELF_TESTS = ("hello", "failing", "endless", "missing_module", "early_exit")


@dataclass(frozen=True)
class Tool:
    """A program that a runtime needs."""

    name: str
    find: tuple[str, ...]
    version: tuple[str, ...]
    at_least: str = ""
    home: tuple[str, ...] = ()


@dataclass(frozen=True)
class Runtime:
    """One declaration; the module's docstring says what each part means."""

    name: str
    title: str
    file: str
    comment: str
    stop: tuple[str, ...]
    self_test: Mapping[str, str]
    run: str = ""
    compile: str = ""
    builtin: bool = False
    failed_pattern: str = ""
    address_space: bool = True
    least_memory_bytes: int = 0
    least_disk_bytes: int = 0
    least_processes: int = 0
    compile_cpu_seconds: float = 60.0
    readable: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    warm: str = ""
    same_files_as: str = ""
    opaque: tuple[str, ...] = ()


# What changes no verdict: words, and what is only asked of a model or of the runtime itself.
_SAID = ("title", "comment", "stop", "opaque", "self_test", "tools")


def fingerprint(runtime: Runtime) -> str:
    """16 hex digits of how programs are compiled and run: another flag may judge the same program otherwise."""
    plain = {name: value for name, value in dataclasses.asdict(runtime).items() if name not in _SAID}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def declared() -> Mapping[str, Runtime]:
    """All languages by name. Raises ValueError that names the file and what is wrong in it."""
    runtimes = {path.stem: read(path) for path in sorted(FOLDER.glob("*.toml"))}
    return {name: _with_files(runtime, runtimes) for name, runtime in runtimes.items()}


def _with_files(runtime: Runtime, runtimes: Mapping[str, Runtime]) -> Runtime:
    if not runtime.same_files_as:
        return runtime
    if runtime.same_files_as not in runtimes:
        raise ValueError(f"{runtime.name}.toml: no language is called {runtime.same_files_as}")
    return replace(runtime, files={**runtimes[runtime.same_files_as].files, **runtime.files})


def read(path: Path) -> Runtime:
    """One declaration. Raises ValueError."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        runtime = _runtime(raw)
        re.compile("|".join(runtime.opaque))
    except (KeyError, TypeError, ValueError, re.error) as error:  # TOMLDecodeError is a ValueError
        raise ValueError(f"{path.name}: {error}") from error
    missing = [name for name in SELF_TESTS if name not in runtime.self_test]
    if runtime.name != path.stem or missing:
        raise ValueError(f"{path.name}: the name is not the file's, or a self-test is missing: {', '.join(missing)}")
    return runtime


def _runtime(raw: dict[str, Any]) -> Runtime:
    tools = tuple(_as(Tool, tool) for tool in raw.pop("tools", []))
    warm = raw.pop("warm", {}).get("command", "")
    return _as(Runtime, {**raw, "tools": tools, "warm": warm})


def _as(cls: type[Any], raw: dict[str, Any]) -> Any:
    unknown = raw.keys() - {known.name for known in fields(cls)}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()})
