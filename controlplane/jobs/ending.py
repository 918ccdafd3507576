"""How an attempt ended, read from what its process left: exit code, receipt, events, last lines of output."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from controlplane.jobs.event_lines import clean_text
from controlplane.jobs.models import Job, JobEvent, Status
from worker.failures import StageFailure
from worker.manifest import Manifest

FAILED = 3  # python -m worker's exit code after stage.failed
LAST_LINES = 40
TAIL_BYTES = 32 << 10
ALLOCATION_FAILURES = ("memory allocation of", "std::bad_alloc", "Cannot allocate memory")


@dataclass(frozen=True)
class Ending:
    """A final status and its reason; `manifest` is there exactly when it succeeded."""

    status: Status
    code: str = ""
    message: str = ""
    manifest: Manifest | None = None


def read_ending(job: Job, folder: Path, exit_code: int) -> Ending:
    """The protocol of python -m worker, as a table. All of the attempt's events must be relayed by now."""
    stop_asked = Job.objects.filter(pk=job.pk, cancel_requested_at__isnull=False).exists()
    if exit_code == 0 and (folder / "manifest.json").exists():
        return _read_manifest(folder)
    if exit_code == FAILED and (refusal := _refusal(job)) is not None:
        return refusal
    if stop_asked:
        return Ending(Status.CANCELLED)
    if exit_code == 0:
        return Ending(Status.CRASHED, message=crash_message("It ended without a result.", folder))
    if _allocation_failed(exit_code, folder):
        failure = StageFailure("stage:app:out-of-memory", detail="an allocation failed, and its libraries ended it")
        return Ending(Status.FAILED, failure.code, failure.message)
    return Ending(Status.CRASHED, message=crash_message(describe_exit(exit_code), folder))


def describe_exit(exit_code: int) -> str:
    """For people: `Killed by SIGKILL (often the sign of too little memory).`"""
    if exit_code >= 0:
        return f"It ended with exit code {exit_code}."
    name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"
    hint = " (often the sign of too little memory)" if -exit_code == signal.SIGKILL else ""
    return f"It was killed by {name}{hint}."


def _allocation_failed(exit_code: int, folder: Path) -> bool:
    """Rust and C++ abort without an exception; the last lines of output then name the allocation."""
    if exit_code not in (-signal.SIGABRT, 128 + signal.SIGABRT):
        return False
    tail = last_lines(folder / "output.log")
    return any(words in tail for words in ALLOCATION_FAILURES)


def crash_message(reason: str, folder: Path) -> str:
    """The reason and the last lines of output."""
    tail = last_lines(folder / "output.log")
    return f"{reason}\n\n{tail}" if tail else reason


def last_lines(path: Path) -> str:
    """The last 40 lines of a log, cleaned; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(clean_text(line) for line in text.splitlines()[-LAST_LINES:])


def _read_manifest(folder: Path) -> Ending:
    try:
        return Ending(Status.SUCCEEDED, manifest=Manifest.from_json((folder / "manifest.json").read_text("utf-8")))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return Ending(Status.CRASHED, message=crash_message(f"Its receipt cannot be read: {error}.", folder))


def _refusal(job: Job) -> Ending | None:
    said = JobEvent.objects.filter(job=job, attempt=job.attempt, event="stage.failed").order_by("id").last()
    if said is None or not said.payload.get("code"):
        return None
    return Ending(Status.FAILED, str(said.payload["code"]), str(said.payload.get("message", "")))
