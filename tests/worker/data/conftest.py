"""Small sources on disk and a context to run the data stages in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker import cleaning
from worker.context import Context
from worker.events import ListReporter
from worker.specs import IngestRecipe, SourceSpec, StepSpec


@pytest.fixture
def context(tmp_path):
    (tmp_path / "job").mkdir()
    return Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage"))


@pytest.fixture
def recipe():
    return make_recipe(held_out_share=0.2)


def make_recipe(changes: dict[str, dict] | None = None, without: tuple[str, ...] = (), **fields) -> IngestRecipe:
    """The default recipe for files as small as a test's, with some parameters changed and some steps left out."""
    steps = cleaning.with_parameters({"size": {"min_bytes": 1}, **(changes or {})}, without)
    return IngestRecipe(tuple(StepSpec(step["name"], step["parameters"]) for step in steps), **fields)


@pytest.fixture
def make_source(tmp_path):
    """make_source("name", {"a.py": "text"}, held_out=True) -> SourceSpec of a folder with these files."""

    def make(name: str, files: dict[str, str | bytes], **options) -> SourceSpec:
        root = tmp_path / "sources" / name
        root.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            write(root / path, content)
        return SourceSpec(name, str(root), **options)

    return make


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def functions(n: int, tag: str = "f") -> dict[str, str]:
    """n different Python files."""
    return {f"{tag}{i:03d}.py": f"def {tag}_{i}(value):\n    return value + {i}\n" for i in range(n)}


def statistics(folder: Path) -> dict:
    return json.loads((folder / "statistics.json").read_text())
