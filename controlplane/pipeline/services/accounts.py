"""Which user a server runs as, and that it never outlives the process that started it. Linux only."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controlplane.pipeline.services.layout import SYSTEM_STATE, closed_parent

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class ServiceError(Exception):
    """A server cannot be prepared or started; the message is one line for the person who typed the command."""


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int


def service_account() -> Account | None:
    """The user to run servers as when we are root (SERVICE_USER, by default nobody); None means as ourselves."""
    if os.getuid() != 0:
        return None
    name = os.environ.get("SERVICE_USER", "nobody")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ServiceError(f"SERVICE_USER names {name!r}, which is no user of this machine.") from None
    if entry.pw_uid == 0:
        raise ServiceError("SERVICE_USER must not be root: Postgres refuses to run as root.")
    return Account(entry.pw_uid, entry.pw_gid)


def become(account: Account | None) -> None:
    """Drop root for good."""
    if account is not None:
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)


def own_folder(folder: Path, account: Account | None) -> None:
    """Make `folder` for the server's user alone (0700). Raises ServiceError if another user was there first."""
    folder.mkdir(exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.getuid(), account.uid if account else os.getuid()}:
        raise ServiceError(f"{folder} belongs to another user.")
    give([folder], account)
    folder.chmod(0o700)


def open_way(folder: Path, account: Account | None) -> None:
    """Make `folder`, passable (0711) for root's servers' user. Raises ServiceError if the way there is closed."""
    closed = closed_parent(folder) if account else None
    if closed is not None and closed != SYSTEM_STATE:
        raise ServiceError(
            f"Root's servers run as another user, who may not pass {closed}: set YARD_STATE to a folder outside it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    if account is not None:
        for place in {folder, *({SYSTEM_STATE} & set(folder.parents))}:
            place.chmod(place.stat().st_mode | 0o011)


def give(paths: Iterable[Path], account: Account | None) -> None:
    if account is not None:
        for path in paths:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def reachable_copy(folders: list[Path], copies: Path, account: Account | None) -> Path:
    """The first of `folders`, or a copy of it below `copies` when `account` cannot reach it (a venv below /root).

    `folders` share one parent and stay next to each other: Postgres finds its libraries by a relative rpath.
    """
    if account is None or closed_parent(folders[0] / "x") is None:
        return folders[0]
    if not copies.exists():
        draft = copies.with_name(f"{copies.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        for folder in folders:
            shutil.copytree(folder, draft / folder.name)
        for path in [draft, *draft.rglob("*")]:
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() or os.access(path, os.X_OK) else 0o044))
        draft.rename(copies)
    return copies / folders[0].name


def die_with_parent(parent: int, with_signal: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send us `with_signal` when `parent` dies, however it dies. Lost by setuid, kept by exec."""
    if LIBC.prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it died before the call: the signal would never come
        os.kill(os.getpid(), with_signal)
