from __future__ import annotations

from pathlib import Path

import pytest

from tests.worker.serving.tiny_model import make_model
from worker.serving.engine import Engine, load_engine
from worker.specs import DecodeSettings


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: end-to-end flows; still run in CI")


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="session")
def openvino(model_dir: Path, cache_dir: Path) -> Engine:
    """Unquantised, to be compared with the reference."""
    settings = DecodeSettings(max_tokens=12)
    return load_engine(model_dir, "openvino", quantise="fp32", decode=settings, cache_dir=cache_dir)


@pytest.fixture(scope="session")
def reference(model_dir: Path, cache_dir: Path) -> Engine:
    settings = DecodeSettings(max_tokens=12)
    return load_engine(model_dir, "transformers", quantise="fp32", decode=settings, cache_dir=cache_dir)


@pytest.fixture(params=["openvino", "reference"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn: what a caller relies on holds for both."""
    found: Engine = request.getfixturevalue(request.param)
    return found
