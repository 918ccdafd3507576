"""The dataset versions that tests of pages read are what the stage writes today."""

from __future__ import annotations

from pathlib import Path

from tests.worker import dataset_versions
from worker.manifest import hash_folder


def test_the_dataset_versions_are_what_the_stage_writes(tmp_path: Path) -> None:
    dataset_versions.make(tmp_path / "made")
    for name in ("one", "two"):
        assert hash_folder(tmp_path / "made" / name) == hash_folder(dataset_versions.FOLDER / name)
