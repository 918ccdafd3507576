"""Locks that the kernel holds and drops: a flock lives exactly as long as the last process that has its descriptor."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


class Held(Exception):
    """Another process holds the lock."""


def take(file: Path, wait_seconds: float = 0) -> int:
    """A descriptor that holds the lock on `file`. Raises Held if it stays taken for `wait_seconds`.

    Children that inherit the descriptor hold the lock as well: that is how a server's lock covers all its processes.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise Held(str(file)) from None
            time.sleep(0.05)
        else:
            return descriptor


def is_held(file: Path) -> bool:
    try:
        os.close(take(file))
    except Held:
        return True
    except FileNotFoundError:
        return False
    return False
