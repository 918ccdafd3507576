from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from worker.context import Context, Outcome
from worker.events import ListReporter
from worker.pretrained import stage
from worker.specs import ImportModel


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: end-to-end flows; still run in CI")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage"))


@pytest.fixture
def take(context: Context) -> Callable[..., Outcome]:
    """take(location, ...) runs the stage."""
    return lambda location, **more: stage.run(ImportModel(str(location), **more), context)
