"""The folder that Triton reads: one model per served name, one version per deployment.

    <repository>/<served name>/config.pbtxt
    <repository>/<served name>/<n>/deployment.json   engine, threads, decode settings, hashes: what this version is
                                   engine/           the converted model, a copy: the repository stands by itself
                                   lib/worker/...    the code that serves it, as of the deployment
                                   model.py          (vLLM: model.json instead of lib/ and model.py)

Any tritonserver with the Python backend and this environment's packages can serve it; nothing points outside.
A version appears by rename, so Triton never reads half of one. This module does not talk to Triton.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import worker
from worker.failures import StageFailure
from worker.manifest import write_atomically

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
TEMPLATE = Path(__file__).parent / "model_repository"
# specs.py checks recipes as it reads them, so it brings the catalogue of steps.
LIBRARY = ("__init__.py", "failures.py", "specs.py", "torchvision_hook.py")
LIBRARY_CLEANING = ("__init__.py", "catalogue.py", "mixing.py", "model.py", "recipes.py")
LIBRARY_SERVING = (
    *("__init__.py", "convert.py", "decode.py", "engine.py", "openvino_core.py", "prompts.py", "text.py"),
    *("transformers_core.py", "triton_backend.py", "triton_request.py"),
)
VERSIONS_KEPT = 2  # the one that serves and the one before it
UNLOADED = "unloaded"  # a file of this name: somebody took the model out of service, a restart must not bring it back


@dataclass(frozen=True)
class Placed:
    """A version in the repository. `fresh`: this call wrote it; otherwise an equal one was there."""

    name: str
    version: int
    folder: Path
    fresh: bool


def place(repository: Path, name: str, engine_dir: Path, deployment: Mapping[str, Any]) -> Placed:
    """Write the next version, or find that the newest one is the same deployment.

    Raises StageFailure serving:user:bad-name for a name that cannot be a folder and a URL part.
    """
    if not NAME.fullmatch(name):
        raise StageFailure("serving:user:bad-name", name=name)
    model = repository / name
    found = versions(model)
    if found and _deployment(model / str(found[-1])) == dict(deployment):
        return Placed(name, found[-1], model / str(found[-1]), False)
    version = found[-1] + 1 if found else 1
    partial = model / f".{version}.{os.getpid()}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _fill(partial, model / str(version), engine_dir, deployment)
    partial.rename(model / str(version))
    write_atomically(model / "config.pbtxt", _config(name, deployment["engine"]))
    return Placed(name, version, model / str(version), True)


def versions(model: Path) -> list[int]:
    """Version numbers in a model's folder, oldest first."""
    return sorted(int(path.name) for path in model.iterdir() if path.name.isdigit()) if model.exists() else []


def withdraw(placed: Placed) -> None:
    """Take back a version that does not load, so that a restart loads the one before it."""
    shutil.rmtree(placed.folder)
    if not versions(placed.folder.parent):
        shutil.rmtree(placed.folder.parent)


def touch(placed: Placed) -> None:
    """Make the version look changed: Triton's load does nothing for a version whose files are as old as its process."""
    (placed.folder / "deployment.json").touch()


def settle(placed: Placed) -> None:
    """This version serves: older ones than VERSIONS_KEPT go, and so does the mark of an earlier unload."""
    model = placed.folder.parent
    for version in versions(model)[:-VERSIONS_KEPT]:
        shutil.rmtree(model / str(version))
    (model / UNLOADED).unlink(missing_ok=True)


def _fill(partial: Path, final: Path, engine_dir: Path, deployment: Mapping[str, Any]) -> None:
    shutil.copytree(engine_dir, partial / "engine", copy_function=shutil.copyfile)
    if deployment["engine"] == "vllm":
        (partial / "model.json").write_text(json.dumps(_vllm(final / "engine"), indent=1) + "\n")
    else:
        shutil.copyfile(TEMPLATE / "1" / "model.py", partial / "model.py")
        _copy_library(partial / "lib" / "worker")
    (partial / "deployment.json").write_text(json.dumps(deployment, indent=1, sort_keys=True) + "\n")


def _copy_library(target: Path) -> None:
    source = Path(worker.__file__).parent
    for folder, names in (("", LIBRARY), ("cleaning", LIBRARY_CLEANING), ("serving", LIBRARY_SERVING)):
        (target / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(source / folder / name, target / folder / name)


def _vllm(model: Path) -> dict[str, Any]:
    """Engine arguments for vLLM. Prefix caching is what makes the next keystroke quick."""
    return {
        "model": str(model),
        "enable_prefix_caching": True,
        "gpu_memory_utilization": 0.9,
        "disable_log_stats": False,
    }


def _config(name: str, engine: str) -> str:
    file = "vllm.pbtxt" if engine == "vllm" else "config.pbtxt"
    return Template((TEMPLATE / file).read_text()).substitute(name=name)


def _deployment(folder: Path) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((folder / "deployment.json").read_text())
    return raw
