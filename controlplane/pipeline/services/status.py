"""The supervisor's processes as the status page shows them. Empty where something else keeps the processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from django.conf import settings

from controlplane.pipeline.services.state import ProcessState, is_running, read_state


@dataclass(frozen=True)
class ProcessRow:
    """`state` is a word that has a badge; `last_exit` is `exit 1`, `signal 9` or empty, with its moment beside it."""

    name: str
    state: Literal["ready", "starting", "crashed"]
    pid: int | None
    restarts: int
    last_exit: str
    last_exit_at: datetime | None
    started: datetime | None
    log: str


def processes() -> list[ProcessRow]:
    """In the Procfile's order. A supervisor that is gone says nothing: what it wrote last is no longer so."""
    state = read_state(settings.STATE_DIR) if is_running(settings.STATE_DIR) else None
    return [row(process) for process in state.processes] if state else []


def row(process: ProcessState) -> ProcessRow:
    return ProcessRow(
        name=process.name,
        state="ready" if process.healthy else "starting" if process.pid else "crashed",
        pid=process.pid,
        restarts=process.restarts,
        last_exit=process.last_exit,
        last_exit_at=moment(process.last_exit_at),
        started=moment(process.started_at),
        log=process.log,
    )


def moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None
