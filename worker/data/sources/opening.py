"""Which reader a source's kind means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from worker.data.sources.allowed import refuse_forbidden
from worker.data.sources.archive import ArchiveReader
from worker.data.sources.delta_spark import SparkTable, is_at_hand
from worker.data.sources.folder import FolderReader
from worker.data.sources.git import GitReader
from worker.data.sources.places import Place, Root, places, root_of
from worker.data.sources.reader import Reader
from worker.data.sources.remote import RemoteFolderReader
from worker.data.sources.stackoverflow import PostsReader
from worker.data.sources.tables import SUFFIXES, TableReader
from worker.failures import StageFailure
from worker.sources import problem, scheme_of
from worker.specs import SourceSpec


def open_source(spec: SourceSpec, others: Sequence[SourceSpec] = (), scratch: Path | None = None) -> Reader:
    """The reader of a source. Raises data:user:bad-source for what the catalogue (worker.sources) does not allow, and
    data:user:source-forbidden for a place that the workers do not show (sources.allowed).

    `others`: the sources of the same ingest. `scratch`: a folder that all tasks of the job see, for kinds that must
    unpack before they can be read out of order.
    """
    if found := problem(spec.kind, spec.location, spec.options):
        raise StageFailure("data:user:bad-source", name=spec.name, detail=found)
    spec = replace(spec, location=spec.location.removeprefix("file://"))
    refuse_forbidden(spec)
    if spec.kind == "folder":
        return RemoteFolderReader(spec) if scheme_of(spec.location) else FolderReader(spec, others)
    return _READERS[spec.kind](spec, scratch)


def _table(spec: SourceSpec, scratch: Path | None) -> Reader:
    """Files by a pattern; folders of the form column=value give a constant column, as Hive and Spark write them."""
    suffixes = [suffix for suffix in SUFFIXES if (suffix == ".parquet") == (spec.kind == "parquet")]
    return TableReader(
        spec,
        lambda: root_of(spec.location),
        lambda root: places(root, spec.location, suffixes, spec.exclude),
        scratch,
        _hive_columns,
    )


def _hugging_face(spec: SourceSpec, scratch: Path | None) -> Reader:
    from worker.data.sources.huggingface import HubDataset

    files = HubDataset(spec)
    return TableReader(spec, files.root, files.files, scratch)


def _delta(spec: SourceSpec, scratch: Path | None) -> Reader:
    from worker.data.sources.delta import DeltaFiles, unity_files

    files = unity_files(spec) if spec.kind == "unity" else DeltaFiles(spec, spec.location)
    if is_at_hand() and files.needs_spark():
        return SparkTable(spec, files, scratch)
    return TableReader(spec, files.root, files.files, scratch, files.constants)


def _feedback(spec: SourceSpec, scratch: Path | None) -> Reader:
    """The rows of a dataset version that came from accepted completions (worker.data.feedback)."""

    def parts(root: Root) -> Sequence[Place]:
        return [place for place in places(root, spec.location) if place.name.startswith("data/part-")]

    return TableReader(spec, lambda: root_of(spec.location), parts, scratch, only=("source", "feedback"))


def _hive_columns(place: Place) -> Mapping[str, str]:
    folders = place.name.split("/")[:-1]
    return dict(folder.split("=", 1) for folder in folders if "=" in folder)


_READERS: Mapping[str, Callable[[SourceSpec, Path | None], Reader]] = {
    "git": lambda spec, scratch: GitReader(spec),
    "archive": ArchiveReader,
    "jsonl": _table,
    "parquet": _table,
    "huggingface": _hugging_face,
    "delta": _delta,
    "unity": _delta,
    "stackoverflow": PostsReader,
    "feedback": _feedback,
}
