"""What this machine has: finds a runtime's tools, asks their versions, and makes the toolchain for the sandbox.

Only tools are run here, to print their version or to compile their own library; no program that a model wrote.
"""

from __future__ import annotations

import dataclasses
import functools
import glob
import hashlib
import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.evaluation.runtimes.declaration import Runtime, Tool
from worker.sandbox import Toolchain

_PROBE_SECONDS, _WARM_SECONDS = 60.0, 900.0
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")


class NotFound(Exception):
    """A tool is not on this machine, is too old, or does not answer."""


@dataclass(frozen=True)
class Installed:
    """A runtime that this machine has. `toolchain` is None for the Python that runs us."""

    runtime: Runtime
    versions: Mapping[str, str]
    toolchain: Toolchain | None


@dataclass(frozen=True)
class _FoundTool:
    path: str
    home: str
    version: str
    arguments: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """For sh."""
        return shlex.join([self.path, *self.arguments])

    @property
    def is_systems(self) -> bool:
        return any(Path(self.path).is_relative_to(folder) for folder in _SYSTEM)


def install(runtime: Runtime) -> Installed:
    """Find all that a runtime needs. Raises NotFound, with what is missing."""
    if runtime.builtin:
        return Installed(runtime, {"python": platform.python_version()}, None)
    found = {tool.name: find(tool) for tool in runtime.tools}
    versions = {name: tool.version for name, tool in found.items()}
    folders = {"libraries": libraries(runtime.name)}
    if folders["libraries"]:
        versions["libraries"] = _fingerprint(Path(folders["libraries"]))
    folders["cache"] = _warm(runtime, found, folders["libraries"], versions) if runtime.warm else ""
    return Installed(runtime, versions, _toolchain(runtime, found, folders))


def libraries(language: str) -> str:
    """The folder of further libraries that whoever runs this machine offers to programs of a language: `language` in
    $RUNTIME_LIBRARIES. "" where there is none.
    """
    base = os.environ.get("RUNTIME_LIBRARIES")
    folder = Path(base, language) if base else None
    return str(folder.resolve()) if folder is not None and folder.is_dir() else ""


def _fingerprint(folder: Path) -> str:
    """Of names and sizes: it changes when another version of a library is put there, and costs no reading."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listing = "\n".join(f"{path.relative_to(folder)} {path.stat().st_size}" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:16]


@functools.cache
def find(tool: Tool) -> _FoundTool:
    """The first of its places that has it, in a version that will do. Raises NotFound, saying what each place had."""
    refusals = []
    for place, *arguments in map(str.split, tool.find):
        path = _locate(place)
        if path is None:
            refusals.append(f"no {place}")
            continue
        try:
            found = _ask(tool, path, tuple(arguments))
        except (OSError, subprocess.SubprocessError) as error:
            refusals.append(f"{path}: {error}")
            continue
        if _numbers(found.version) >= _numbers(tool.at_least):
            return found
        refusals.append(f"{path} is {found.version}, needed is {tool.at_least}")
    raise NotFound("; ".join(refusals))


def _locate(place: str) -> str | None:
    if "/" not in place:
        return shutil.which(place)
    package, _, inside = place.partition("/")
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / inside
        if os.access(path, os.X_OK):
            return str(path)
    return None


def _ask(tool: Tool, path: str, arguments: tuple[str, ...]) -> _FoundTool:
    version = _output(path, *arguments, *tool.version).splitlines()[0].strip()
    path = os.path.realpath(path) if not tool.home else path
    if not tool.home:
        folder = Path(path).parent
        return _FoundTool(path, str(folder.parent if folder.name == "bin" else folder), version, arguments)
    # A launcher, such as rustup's: the tool itself is where it says.
    home = _output(path, *tool.home).strip()
    return _FoundTool(str(Path(home) / "bin" / Path(path).name), home, version, arguments)


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True, cwd="/")
    return done.stdout or done.stderr  # java -version and the like answer on stderr


def _numbers(version: str) -> list[int]:
    first = re.search(r"\d+(?:\.\d+)*", version)
    return [int(part) for part in first[0].split(".")] if first else []


def _toolchain(runtime: Runtime, found: Mapping[str, _FoundTool], folders: Mapping[str, str]) -> Toolchain:
    quoted = {name: shlex.quote(path) for name, path in folders.items()}
    quoted |= {name: tool.command for name, tool in found.items()}
    roots = [tool.home for tool in found.values() if not tool.is_systems]
    roots += [path for pattern in runtime.readable for path in sorted(glob.glob(pattern))]  # noqa: PTH207 (absolute)
    roots += [folder for folder in folders.values() if folder]
    same = {name: getattr(runtime, name) for name in _SHARED_FIELDS}
    return Toolchain(
        **same,
        run=fill(runtime.run, quoted),
        compile=fill(runtime.compile, quoted),
        files=tuple(runtime.files.items()),
        environment=tuple((name, fill(value, folders)) for name, value in runtime.environment.items()),
        roots=tuple(dict.fromkeys(roots)),
    )


_SHARED_FIELDS = sorted(
    {known.name for known in dataclasses.fields(Toolchain)} & {known.name for known in dataclasses.fields(Runtime)}
    - {"run", "compile", "files", "environment"}
)  # fmt: skip


def fill(text: str, values: Mapping[str, str]) -> str:
    """{name} by its value; other braces, of which sh has many, are left alone."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _warm(runtime: Runtime, found: Mapping[str, _FoundTool], further: str, versions: Mapping[str, str]) -> str:
    """The runtime's cache of compiled libraries, made once per version and never written again.

    It is filled beside its place and then renamed: a warm-up that was interrupted is done again. Raises NotFound.
    """
    made_of = [runtime.warm, *(tool.command for tool in found.values()), *versions.values()]
    key = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]
    place = caches() / f"{runtime.name}-{key}"
    if not place.exists():
        unfinished = place.with_name(f"{place.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        words = {"cache": shlex.quote(str(unfinished)), "libraries": shlex.quote(further)}
        words |= {name: tool.command for name, tool in found.items()}
        _fill_cache(runtime, fill(runtime.warm, words), unfinished)
        try:
            unfinished.rename(place)
        except OSError:  # another process was quicker
            shutil.rmtree(unfinished)
    return str(place)


def _fill_cache(runtime: Runtime, script: str, folder: Path) -> None:
    print(f"{runtime.title}: compiling its library once", file=sys.stderr, flush=True)  # noqa: T201 (takes a minute)
    command = ["/bin/sh", "-ec", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_WARM_SECONDS, cwd=folder, check=False)
    if done.returncode:
        shutil.rmtree(folder)
        raise NotFound(f"its library cannot be compiled: {done.stderr.strip()[-300:]}")


def caches() -> Path:
    """Where warm caches are kept: under XDG_CACHE_HOME, or .cache at home."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "modelyard" / "runtimes"
