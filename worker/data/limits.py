"""The ends that a machine sets to a stage: memory and disk, each told as what it is.

Where memory ends the engine aborts the process without an exception (its allocations are Rust's), and the kernel kills
without a word. So the stage watches itself: a thread looks at its resident memory, and beyond the cap says so and ends
the process, before either happens. A limit of the address space instead (RLIMIT_AS) would count what threads reserve
and never use. What dies faster than the watch looks is a crash, which the control plane words.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil
import pyarrow as pa

from worker.context import Context
from worker.events import StageFailed
from worker.failures import StageFailure

MEMORY_VARIABLE = "YARD_STAGE_MEMORY_MB"
SHARE_OF_MACHINE = 0.8
LOOK_SECONDS = 0.1
FAILED = 3  # worker.__main__'s exit code of a refusal
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@contextmanager
def no_more_than(context: Context, cap_bytes: int | None = None) -> Iterator[None]:
    """End the process with stage:app:out-of-memory when it holds more than the cap; by default that of `memory_cap`."""
    cap, over = memory_cap() if cap_bytes is None else cap_bytes, threading.Event()
    watch = threading.Thread(target=_watch, args=(context, cap, over), daemon=True, name="memory-watch")
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


@contextmanager
def telling_ends(folder: Path) -> Iterator[None]:
    """A full disk or quota and an allocation that failed end in their codes, whichever layer met them."""
    try:
        yield
    except Exception as error:
        causes = list(_causes(error))
        if any(isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in causes):
            raise StageFailure("stage:app:disk-full", folder=folder) from error
        if any(isinstance(one, MemoryError) for one in causes):
            raise StageFailure("stage:app:out-of-memory", detail="an allocation failed") from error
        raise


def give_back_memory() -> None:
    """Return what a finished task freed to the system: Arrow's pool and glibc keep it for a next time of the same size.

    Without it 1 065 MB of files in 66 shards took 22 % more than 243 MB in 16.
    """
    pa.default_memory_pool().release_unused()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's; other C libraries have none, or need none."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


def memory_cap() -> int:
    """YARD_STAGE_MEMORY_MB, else 80 % of what the machine or the container has; bytes."""
    asked = os.environ.get(MEMORY_VARIABLE)
    if asked:
        return int(asked) * 1_000_000
    machine = psutil.virtual_memory().total
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.exists() else "max"
    return int(SHARE_OF_MACHINE * (machine if limit == "max" else min(machine, int(limit))))


def _watch(context: Context, cap: int, over: threading.Event) -> None:
    process = psutil.Process()
    while not over.wait(LOOK_SECONDS):
        used = process.memory_info().rss
        if used > cap:
            detail = f"it held {used / 1e6:.0f} MB and may have {cap / 1e6:.0f} MB"
            failure = StageFailure("stage:app:out-of-memory", detail=detail)
            context.reporter.report(StageFailed(failure.code, failure.message))
            os._exit(FAILED)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The engine wraps what a task raised."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
