"""Starts the processes of a yard, starts them again when they end, and leaves none behind.

It is one thread that sleeps in sigtimedwait: a child's death, Ctrl-C and the clock all wake it there. Supervisors to be
had were looked at first: honcho stops everything when one process ends and has no restarts; circus restarts, but brings
ZeroMQ and a tornado loop, and neither ties its children's lives to its own (kill -9 of it would leave a yard running).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Self

from controlplane.pipeline.services import logs
from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.child import Child
from controlplane.pipeline.services.state import Phase, YardState, write_state

GRACE_SECONDS = 5.0
LOG_CHECK_SECONDS = 10.0
FAILED_STARTS = 3  # so often may a process fail while we wait for it before we give up


class Stopped(Exception):
    """Someone asked us to stop."""


class Supervisor:
    def __init__(self, state_dir: Path, url: str, pid: int, say: Callable[[str], None]) -> None:
        self.state_dir, self.url, self.pid, self.say = state_dir, url, pid, say
        self.children: list[Child] = []
        self.phase: Phase = "starting"
        self.started_at = time.time()
        self.next_log_check = 0.0
        self.stop_signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # nohup: we are meant to outlive the terminal
            self.stop_signals.remove(signal.SIGHUP)
        self.watched = self.stop_signals | {signal.SIGCHLD}

    def __enter__(self) -> Self:
        self.old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.watched)
        self.save()
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            self.stop()
        finally:
            while signal.sigtimedwait(self.watched, 0):  # or the impatient second Ctrl-C would hit us after all is done
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, self.old_mask)

    def start(self, children: Iterable[Child]) -> None:
        for child in children:
            self.children.append(child)
            child.start()
        self.save()

    def await_healthy(self, names: Collection[str], seconds: float) -> None:
        """Tend all until `names` are healthy. Raises ServiceError if one cannot start, Stopped if asked to stop."""
        awaited = [child for child in self.children if child.name in names]
        deadline = time.monotonic() + seconds
        while not all(child.healthy for child in awaited):
            self.tend(pause=0.05)
            for child in awaited:
                failed = child.restarts >= FAILED_STARTS and not child.healthy
                if failed or (time.monotonic() > deadline and not child.healthy):
                    raise ServiceError(f"{child.name} does not start: {child.last_words()} (all of it: {child.log})")

    def run(self) -> None:
        """Tend everything until someone asks us to stop."""
        self.phase = "ready"
        self.save()
        while True:
            try:
                self.tend(pause=0.5)
            except Stopped:
                return

    def tend(self, pause: float) -> None:
        """One round: wait for a signal or `pause` seconds, then reap, restart, probe and write down what changed."""
        if self.asked_to_stop_within(pause):
            raise Stopped
        changed = False
        for child in self.children:
            if child.reap():
                self.say(f"{child.name} ended ({child.last_exit}); starting it again. Its log: {child.log}")
                changed = True
            changed |= child.restart_if_due()
            changed |= child.check()
        if changed:
            self.save()
        self.keep_logs_small()

    def asked_to_stop_within(self, seconds: float) -> bool:
        """Sleep until a signal comes or `seconds` are over; whether it was one that stops us."""
        received = signal.sigtimedwait(self.watched, seconds)
        return received is not None and received.si_signo in self.stop_signals

    def keep_logs_small(self) -> None:
        if time.monotonic() >= self.next_log_check:
            self.next_log_check = time.monotonic() + LOG_CHECK_SECONDS
            for child in self.children:
                logs.rotate(child.log)

    def stop(self) -> None:
        """Stop in reverse order: first what uses the servers, all at once, then the servers. A second Ctrl-C kills."""
        self.phase = "stopping"
        self.save()
        servers = [child for child in self.children if child.name in {"postgres", "valkey"}]
        users = [child for child in reversed(self.children) if child not in servers]
        for group in (users, *([server] for server in reversed(servers))):
            self.stop_group(group)
        self.phase = "stopped"
        self.save()

    def stop_group(self, group: list[Child]) -> None:
        for child in group:
            child.send(child.stop_signal)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(child.alive for child in group) and time.monotonic() < deadline:
            if self.asked_to_stop_within(0.1):
                break
        for child in group:
            child.kill_session()
        for child in group:
            if child.process is not None:
                child.process.wait()
                child.reap()

    def save(self) -> None:
        processes = tuple(child.state() for child in self.children)
        write_state(self.state_dir, YardState(self.pid, self.url, self.phase, self.started_at, processes))
