"""What a stage is given beside its spec, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker import manifest
from worker.events import ProgressMade, Reporter, StageEntered
from worker.specs import ArtifactRef


@dataclass(frozen=True)
class Context:
    """A stage's surroundings.

    `work` survives attempts: put checkpoints and finished parts there. `out` starts empty at each attempt: build outputs
    there. `triton_url` is host:port of Triton's gRPC endpoint, `model_repository` the folder that Triton reads.
    `endpoint_key` opens the endpoint that a spec names, "" for none; it must not get into anything that is kept or shown.
    """

    job_dir: Path
    reporter: Reporter
    storage_url: str
    attempt: int = 1
    triton_url: str = ""
    model_repository: Path | None = None
    endpoint_key: str = field(default="", repr=False)

    @property
    def work(self) -> Path:
        return _made(self.job_dir / "work")

    @property
    def out(self) -> Path:
        return _made(self.job_dir / "out")

    @property
    def stop_file(self) -> Path:
        """For code that outlives this object, in another thread or process; its being there is the request."""
        return self.job_dir / "stop"

    def stop_requested(self) -> bool:
        """Somebody pressed Stop: save, report StageStopped, return."""
        return self.stop_file.exists()

    def fetch(self, artifact: ArtifactRef) -> Path:
        """A local folder with an input's files."""
        return manifest.fetch(artifact.uri, _made(self.job_dir / "cache"))

    def enter(self, phase: str) -> None:
        self.reporter.report(StageEntered(phase))

    def progress(self, done: float, total: float | None, unit: str) -> None:
        self.reporter.report(ProgressMade(done, total, unit))


@dataclass(frozen=True)
class Outcome:
    """A stage's result: `outputs` are finished folders by noun (dataset, tokenizer, shards, model, ...), to be published.

    `complete` is False for a result that is usable but less than was asked (a run stopped early): it gets this job's
    manifest and no receipt in storage, so that the same work asked for again is done in full.
    """

    outputs: Mapping[str, Path]
    counts: Mapping[str, int] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    complete: bool = True


class Stopped(Exception):
    """Raised by a stage that was asked to stop and has no usable result; what it saved under `work` is kept."""


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
