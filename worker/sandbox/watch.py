"""Watches one run from outside: output, clock, and the processor time and memory of the whole tree of processes.

The kernel's own limits hold each process; this holds their sum, looking every 50 ms. It ends when the first process has
ended, and then nothing of the tree is left: whoever runs it must be a child subreaper (prctl) with no other children.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from worker.sandbox.verdict import TAIL_BYTES, Ended, Limits

TICK_SECONDS = 0.05
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Launch:
    """What to start. `confine` is called in the new process just before it becomes `argv`.

    `disk_bytes` says how much of the real disk it has filled, where that is possible at all.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    confine: Callable[[], None] | None = None
    disk_bytes: Callable[[], int] | None = None


@dataclass
class _Pipes:
    """The reading ends, and what came through them."""

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
        if name != "words":
            self.n_output_bytes += len(piece)
        kept = self.kept[name]
        kept += piece
        del kept[: max(0, len(kept) - TAIL_BYTES)]
        return bool(piece)

    def text(self, name: str) -> str:
        return self.kept[name].decode("utf-8", "replace")


class Watch:
    """One run of a program. `control` is a descriptor that turns readable when the caller is gone."""

    def __init__(self, limits: Limits, control: int) -> None:
        self.limits = limits
        self.control = control
        self.killed_for: str | None = None
        self.cpu_seconds = 0.0
        self.peak_memory_bytes = 0

    def run(self, launch: Launch, verdict_pipe: tuple[int, int]) -> Ended:
        """Start, watch, and clear away. Raises CallerGone when the caller went first."""
        started = time.monotonic()
        pid, pipes = _start(launch, verdict_pipe)
        try:
            exit_code = self._watch(pid, pipes, launch, started)
        finally:
            self._clear()
        seconds = time.monotonic() - started
        for name, fd in pipes.fds.items():
            while self._drain(pipes, name):
                pass
            os.close(fd)
        return Ended(
            self.killed_for, exit_code, seconds, self.cpu_seconds, self.peak_memory_bytes,
            pipes.text("stdout"), pipes.text("stderr"), pipes.text("words"),
        )  # fmt: skip

    def _drain(self, pipes: _Pipes, name: str) -> bool:
        """Every writer is dead, so this ends."""
        before = pipes.n_output_bytes, len(pipes.kept[name])
        return pipes.read(name) and (pipes.n_output_bytes, len(pipes.kept[name])) != before

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
            if pipes.n_output_bytes > self.limits.output_bytes:
                self.killed_for = "output"
            elif time.monotonic() >= next_look:
                next_look = time.monotonic() + TICK_SECONDS
                self._look(pid, launch, time.monotonic() - started)
            if self.killed_for is not None:
                return -signal.SIGKILL

    def _look(self, pid: int, launch: Launch, seconds: float) -> None:
        tree = [pid, *descendants(pid)]
        self.cpu_seconds = max(self.cpu_seconds, sum(map(_cpu_seconds, tree)))
        memory = sum(map(_resident_bytes, tree))
        if memory > self.limits.memory_bytes:  # forks share pages: count those once before judging
            memory = sum(map(_proportional_bytes, tree))
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
        if memory > self.limits.memory_bytes:
            self.killed_for = "memory"
        elif self.cpu_seconds > self.limits.cpu_seconds:
            self.killed_for = "cpu"
        elif seconds > self.limits.wall_seconds:
            self.killed_for = "wall"
        elif launch.disk_bytes is not None and launch.disk_bytes() > self.limits.disk_bytes:
            self.killed_for = "disk"

    def _reap(self, pid: int) -> int:
        _, status, usage = os.wait4(pid, 0)
        self.cpu_seconds = max(self.cpu_seconds, usage.ru_utime + usage.ru_stime)
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


def _start(launch: Launch, verdict_pipe: tuple[int, int]) -> tuple[int, _Pipes]:
    out, err = os.pipe(), os.pipe()
    pid = os.fork()  # single-threaded and small, so fork is safe and cheap here
    if pid == 0:
        _become(launch, out[1], err[1])
    for fd in (out[1], err[1], verdict_pipe[1]):
        os.close(fd)
    fds = {"stdout": out[0], "stderr": err[0], "words": verdict_pipe[0]}
    for fd in fds.values():
        os.set_blocking(fd, False)
    return pid, _Pipes(fds)


def _become(launch: Launch, out: int, err: int) -> NoReturn:
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two, and ignoring is inherited
            signal.signal(number, signal.SIG_DFL)
        if launch.confine is not None:
            launch.confine()
        os.execve(launch.argv[0], list(launch.argv), dict(launch.environment))  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot start: {error}\n".encode())
    finally:
        os._exit(126)


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
    """Resident memory with shared pages divided among their sharers; zero when the process has ended."""
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
