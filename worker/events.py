"""Everything a stage may say, and how it says it.

A stage reports by appending one JSON object a line to `events.jsonl` in its job directory:

    {"v": 1, "seq": 17, "attempt": 1, "at": 1764000000.25, "event": "progress.made", "done": 3, "total": 9, "unit": "files"}

`seq` counts from 1 and never repeats within a job, across attempts; the relay inserts on (job, seq), so reading a line
twice does nothing. Events are named noun.participle, past tense. Rank 0 alone reports.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

VERSION = 1


@dataclass(frozen=True)
class Event:
    """Base of all events; `name` is the word on the wire."""

    name: ClassVar[str]


@dataclass(frozen=True)
class StageStarted(Event):
    """The process is up and has read its spec."""

    name: ClassVar[str] = "stage.started"
    stage: str
    code_version: str
    pid: int


@dataclass(frozen=True)
class StageEntered(Event):
    """A named phase began, for people: `read files`, `train`, `canary`."""

    name: ClassVar[str] = "stage.entered"
    phase: str


@dataclass(frozen=True)
class ProgressMade(Event):
    """`done` of `total` units; total is None while it is not known."""

    name: ClassVar[str] = "progress.made"
    done: float
    total: float | None
    unit: str


@dataclass(frozen=True)
class MetricsLogged(Event):
    """Values at a step. Names are path-like with the unit in them: loss/train, throughput/tokens_per_second."""

    name: ClassVar[str] = "metrics.logged"
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class MessageLogged(Event):
    """A line for people. level: info, warning or error."""

    name: ClassVar[str] = "message.logged"
    text: str
    level: str = "info"


@dataclass(frozen=True)
class CheckpointWritten(Event):
    """Training can continue from here."""

    name: ClassVar[str] = "checkpoint.written"
    step: int
    path: str
    n_bytes: int


@dataclass(frozen=True)
class SampleJudged(Event):
    """One generated program got its verdict; the full sample is in the evaluation's artifact."""

    name: ClassVar[str] = "sample.judged"
    task_id: str
    sample: int
    outcome: str


@dataclass(frozen=True)
class ArtifactWritten(Event):
    """An output was published under its content hash."""

    name: ClassVar[str] = "artifact.written"
    output: str
    uri: str
    sha256: str
    n_bytes: int


@dataclass(frozen=True)
class WorkReused(Event):
    """A receipt for the same spec and code was found; nothing was done again."""

    name: ClassVar[str] = "work.reused"
    receipt: str


@dataclass(frozen=True)
class StageStopped(Event):
    """The stage saw the stop file, saved what it had and left. It writes no manifest unless its result is usable."""

    name: ClassVar[str] = "stage.stopped"
    detail: str


@dataclass(frozen=True)
class StageFailed(Event):
    """The stage refused; `code` is in worker.failures.CODES."""

    name: ClassVar[str] = "stage.failed"
    code: str
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StageFinished(Event):
    """The manifest is written; nothing follows."""

    name: ClassVar[str] = "stage.finished"
    seconds: float


class Reporter(Protocol):
    """Where a stage's events go."""

    def report(self, event: Event) -> None: ...


class ListReporter:
    """Keeps events in memory: for tests and notebooks."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def report(self, event: Event) -> None:
        self.events.append(event)


class FileReporter:
    """Appends events to a job's `events.jsonl` and echoes messages to stdout (the job's output.log)."""

    def __init__(self, job_dir: Path, attempt: int) -> None:
        self.path = job_dir / "events.jsonl"
        self.attempt = attempt
        self.seq = _mend_and_find_last_seq(self.path)
        self.file = self.path.open("a", encoding="utf-8")

    def report(self, event: Event) -> None:
        self.seq += 1
        head = {
            "v": VERSION,
            "seq": self.seq,
            "attempt": self.attempt,
            "at": round(time.time(), 3),
            "event": event.name,
        }
        self.file.write(json.dumps({**head, **asdict(event)}, default=str) + "\n")
        self.file.flush()
        _echo(event)


def _mend_and_find_last_seq(path: Path) -> int:
    """An attempt that was killed while writing leaves half a line: end it, so that ours begins a line of its own."""
    if not path.exists():
        return 0
    last = 0
    with path.open("rb+") as file:
        for line in file:
            try:
                last = max(last, int(json.loads(line)["seq"]))
            except (ValueError, KeyError, TypeError):
                continue
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
    return last


def _echo(event: Event) -> None:
    if isinstance(event, MessageLogged):
        print(event.text, flush=True)
    elif isinstance(event, StageEntered):
        print(f"== {event.phase}", flush=True)
    elif isinstance(event, StageFailed):
        print(f"{event.code}: {event.message}", flush=True)


EVENTS: dict[str, type[Event]] = {cls.name: cls for cls in Event.__subclasses__()}
