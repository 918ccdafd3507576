"""How the embedded Triton is started: what it loads, where it listens, what it may not know."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.triton import Triton


@pytest.fixture
def triton(tmp_path: Path) -> Triton:
    if not settings.WORKER_PYTHON.exists():
        pytest.skip("needs the worker environment")
    return Triton(tmp_path / "triton", tmp_path / "models", settings.WORKER_PYTHON)


def deploy(triton: Triton, name: str, *, version: bool = True) -> Path:
    folder = triton.repository / name
    (folder / "1" if version else folder).mkdir(parents=True)
    (folder / "config.pbtxt").touch()
    return folder


def test_a_start_brings_back_what_was_deployed_and_not_what_was_taken_out_of_service(triton: Triton) -> None:
    deploy(triton, "serving")
    (deploy(triton, "retired") / "unloaded").touch()
    deploy(triton, "unfinished", version=False)
    loads = [word for word in triton.prepare({}).argv if word.startswith("--load-model")]
    assert loads == ["--load-model=serving"]


def test_it_listens_on_this_machine_only_at_the_ports_that_were_chosen(triton: Triton) -> None:
    argv = triton.prepare({"TRITON_GRPC_PORT": "18001"}).argv
    assert {"--grpc-port=18001", "--http-port=8000", "--metrics-port=8002"} <= set(argv)
    assert {f"--{name}-address=127.0.0.1" for name in ("grpc", "http", "metrics")} <= set(argv)


def test_models_get_no_way_into_the_control_planes_servers(triton: Triton) -> None:
    secret = {"DATABASE_URL": "postgres://x", "REDIS_URL": "redis://x", "SECRET_KEY": "x", "HOME": "/h", "PATH": "/bin"}
    environment = triton.prepare(secret).environment
    assert not {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"} & set(environment)
    assert environment["HOME"] == "/h"


def test_the_workers_python_comes_first_and_its_library_is_named(triton: Triton) -> None:
    environment = triton.prepare({"PATH": "/bin"}).environment
    assert environment["PATH"].startswith(f"{settings.WORKER_PYTHON.parent}:")
    assert any(list(Path(folder).glob("libpython3*")) for folder in environment["LD_LIBRARY_PATH"].split(":"))


def test_the_runtime_has_the_backend_and_the_stub_of_the_workers_python(triton: Triton) -> None:
    triton.prepare({})
    triton.prepare({})
    (backends,) = triton.folder.iterdir()
    names = {path.name for path in (backends / "python").iterdir()}
    assert names == {"libtriton_python.so", "triton_python_backend_utils.py", "triton_python_backend_stub"}


def test_a_missing_environment_or_a_bad_port_is_one_clear_line(triton: Triton, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="worker environment"):
        Triton(tmp_path, tmp_path, tmp_path / "no-python").prepare({})
    with pytest.raises(ServiceError, match="TRITON_HTTP_PORT"):
        triton.prepare({"TRITON_HTTP_PORT": "many"})
