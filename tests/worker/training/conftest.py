"""A shard set of 64 tokens' vocabulary with something to learn in it, and the specs to train on it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import worker.training  # noqa: F401 - prepares the process before torch is loaded
from worker import manifest, recipes
from worker.context import Context
from worker.events import ListReporter
from worker.specs import ArtifactRef, TrainModel, TrainRecipe

VOCABULARY_SIZE, SEQUENCE_LENGTH = 64, 32
SPECIAL_IDS = {"end_of_text": 0, "fim_prefix": 1, "fim_middle": 2, "fim_suffix": 3, "fim_pad": 4}
TOKENIZER_FILES = {"tokenizer.json": '{"version": "1.0"}', "fertility.json": "{}"}
BYTES_PER_TOKEN = {"train": 3.0, "held_out": 3.0, "held_out_source": 2.5}


def write_tokenizer(folder: Path) -> str:
    """A folder that stands for a tokenizer's artifact, and its hash."""
    folder.mkdir(exist_ok=True)
    for name, text in TOKENIZER_FILES.items():
        (folder / name).write_text(text)
    return manifest.hash_folder(folder)[0]


with tempfile.TemporaryDirectory() as _folder:
    TOKENIZER_SHA256 = write_tokenizer(Path(_folder))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: end-to-end flows; still run in CI")
    config.addinivalue_line("markers", "gpu: needs a CUDA device; skipped elsewhere")


def documents(rng: np.random.Generator, n_tokens: int) -> np.ndarray:
    """Counting sequences from a random start, each ended by end of text: learnable in twenty steps."""
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < n_tokens:
        start, length = rng.integers(8, VOCABULARY_SIZE), rng.integers(4, 16)
        counting = 8 + (start - 8 + np.arange(length)) % (VOCABULARY_SIZE - 8)
        parts += [counting, np.array([SPECIAL_IDS["end_of_text"]])]
    return np.concatenate(parts)[:n_tokens]


def write_shards(folder: Path, sizes: dict[str, int]) -> Path:
    from streaming import MDSWriter

    for index, (split, n_samples) in enumerate(sizes.items()):
        rng = np.random.default_rng([3, index])
        columns = {"tokens": f"ndarray:uint16:{SEQUENCE_LENGTH}"}
        with MDSWriter(out=str(folder / split), columns=columns, compression=None) as writer:
            for _ in range(n_samples):
                writer.write({"tokens": documents(rng, SEQUENCE_LENGTH).astype(np.uint16)})
    meta = {
        "tokenizer_sha256": TOKENIZER_SHA256,
        "sequence_length": SEQUENCE_LENGTH,
        "vocabulary_size": VOCABULARY_SIZE,
        "special_ids": SPECIAL_IDS,
        "bytes_per_token": {split: BYTES_PER_TOKEN[split] for split in sizes},
    }
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


@pytest.fixture(scope="session")
def shards_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    return write_shards(folder, {"train": 50, "held_out": 12, "held_out_source": 6})


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return folder


@pytest.fixture
def make_spec(shards_folder: Path, tokenizer_folder: Path):
    """make_spec(**overrides of the tiny-test recipe) -> TrainModel"""

    def make(tokenizer_sha256: str = TOKENIZER_SHA256, **overrides: object) -> TrainModel:
        recipe: TrainRecipe = replace(recipes.by_name("tiny-test"), **overrides)
        return TrainModel(
            shards=ArtifactRef(str(shards_folder), "b" * 64),
            tokenizer=ArtifactRef(str(tokenizer_folder), tokenizer_sha256),
            recipe=recipe,
        )

    return make


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(job_dir=tmp_path, reporter=ListReporter(), storage_url=str(tmp_path / "storage"))
