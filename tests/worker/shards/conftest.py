"""The tokenizer tests' dataset, and a tokenizer trained on it."""

from __future__ import annotations

import pytest

from tests.worker.tokenizer.conftest import dataset, make_context, make_dataset  # noqa: F401
from worker.manifest import hash_folder
from worker.specs import ArtifactRef, TrainTokenizer
from worker.tokenizer.train import run


@pytest.fixture
def tokenizer(dataset, make_context):  # noqa: F811
    folder = run(TrainTokenizer(dataset, vocabulary_size=330), make_context("tokenizer")).outputs["tokenizer"]
    return ArtifactRef(str(folder), hash_folder(folder)[0])
