"""What the embedded servers have in common: one folder, one lock for their whole life, and exec into the binary.

The process that prepared a server becomes it, so the pid that the supervisor watches is the server's own.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

from controlplane.pipeline.services import locks
from controlplane.pipeline.services.accounts import (
    Account,
    ServiceError,
    become,
    die_with_parent,
    open_way,
    own_folder,
    service_account,
)

LAST_PROCESSES_SECONDS = 10  # backends of a killed postmaster notice within one second; ten on a swamped machine


class Server(Protocol):
    """An embedded server: how to prepare it, what to run, and how to tell that it answers."""

    @property
    def folder(self) -> Path: ...

    @property
    def sockets(self) -> Path: ...

    @property
    def durable(self) -> bool: ...

    @property
    def death_signal(self) -> signal.Signals: ...

    def prepare(self, account: Account | None, lock: int) -> list[str]:
        """Make what is missing, clear what is stale, and return the command to exec. Runs under the lock."""
        ...

    def is_ready(self) -> bool: ...


def serve(server: Server, patience_seconds: float = LAST_PROCESSES_SECONDS) -> NoReturn:
    """Prepare `server` and become it. Raises ServiceError if its folder is in use or cannot be prepared."""
    parent, account = os.getppid(), service_account()
    os.umask(0o077)
    open_way(server.folder.parent, account)
    own_folder(server.folder, account)
    own_folder(server.sockets, account)
    try:
        lock = locks.take(server.folder / "run.lock", patience_seconds)
    except locks.Held:
        raise ServiceError(f"A server is already running on {server.folder}.") from None
    command = server.prepare(account, lock)
    os.set_inheritable(lock, True)
    become(account)
    die_with_parent(parent, server.death_signal)
    sys.stdout.flush()
    os.chdir(server.folder)
    os.execve(command[0], command, environment())  # noqa: S606 (no shell is what we want)


def serve_from_command_line(kind: Callable[[Path, bool], Server]) -> NoReturn:
    """The modules' own `python -m … FOLDER`, without Django: `kind` makes the server from its folder and durability."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--not-durable", action="store_true", help="for tests: quick, and lost at a power cut")
    parser.add_argument("--patience", type=float, default=LAST_PROCESSES_SECONDS, help="seconds to wait for the lock")
    given = parser.parse_args()
    try:
        serve(kind(given.folder.absolute(), not given.not_durable), given.patience)
    except ServiceError as error:
        raise SystemExit(str(error)) from error


def environment() -> dict[str, str]:
    """Nothing of ours: PG* variables would steer Postgres, and a server has no use for our secrets."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC"}
