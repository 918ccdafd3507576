"""Where a published model lies: its files with their sizes, and the few of them that are taken.

    /a/folder, s3://bucket/folder     a folder in Hugging Face's format
    /a/file.gguf, s3://bucket/x.gguf  one GGUF file
    hf:org/name[@revision]            a repository of the Hugging Face hub
    hf:org/name/file.gguf[@revision]  a GGUF file of one

Only files of known names are looked at, so that a folder can bring neither code nor a path that leads elsewhere. Links
on disk are followed (the hub's own cache is made of them), but not out of the places that the workers show. Sizes are
added up before anything is fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from worker.context import Context, Stopped
from worker.data.sources.allowed import refuse_forbidden
from worker.data.sources.places import answering, brief
from worker.failures import StageFailure
from worker.sources import model_problem
from worker.specs import ImportModel, SourceSpec

HUB = "hf:"
GGUF = ".gguf"
# What of a folder is taken where it is there. Weights as safetensors only: see PICKLED.
SMALL = (
    *("config.json", "generation_config.json", "README.md", "LICENSE", "LICENSE.txt", "LICENSE.md"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"),
)
INDEX = "model.safetensors.index.json"
WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
MAX_SMALL_BYTES = 100_000_000  # the largest published tokenizer.json has about 35 MB


@dataclass(frozen=True)
class Place:
    """`sizes` in bytes by name. `gguf`: the file that the location names, or "". `revision`: the hub's commit, or ""."""

    location: str
    fs: fsspec.AbstractFileSystem
    folder: str
    sizes: Mapping[str, int]
    gguf: str = ""
    revision: str = ""

    @property
    def weights(self) -> list[str]:
        return sorted(name for name in self.sizes if WEIGHTS.fullmatch(name))

    def wanted(self) -> list[str]:
        if self.gguf:
            return [self.gguf]
        return [*(name for name in (*SMALL, INDEX) if name in self.sizes), *self.weights]


def look(spec: ImportModel) -> Place:
    """Raises StageFailure data:user:source-missing, source-unreachable or source-forbidden, and model:user:not-found."""
    url, revision = _address(spec)
    refuse_forbidden(SourceSpec("model", spec.location))
    place = answering(spec.location, lambda: _listed(spec.location, url, revision))
    if not place.sizes:
        raise StageFailure("data:user:source-missing", location=spec.location)
    return place


def bring(place: Place, max_bytes: int, target: Path, context: Context) -> Path:
    """The wanted files below `target`: links where they are on this disk, copies otherwise.

    Raises StageFailure model:user:too-large before anything is fetched, and Stopped between two files.
    """
    names = place.wanted()
    _refuse_large(place, names, max_bytes)
    target.mkdir(parents=True, exist_ok=True)
    done, total = 0, sum(place.sizes[name] for name in names)
    for name in names:
        if context.stop_requested():
            raise Stopped(f"stopped after {done} of {total} bytes")
        _bring_one(place, name, target / name)
        done += place.sizes[name]
        context.progress(done, total, "bytes")
    return target


def _address(spec: ImportModel) -> tuple[str, str]:
    """(what fsspec opens, the hub's commit). Of the hub, the commit that a branch or tag names now."""
    if problem := model_problem(spec.location):
        raise StageFailure("model:user:not-found", location=spec.location, detail=problem)
    if not spec.location.startswith(HUB):
        return spec.location.rstrip("/"), ""
    path, _, revision = spec.location.removeprefix(HUB).partition("@")
    org, name, *file = path.split("/")
    commit = _commit(f"{org}/{name}", spec.revision or revision, spec.location)
    return "/".join([f"hf://{org}/{name}@{commit}", *file]), commit


def _commit(name: str, revision: str, location: str) -> str:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        return HfApi().model_info(name, revision=revision or None).sha or revision
    except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise StageFailure("model:user:not-found", location=location, detail=brief(error)) from error
    except Exception as error:  # requests, httpx and huggingface_hub share no base class of errors
        raise StageFailure("data:user:source-unreachable", location=location, detail=brief(error)) from error


def _listed(location: str, url: str, revision: str) -> Place:
    fs, path = fsspec.url_to_fs(url)
    path = path.rstrip("/")
    if path.lower().endswith(GGUF):
        folder, _, name = path.rpartition("/")
        return Place(location, fs, folder, {name: int(fs.size(path) or 0)}, name, revision)
    files = [entry for entry in fs.ls(path, detail=True) if entry["type"] == "file" or _links_to_file(entry)]
    sizes = {str(entry["name"]).rpartition("/")[2]: int(entry["size"] or 0) for entry in files}
    return Place(location, fs, path, sizes, "", revision)


def _links_to_file(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("islink")) and Path(entry["name"]).is_file()


def _refuse_large(place: Place, names: Sequence[str], max_bytes: int) -> None:
    total = sum(place.sizes[name] for name in names)
    large = [name for name in names if name in {*SMALL, INDEX} and place.sizes[name] > MAX_SMALL_BYTES]
    if large:
        detail = f"{large[0]} has {place.sizes[large[0]]:,} bytes, too many for what it should be"
        raise StageFailure("model:user:too-large", location=place.location, detail=detail)
    if total > max_bytes:
        detail = f"its files have {total:,} bytes; at most {max_bytes:,} are taken"
        raise StageFailure("model:user:too-large", location=place.location, detail=detail)


def _bring_one(place: Place, name: str, target: Path) -> None:
    source = f"{place.folder}/{name}"
    if isinstance(place.fs, LocalFileSystem):
        real = os.path.realpath(source)
        refuse_forbidden(SourceSpec("model", real))
        target.unlink(missing_ok=True)
        target.symlink_to(real)
    elif not target.exists() or target.stat().st_size != place.sizes[name]:
        partial = target.with_name(f"{name}.partial")
        answering(place.location, lambda: place.fs.get_file(source, str(partial)))
        partial.replace(target)
