"""A program run to its end, with what it and all its descendants used.

Helpers that nobody waits for (a fork server and its workers: all of datatrove's work; a parser that ends with its
parent) are counted too: this process adopts them when their parent ends, and waits for them itself.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LOOK_SECONDS = 0.05
LINGER_SECONDS = 10.0
ADOPT = 36  # PR_SET_CHILD_SUBREAPER


@dataclass
class Use:
    """`cpu_seconds` of the process and all descendants; `peak_bytes`: resident memory of the tree.

    `samples`: (time, CPU seconds of the tree so far), for telling phases apart.
    """

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_bytes: int = 0
    samples: list[tuple[float, float]] = field(default_factory=list)

    def cpu_at(self, moment: float) -> float:
        return max((cpu for at, cpu in self.samples if at <= moment), default=0.0)


class Failed(Exception):
    """The program ended with an error; str() is the end of what it printed."""


def measured(
    command: Sequence[str], log: Path, cwd: Path, variables: Mapping[str, str] | None = None, timeout: float = 900
) -> Use:
    """Raises Failed."""
    ctypes.CDLL(None).prctl(ADOPT, 1)
    use, started, before = Use(), time.monotonic(), _of_children()
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(command), cwd=cwd, env={**os.environ, **(variables or {})}, stdout=out, stderr=subprocess.STDOUT
        )
        over = threading.Event()
        watch = threading.Thread(target=_watch, args=(process.pid, use, over), daemon=True)
        watch.start()
        alarm = threading.Timer(timeout, process.kill)
        alarm.start()
        process.wait()
        alarm.cancel()
        over.set()
        watch.join()
    use.wall_seconds = time.monotonic() - started
    _wait_for_the_rest()
    use.cpu_seconds = _of_children() - before
    if process.returncode != 0:
        raise Failed(f"exit code {process.returncode}: {log.read_text(errors='replace')[-1500:].strip()}")
    return use


def _of_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _wait_for_the_rest() -> None:
    """What was adopted; it is killed if it does not end by itself."""
    _, left = psutil.wait_procs(psutil.Process().children(recursive=True), LINGER_SECONDS)
    for one in left:
        one.kill()
    psutil.wait_procs(left, LINGER_SECONDS)


def _watch(pid: int, use: Use, over: threading.Event) -> None:
    process = psutil.Process(pid)
    while not over.wait(LOOK_SECONDS):
        try:
            tree = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        looks = [_look(one) for one in tree]
        use.samples.append((time.time(), sum(cpu for cpu, _ in looks)))
        use.peak_bytes = max(use.peak_bytes, sum(resident for _, resident in looks))


def _look(process: psutil.Process) -> tuple[float, int]:
    """(CPU seconds of it and of the children that it has waited for, resident bytes)."""
    try:
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system, process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0.0, 0
