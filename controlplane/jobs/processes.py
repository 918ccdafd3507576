"""The processes of an attempt: finding all of them, ending all of them, and what they use.

They are found by the recorded pid (with its start time, since pids come again), by descent, and by a variable in their
environment, which also finds those whose parent is gone. A process group would not do: the runner is in the same one.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from controlplane.jobs.models import Job

MARK = "YARD_JOB"


def mark(job: Job) -> str:
    """The value of MARK in the environment of an attempt's processes."""
    return f"{job.id}/{job.attempt}"


def started_at(pid: int) -> float:
    return psutil.Process(pid).create_time()


def is_alive(pid: int | None, pid_started_at: float | None) -> bool:
    """Whether this very process still runs; a zombie does not, nor another that was given its pid."""
    process = _same(pid, pid_started_at)
    return process is not None


def tree(pid: int | None, pid_started_at: float | None) -> list[psutil.Process]:
    """The process and its descendants; empty once it is gone."""
    root = _same(pid, pid_started_at)
    if root is None:
        return []
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def family(job: Job) -> list[psutil.Process]:
    """Every process of the job's attempt on this host, adopted ones too."""
    found = {process.pid: process for process in tree(job.pid, job.pid_started_at)}
    for process in psutil.process_iter():
        if process.pid not in found and _carries(process, mark(job)):
            found |= {each.pid: each for each in (process, *_children(process))}
    return list(found.values())


def terminate(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue


def kill_family(job: Job, rounds: int = 5) -> int:
    """SIGKILL to all of them, again until a look finds none (one may fork while we look); the number killed."""
    killed = 0
    for _ in range(rounds):
        processes = family(job)
        if not processes:
            break
        for process in processes:
            try:
                process.kill()
                killed += 1
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=2)
    return killed


@dataclass
class Usage:
    """What a tree of processes uses. CPU in percent of one core since the last look, memory in bytes."""

    seen: dict[tuple[int, float], float]

    def measure(self, processes: Iterable[psutil.Process], seconds: float) -> dict[str, float]:
        cpu, rss, now = 0.0, 0, {}
        for process in processes:
            try:
                with process.oneshot():
                    times, key = process.cpu_times(), (process.pid, process.create_time())
                    rss += process.memory_info().rss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            now[key] = times.user + times.system
            cpu += now[key] - self.seen.get(key, 0.0)
        self.seen = now
        return {"system/cpu_percent": 100 * cpu / max(seconds, 1e-3), "system/rss_bytes": float(rss), **gpu_usage()}


def gpu_usage() -> dict[str, float]:
    """Per device utilisation in percent and memory in bytes, from nvidia-smi; empty where there is none."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return {}
    query = [command, "--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return parse_gpu_usage(said)


def parse_gpu_usage(text: str) -> dict[str, float]:
    """`0, 97, 70123` lines (index, percent, MiB); a device that answers [N/A] is left out."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        index, percent, mebibytes = (part.strip() for part in line.split(","))
        if percent.isdigit() and mebibytes.isdigit():
            found[f"system/gpu{index}_percent"] = float(percent)
            found[f"system/gpu{index}_bytes"] = float(mebibytes) * 2**20
    return found


def _same(pid: int | None, pid_started_at: float | None) -> psutil.Process | None:
    if pid is None or pid_started_at is None:
        return None
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - pid_started_at) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same else None


def _carries(process: psutil.Process, value: str) -> bool:
    try:
        return process.environ().get(MARK) == value and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
