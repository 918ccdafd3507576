"""Receipts and artifacts.

An artifact is a folder, immutable and named by the hash of its content. A receipt says what work made which artifacts:
it is written last, so its being there means the work is whole, and the same work asked for twice finds it and stops.

    <storage>/<noun>/<sha[:16]>/...          an artifact
    <storage>/receipts/<stage>/<key>.json    key = sha256(stage, code version, spec)
    <job dir>/manifest.json                  the same receipt, for the control plane
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from worker.failures import StageFailure


@dataclass(frozen=True)
class Artifact:
    """A published folder: `sha256` is over its files' paths and contents; sizes in bytes."""

    uri: str
    sha256: str
    n_bytes: int
    n_files: int


@dataclass(frozen=True)
class Manifest:
    """The receipt of one stage. `counts` are whole numbers people look at, `summary` is the stage's own detail."""

    stage: str
    code_version: str
    spec: Mapping[str, Any]
    key: str
    outputs: Mapping[str, Artifact]
    counts: Mapping[str, int] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    finished_at: float = 0.0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        raw = json.loads(text)
        raw["outputs"] = {name: Artifact(**item) for name, item in raw["outputs"].items()}
        return cls(**raw)


def work_key(stage: str, code_version: str, spec: Mapping[str, Any]) -> str:
    """The name of a piece of work: equal keys mean the same work."""
    text = json.dumps([stage, code_version, spec], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_folder(folder: Path) -> tuple[str, int, int]:
    """(sha256, bytes, files) of a folder; byte-code caches do not count."""
    digest, n_bytes, n_files = hashlib.sha256(), 0, 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        with path.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{inner}\n".encode())
        n_bytes += path.stat().st_size
        n_files += 1
    return digest.hexdigest(), n_bytes, n_files


def publish(folder: Path, storage_url: str, noun: str) -> Artifact:
    """Move a finished folder into storage under its hash. Publishing the same content twice keeps the first."""
    sha256, n_bytes, n_files = hash_folder(folder)
    filesystem, root = _open(storage_url)
    target = f"{root}/{noun}/{sha256[:16]}"
    if not filesystem.exists(target):
        # Beside the target, then renamed: a killed upload never looks like an artifact.
        partial = f"{target}.{uuid.uuid4().hex[:8]}.partial"
        filesystem.makedirs(f"{root}/{noun}", exist_ok=True)
        filesystem.put(f"{folder}/", f"{partial}/", recursive=True)
        filesystem.mv(partial, target, recursive=True)
    shutil.rmtree(folder)
    return Artifact(filesystem.unstrip_protocol(target), sha256, n_bytes, n_files)


def fetch(uri: str, cache: Path) -> Path:
    """A local folder with the artifact's files: itself where storage is local, a copy under `cache` otherwise."""
    filesystem, path = _open(uri)
    if filesystem.protocol == "file" or "file" in filesystem.protocol:
        return Path(path)
    local = cache / path.rsplit("/", 1)[-1]
    if not local.exists():
        partial = cache / f"{local.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        filesystem.get(f"{path}/", f"{partial}/", recursive=True)
        partial.rename(local)
    return local


def find_receipt(storage_url: str, stage: str, key: str) -> Manifest | None:
    """The receipt of this work, if it was done and its artifacts are still there."""
    filesystem, root = _open(storage_url)
    path = f"{root}/receipts/{stage}/{key}.json"
    if not filesystem.exists(path):
        return None
    manifest = Manifest.from_json(filesystem.cat_file(path).decode())
    return manifest if all(filesystem.exists(item.uri) for item in manifest.outputs.values()) else None


def write_receipt(manifest: Manifest, storage_url: str, job_dir: Path, reusable: bool = True) -> None:
    """Storage first, the job's own copy last: when manifest.json is there, everything is.

    A result that is not `reusable` (less than its spec asked for) gets no receipt in storage, only the job's copy.
    """
    if reusable:
        filesystem, root = _open(storage_url)
        filesystem.makedirs(f"{root}/receipts/{manifest.stage}", exist_ok=True)
        filesystem.pipe_file(f"{root}/receipts/{manifest.stage}/{manifest.key}.json", manifest.to_json().encode())
    write_atomically(job_dir / "manifest.json", manifest.to_json())


def partial_of(path: Path) -> Path:
    """Where to write a file before it is renamed into place; no other process, of any machine, writes there."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")


def write_atomically(path: Path, text: str) -> None:
    """A reader sees the old file or the new one, never half of it."""
    partial = partial_of(path)
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def now() -> float:
    return round(time.time(), 3)


def _open(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (OSError, ValueError, ImportError) as error:
        raise StageFailure("storage:app:unreachable", url=url, detail=error) from error
    return filesystem, path.rstrip("/")
