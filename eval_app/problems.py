"""What is known of a problem beside its prompt: its reference and its tests; and a project's own problems as a file.

Looked for in what the evaluation was judged on, in the project's own rows, in what was admitted, and in a file that was
uploaded here. Files elsewhere are the workers' to read: this process opens nothing outside storage, whatever path a
suite names.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from django.conf import settings

from eval_app.models import Evaluation, SampleResult, Suite, SuiteAdmission, SuiteProblem
from worker import manifest

FILE = "problems.jsonl"


@dataclass(frozen=True)
class Known:
    """A problem's texts; "" where its format has none."""

    task_id: str
    language: str
    prompt: str
    reference: str
    tests: str
    suffix: str = ""
    setup: str = ""  # before the prompt, unseen by the model
    buggy: str = ""
    from_completion: str = ""
    from_sample: SampleResult | None = None


def known(suite: Suite, task_id: str, evaluation: Evaluation | None = None) -> Known | None:
    """The problem as `evaluation` saw it, or as the suite has it now; None where neither can be read here."""
    row = _in_artifact(evaluation, task_id)
    if row is not None:
        return _of_record(row)
    if suite.is_own:
        own = suite.problems.filter(task_id=task_id).first()
        return _of_row(own) if own else None
    row = _in_artifact(SuiteAdmission.objects.newest_ready(suite), task_id)
    if row is not None:
        return _of_record(row)
    is_kept = suite.location.startswith(_storage()) and "/../" not in suite.location
    found = next(_rows(suite.location, task_id), None) if is_kept else None
    return _of_record(found) if found is not None else None


def _in_artifact(made: Evaluation | SuiteAdmission | None, task_id: str) -> Mapping[str, Any] | None:
    """Both keep the problems that they were made of, whatever format the suite has."""
    return next(_rows(f"{made.uri}/{FILE}", task_id), None) if made and made.uri else None


def _storage() -> str:
    """Where uploads lie, as an address with its protocol: artifacts are named so."""
    filesystem, root = fsspec.core.url_to_fs(settings.STORAGE_URL)
    return f"{filesystem.unstrip_protocol(root).rstrip('/')}/"


def _rows(address: str, task_id: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a JSON lines file that are of this problem; none if there is no such file."""
    mark = json.dumps(task_id)[1:-1]
    try:
        with fsspec.open(address, "rt", encoding="utf-8", compression="infer") as lines:
            for line in lines:
                # Reading 164 lines as JSON takes 4 ms, finding the one that names the problem 0.1.
                if mark in line and (row := json.loads(line)).get("task_id") == task_id:
                    yield row
    except FileNotFoundError:
        return


def _of_row(row: SuiteProblem) -> Known:
    told = ("task_id", "language", "prompt", "reference", "tests", "suffix", "buggy", "from_completion", "from_sample")
    return Known(**{name: getattr(row, name) for name in told})


def _of_record(row: Mapping[str, Any]) -> Known:
    """The worker's own record, or HumanEval's fields."""
    before, tests = str(row.get("before") or ""), row.get("tests") or row.get("test") or ""
    reference = row.get("reference") or row.get("canonical_solution") or ""
    return Known(
        task_id=str(row["task_id"]),
        language=str(row.get("language", "python")),
        prompt=str(row["prompt"]),
        reference=str(reference),
        tests=f"{before}{tests}",
        suffix=str(row.get("suffix") or ""),
        setup=str(row.get("setup") or ""),
        buggy=str(row.get("buggy") or ""),
    )


def location(suite: Suite) -> str:
    """Where a worker finds the suite's problems: a project's own are written into storage, named by their content."""
    if not suite.is_own:
        return suite.location
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "suite"
        folder.mkdir()
        with (folder / FILE).open("w", encoding="utf-8") as out:
            for row in suite.problems.order_by("created_at", "pk"):
                out.write(json.dumps(row.record(), ensure_ascii=False) + "\n")
        artifact = manifest.publish(folder, settings.STORAGE_URL, "suite")
    return f"{artifact.uri}/{FILE}"
