"""A small dataset folder, made by hand: the tokenizer reads nothing but its parts."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from worker.context import Context
from worker.data.documents import DOCUMENT, content_sha, document_id, write_parquet
from worker.events import ListReporter
from worker.manifest import hash_folder
from worker.specs import ArtifactRef

WORDS = ["value", "width", "height", "self", "index", "result", "total", "items", "name", "path", "count", "data"]


def python_text(number: int) -> str:
    rng = random.Random(number)
    name = "_".join(rng.sample(WORDS, 2))
    body = "".join(f"    {rng.choice(WORDS)} = {rng.choice(WORDS)} + {rng.randint(0, 99)}\n" for _ in range(6))
    return f"def {name}_{number}({', '.join(rng.sample(WORDS, 3))}):\n{body}    return {rng.choice(WORDS)}\n"


def document(path: str, content: str, split: str = "train", language: str = "Python") -> dict:
    raw = content.encode()
    return {
        "id": document_id("s", path, raw),
        "source": "s",
        "path": path,
        "language": language,
        "license": "MIT",
        "split": split,
        "size_bytes": len(raw),
        "n_lines": content.count("\n"),
        "content_sha": content_sha(raw),
        "content": content,
        "tokens": len(content.split()),
        "repository": "",
        "author": "",
    }


@pytest.fixture
def make_dataset(tmp_path):
    """make_dataset(rows) -> ArtifactRef of a folder with one part."""

    def make(rows: list[dict], name: str = "dataset") -> ArtifactRef:
        (tmp_path / name / "data").mkdir(parents=True)
        table = pa.Table.from_pylist(rows, DOCUMENT).sort_by("id")
        write_parquet(table, tmp_path / name / "data" / "part-00000.parquet")
        return ArtifactRef(str(tmp_path / name), hash_folder(tmp_path / name)[0])

    return make


@pytest.fixture
def dataset(make_dataset):
    train = [document(f"t{n}.py", python_text(n)) for n in range(80)]
    held = [document(f"h{n}.py", python_text(1000 + n), "held_out") for n in range(8)]
    return make_dataset([*train, *held, document("x.c", "int main(void) { return 0; }\n", "held_out_source", "C")])


@pytest.fixture
def make_context(tmp_path):
    def make(name: str = "job") -> Context:
        (tmp_path / name).mkdir(exist_ok=True)
        return Context(tmp_path / name, ListReporter(), str(tmp_path / "storage"))

    return make
