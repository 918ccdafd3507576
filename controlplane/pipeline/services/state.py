"""What the supervisor knows, written for the status page: one JSON file, replaced whole at each change."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from controlplane.pipeline.services import locks

STATE_FILE = "supervisor.json"
LOCK_FILE = "up.lock"
Phase = Literal["starting", "ready", "stopping", "stopped"]


@dataclass(frozen=True)
class ProcessState:
    """One process of the Procfile. Times are seconds since the epoch; last_exit is `exit 1`, `signal 9` or empty."""

    name: str
    command: str
    pid: int | None
    started_at: float | None
    restarts: int
    last_exit: str
    last_exit_at: float | None
    healthy: bool
    log: str


@dataclass(frozen=True)
class YardState:
    pid: int
    url: str
    phase: Phase
    started_at: float
    processes: tuple[ProcessState, ...]


def write_whole(file: Path, text: str) -> None:
    """Replace `file` in one step: a reader sees the old text or the new one, never half."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(file)


def write_state(state_dir: Path, state: YardState) -> None:
    write_whole(state_dir / STATE_FILE, json.dumps(asdict(state), indent=1))


def read_state(state_dir: Path) -> YardState | None:
    """The state as last written, or None if no `up` ever ran here. It may be a dead supervisor's: see is_running."""
    file = state_dir / STATE_FILE
    if not file.exists():
        return None
    fields = json.loads(file.read_text())
    processes = tuple(ProcessState(**process) for process in fields.pop("processes"))
    return YardState(**fields, processes=processes)


def is_running(state_dir: Path) -> bool:
    """Whether a supervisor is alive on this state folder, which its lock tells even after kill -9."""
    return (state_dir / LOCK_FILE).exists() and locks.is_held(state_dir / LOCK_FILE)
