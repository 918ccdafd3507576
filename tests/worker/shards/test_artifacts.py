"""What the pages are tested with is what the stages write."""

from __future__ import annotations

import pytest

from tests.worker import artifacts


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts") / "made"
    artifacts.make(folder)
    return folder


@pytest.mark.parametrize(
    "name", ["tokenizer/tokenizer.json", "tokenizer/vocabulary.parquet", "shards/train", "batches"]
)
def test_what_is_checked_in_is_what_the_stages_make(made, name):
    ours, theirs = artifacts.FOLDER / name, made / name
    files = [path.relative_to(theirs) for path in sorted(theirs.rglob("*")) if path.is_file()]
    for file in files:
        assert (ours / file).read_bytes() == (theirs / file).read_bytes(), "run: python -m tests.worker.artifacts"
    assert theirs.is_dir() or ours.read_bytes() == theirs.read_bytes(), "run: python -m tests.worker.artifacts"
