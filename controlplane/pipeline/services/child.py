"""One supervised process: in a session of its own, watched, and started again with growing pauses when it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from controlplane.pipeline.services import logs
from controlplane.pipeline.services.accounts import die_with_parent
from controlplane.pipeline.services.health import Probe
from controlplane.pipeline.services.state import ProcessState

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 30.0
STEADY_SECONDS = 30.0  # a process that lived this long starts from the first pause again
SETTLED_SECONDS = 1.5  # a process without a probe counts as healthy after this long
PROBE_PAUSE_SECONDS, PROBE_AGAIN_SECONDS = 0.1, 5.0


@dataclass
class Child:
    name: str
    command: str  # as people know it: the Procfile's words
    argv: list[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    probe: Probe | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    started_at: float | None = None  # since the epoch, for people
    restarts: int = 0
    last_exit: str = ""
    last_exit_at: float | None = None
    healthy: bool = False
    log_start: int = 0
    said_last: str = ""  # before its last exit
    begun: float = 0.0  # monotonic, for us
    due: float = 0.0  # when to start again
    pause: float = field(default=FIRST_PAUSE_SECONDS)
    next_probe: float = 0.0

    def start(self) -> None:
        """Start the process. It dies with us, whatever happens to us, and never hears the terminal's Ctrl-C."""
        supervisor = os.getpid()

        def between_fork_and_exec() -> None:
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            die_with_parent(supervisor)

        with logs.open_log(self.log) as out:
            self.log_start = out.tell()
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=dict(self.environment),
                start_new_session=True,
                preexec_fn=between_fork_and_exec,  # we are one thread: there is no lock for the fork to copy
            )
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
            out.write(f"{logs.OUR_MARK} {now} {self.name} starts, pid {self.process.pid}\n".encode())
        self.started_at, self.begun, self.healthy, self.next_probe = time.time(), time.monotonic(), False, 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def reap(self) -> bool:
        """Whether the process has ended since the last call. Clears up after it and plans the next start."""
        if self.process is None or self.process.poll() is None:
            return False
        code = self.process.returncode
        self.last_exit = f"signal {-code}" if code < 0 else f"exit {code}"
        self.last_exit_at = time.time()
        self.said_last = logs.last_line(self.log, self.log_start)
        self.kill_session()
        lived = time.monotonic() - self.begun
        self.pause = FIRST_PAUSE_SECONDS if lived > STEADY_SECONDS else self.pause
        self.due = time.monotonic() + self.pause
        self.pause = min(self.pause * 2, LONGEST_PAUSE_SECONDS)
        self.process, self.healthy = None, False
        return True

    def restart_if_due(self) -> bool:
        if self.process is not None or time.monotonic() < self.due:
            return False
        self.restarts += 1
        self.start()
        return True

    def check(self) -> bool:
        """Ask the probe if it is time to; whether the answer changed."""
        now = time.monotonic()
        if not self.alive or now < self.next_probe:
            return False
        before = self.healthy
        self.healthy = self.probe() if self.probe else now - self.begun > SETTLED_SECONDS
        self.next_probe = time.monotonic() + (PROBE_AGAIN_SECONDS if self.healthy else PROBE_PAUSE_SECONDS)
        return self.healthy != before

    def send(self, which: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(which)

    def kill_session(self) -> None:
        """SIGKILL what the process leaves behind: an rqworker's work horse, say, lives on when its worker is killed."""
        if self.process is None:
            return
        for pid in psutil.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getsid(pid) == self.process.pid:
                    os.kill(pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The last line that this process, or else the one before it, wrote."""
        return logs.last_line(self.log, self.log_start) or self.said_last or "it wrote nothing"

    def state(self) -> ProcessState:
        return ProcessState(
            name=self.name,
            command=self.command,
            pid=self.process.pid if self.process else None,
            started_at=self.started_at,
            restarts=self.restarts,
            last_exit=self.last_exit,
            last_exit_at=self.last_exit_at,
            healthy=self.healthy,
            log=str(self.log),
        )
