"""Confinement without namespaces: a process restricts itself (Landlock, seccomp, limits) just before it becomes the
program.

Weaker than bubblewrap, and stamped so: the program's folder is on a real disk, watched and not sized; it sees no /proc
and has no /tmp of its own; it shares the host's process ids. Source: Documentation/userspace-api/landlock.rst and
include/uapi/linux/landlock.h; the same system call numbers on every architecture.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Sequence
from pathlib import Path

from worker.sandbox import kernel, seccomp
from worker.sandbox.kernel import check, libc

LEAST_ABI = 4  # the first that can refuse TCP
SCOPES_ABI = 6  # the first that keeps signals and abstract sockets inside
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REFER, _TRUNCATE, _IOCTL_DEV = (
    1 << bit for bit in (0, 1, 2, 3, 13, 14, 15)
)
_REMOVE_AND_MAKE = sum(
    1 << bit for bit in (4, 5, 7, 8, 10, 12)
)  # folders, files, FIFOs, symlinks; no sockets, no devices
_ALL_FILE_RIGHTS_ABI_4 = (1 << 15) - 1
_TCP_BIND_AND_CONNECT, _SCOPE_SOCKETS_AND_SIGNALS = 0b11, 0b11
_READABLE = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/dev/urandom",
)


def find_abi() -> int:
    """Landlock's version here; 0 where the kernel has none or it is not enabled."""
    return max(0, int(libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)))


def confine(roots: Sequence[str], work: Path, abi: int) -> None:
    """Restrict this process for good. Needs NO_NEW_PRIVS. Raises OSError when the kernel refuses any part of it."""
    _restrict_files([*_READABLE, *roots], work, abi)
    kernel.install_filter(seccomp.build_filter(families=(), signals=abi >= SCOPES_ABI))


def die_with_parent() -> None:
    """There is no namespace whose end would take the program along."""
    kernel.prctl(kernel.SET_DEATH_SIGNAL, signal.SIGKILL, "death signal")


def count_own_threads() -> int:
    """What RLIMIT_NPROC already counts: outside a user namespace of one's own, all that belongs to the user."""
    uid, count = os.getuid(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid == uid:
                count += sum(1 for _ in (folder / "task").iterdir())
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is hidden and so not ours
    return count


def _restrict_files(readable: Sequence[str], work: Path, abi: int) -> None:
    handled = _ALL_FILE_RIGHTS_ABI_4 | (_IOCTL_DEV if abi >= 5 else 0)
    attributes = struct.pack("=QQQ", handled, _TCP_BIND_AND_CONNECT, _SCOPE_SOCKETS_AND_SIGNALS)
    size = 24 if abi >= SCOPES_ABI else 16
    ruleset = check(libc.syscall(_CREATE_RULESET, attributes[:size], size, 0), "ruleset")
    for path in filter(os.path.exists, readable):
        _allow(ruleset, path, _READ_FILE | _EXECUTE | (_READ_DIR if Path(path).is_dir() else 0))
    _allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE | _TRUNCATE)
    _allow(ruleset, str(work), _EXECUTE | _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _REFER | _REMOVE_AND_MAKE)
    check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "restrict")
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    check(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0), path)
    os.close(fd)
