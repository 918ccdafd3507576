"""Watches one run from outside: output, clock, and the processor time and memory of the whole tree of processes.

The kernel's own limits hold each process; this holds their sum, looking every 50 ms. It ends when the first process has
ended, and then nothing of the tree is left: whoever runs it must be a child subreaper (prctl) with no other children.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from worker.sandbox.program import NONCE_FD, VERDICT_FD, Limits
from worker.sandbox.verdict import READY, TAIL_BYTES, Ended

TICK_SECONDS = 0.05
COMPILE_WALL_PER_CPU_SECOND = 4.0
HIGH_FD = 10  # descriptors from here on are never one that a program is born with
_SHELL_TIME = re.compile(r"(\d+)m([\d.]+)s")
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Launch:
    """How to start. `become` is called in the new process, with the program's descriptors in place, and never returns.

    `fork` makes that process. `overfull` says of a tree of processes, the first one first, whether it has written more
    than it may, where no file system holds it to that. `compile_cpu_seconds` is what may be used before `ready`.
    """

    become: Callable[[], None]
    nonce: str
    fork: Callable[[], int] = os.fork
    overfull: Callable[[Sequence[int]], bool] = lambda tree: False
    compile_cpu_seconds: float = 0.0


@dataclass
class _Pipes:
    """The reading ends, and what came through them: the end of the two streams, and the beginning of the words.

    Of the words the beginning, since a program that floods its pipe must not wash `ready` away: without it a run counts
    as the sandbox's own failure.
    """

    fds: dict[str, int]
    kept: dict[str, bytearray] = field(default_factory=dict)
    n_output_bytes: int = 0

    def __post_init__(self) -> None:
        self.kept = {name: bytearray() for name in self.fds}

    def read(self, name: str) -> bool:
        """Take one piece; False at the end of the pipe."""
        try:
            piece = os.read(self.fds[name], 65536)
        except BlockingIOError:
            return True
        kept = self.kept[name]
        self.n_output_bytes += len(piece)
        kept += piece
        if name == "words":
            del kept[TAIL_BYTES:]
        else:
            del kept[: max(0, len(kept) - TAIL_BYTES)]
        return bool(piece)

    def text(self, name: str) -> str:
        return self.kept[name].decode("utf-8", "replace")

    @property
    def ready(self) -> bool:
        return READY.encode() in self.kept["words"]


class Watch:
    """One run of a program. `control` is a descriptor that turns readable when the caller is gone."""

    def __init__(self, limits: Limits, control: int) -> None:
        self.limits = limits
        self.control = control
        self.killed_for: str | None = None
        self.cpu_seconds = 0.0  # of the whole run
        self.cpu_seconds_before = 0.0  # of what came before the program's first statement
        self.began: float | None = None
        self.peak_memory_bytes = 0

    def run(self, launch: Launch) -> Ended:
        """Start, watch, and clear away. Raises CallerGone when the caller went first."""
        started = time.monotonic()
        pid, pipes = _start(launch)
        try:
            exit_code = self._watch(pid, pipes, launch, started)
        finally:
            self._clear()
        seconds = time.monotonic() - (self.began or started)
        for name, fd in pipes.fds.items():
            while self._drain(pipes, name):
                pass
            os.close(fd)
        words, told = take_times(pipes.text("words"))
        before = min(self.cpu_seconds, max(told, self.cpu_seconds_before)) if pipes.ready else self.cpu_seconds
        return Ended(
            self.killed_for, exit_code, seconds, self.cpu_seconds - before, self.peak_memory_bytes,
            pipes.text("stdout"), pipes.text("stderr"), words, before,
        )  # fmt: skip

    def _drain(self, pipes: _Pipes, name: str) -> bool:
        """Every writer is dead, so this ends."""
        before = pipes.n_output_bytes
        return pipes.read(name) and pipes.n_output_bytes != before

    def _watch(self, pid: int, pipes: _Pipes, launch: Launch, started: float) -> int:
        pidfd = os.pidfd_open(pid)
        try:
            with selectors.DefaultSelector() as selector:
                for name, fd in pipes.fds.items():
                    selector.register(fd, selectors.EVENT_READ, name)
                selector.register(pidfd, selectors.EVENT_READ, "ended")
                selector.register(self.control, selectors.EVENT_READ, "control")
                return self._loop(pid, pipes, launch, started, selector)
        finally:
            os.close(pidfd)

    def _loop(self, pid: int, pipes: _Pipes, launch: Launch, started: float, selector: selectors.BaseSelector) -> int:
        next_look = started + TICK_SECONDS
        while True:
            for key, _ in selector.select(max(0.0, next_look - time.monotonic())):
                if key.data == "control":
                    raise CallerGone
                if key.data == "ended":
                    return self._reap(pid)
                if not pipes.read(key.data):
                    selector.unregister(key.fd)
            if self.began is None and pipes.ready:
                self._begin(pid)
            if pipes.n_output_bytes > self.limits.output_bytes:
                self.killed_for = "output"
            elif time.monotonic() >= next_look:
                next_look = time.monotonic() + TICK_SECONDS
                self._look(pid, launch, started)
            if self.killed_for is not None:
                return -signal.SIGKILL

    def _begin(self, pid: int) -> None:
        """The program's own time starts now: neither a compiler nor an interpreter's start is its doing."""
        self.began = time.monotonic()
        self.cpu_seconds_before = sum(map(_cpu_seconds, [pid, *descendants(pid)]))

    def _look(self, pid: int, launch: Launch, started: float) -> None:
        tree = [pid, *descendants(pid)]
        self.cpu_seconds = max(self.cpu_seconds, sum(map(_cpu_seconds, tree)))
        memory = sum(map(_resident_bytes, tree))
        if memory > self.limits.memory_bytes:  # forks share pages: count those once before judging
            memory = sum(map(_proportional_bytes, tree))
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
        cpu_limit, wall_limit = self._time_limits(launch)
        if memory > self.limits.memory_bytes:
            self.killed_for = "memory"
        elif self.cpu_seconds - self.cpu_seconds_before > cpu_limit:
            self.killed_for = "cpu"
        elif time.monotonic() - (self.began or started) > wall_limit:
            self.killed_for = "wall"
        elif self.began is not None and launch.overfull(tree):
            self.killed_for = "disk"

    def _time_limits(self, launch: Launch) -> tuple[float, float]:
        if self.began is None and launch.compile_cpu_seconds:
            return launch.compile_cpu_seconds, COMPILE_WALL_PER_CPU_SECOND * launch.compile_cpu_seconds
        return self.limits.cpu_seconds, self.limits.wall_seconds

    def _reap(self, pid: int) -> int:
        _, status, usage = os.wait4(pid, 0)
        self.cpu_seconds = max(self.cpu_seconds, self.cpu_seconds_before, usage.ru_utime + usage.ru_stime)
        self.peak_memory_bytes = max(self.peak_memory_bytes, usage.ru_maxrss * 1024)
        return os.waitstatus_to_exitcode(status)

    def _clear(self) -> None:
        """Kill and collect all that is left. Collecting the first process of a namespace waits for the whole of it."""
        while True:
            for pid in descendants(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)


def take_times(words: str) -> tuple[str, float]:
    """What the shell's `times` wrote before `ready`, as seconds in all, and the words without it."""
    before, ready, after = words.partition(READY)
    seconds = sum(60 * int(minutes) + float(rest) for minutes, rest in _SHELL_TIME.findall(before))
    return _SHELL_TIME.sub("", before) + ready + after, seconds


class CallerGone(Exception):
    """The process that asked for the run is no longer there."""


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, parents first. Those that end meanwhile are left out."""
    found: list[int] = []
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return found
    for thread in threads:
        for child in map(int, _read(thread / "children").split()):
            found += [child, *descendants(child)]
    return found


def _start(launch: Launch) -> tuple[int, _Pipes]:
    pipes = {name: high_pipe() for name in ("stdout", "stderr", "words")}
    nonce = filled_pipe(launch.nonce)
    pid = launch.fork()  # single-threaded and small, so fork is safe and cheap here
    if pid == 0:
        _become(launch, {name: writing for name, (_, writing) in pipes.items()}, nonce)
    os.close(nonce)
    for reading, writing in pipes.values():
        os.close(writing)
        os.set_blocking(reading, False)
    return pid, _Pipes({name: reading for name, (reading, _) in pipes.items()})


def _become(launch: Launch, writing: dict[str, int], nonce: int) -> NoReturn:
    try:
        os.dup2(high(os.open(os.devnull, os.O_RDONLY)), 0)
        for fd, source in (
            (1, writing["stdout"]),
            (2, writing["stderr"]),
            (NONCE_FD, nonce),
            (VERDICT_FD, writing["words"]),
        ):
            os.dup2(source, fd)
        launch.become()
    except OSError as error:
        os.write(2, f"cannot start: {error}\n".encode())
    finally:
        os._exit(126)


def high(fd: int) -> int:
    """The same descriptor under a number that no program is born with, closed on exec."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD)
    os.close(fd)
    return moved


def high_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    return high(reading), high(writing)


def filled_pipe(text: str) -> int:
    """The reading end of a pipe that holds this and no more (at most 64 KiB)."""
    reading, writing = high_pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading


def _read(path: Path) -> str:
    """A file of /proc; empty when its process has ended. A refusal is raised: watching blindly would be no watching."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process and of the children it has collected (proc_pid_stat(5), fields 14 to 17)."""
    _, _, fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")
    return sum(map(int, fields.split()[11:15])) / _CLOCK_TICKS


def _resident_bytes(pid: int) -> int:
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * _PAGE_BYTES if fields else 0


def _proportional_bytes(pid: int) -> int:
    """Resident memory with shared pages divided among their sharers; zero when the process has ended.

    A process may forbid this look at itself (PR_SET_DUMPABLE); then it is held to its plain resident memory.
    """
    try:
        text = _read(Path(f"/proc/{pid}/smaps_rollup"))
    except PermissionError:
        return _resident_bytes(pid)
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
