"""The system calls that Python does not offer, by ctypes. Each raises OSError, with what was tried, when refused.

Numbers and structures: include/uapi/linux/{sched,mount,capability,prctl}.h.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct

NEW_MOUNTS, NEW_CGROUP, NEW_UTS, NEW_IPC = 0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000
NEW_USER, NEW_PIDS, NEW_NETWORK = 0x1000_0000, 0x2000_0000, 0x4000_0000
NO_SUID, NO_DEVICES, NO_EXEC, BIND, RECURSIVE, PRIVATE, SLAVE = 0x2, 0x4, 0x8, 0x1000, 0x4000, 0x4_0000, 0x8_0000
READ_ONLY, ATTRIBUTE_NO_SUID = 0x1, 0x2  # of mount_setattr
SET_DEATH_SIGNAL, SET_DUMPABLE, SET_SECCOMP, SET_CHILD_SUBREAPER, SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
_DETACH, _AT_RECURSIVE, _MOUNT_SETATTR, _CAPABILITIES_V3 = 2, 0x8000, 442, 0x2008_0522
_CLONE = {"x86_64": 56, "aarch64": 220}
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MODE_FILTER = 2

libc = ctypes.CDLL(None, use_errno=True)
_holding_the_lock = ctypes.PyDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """A call's result, unless it says that errno is set."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    names = source.encode(), target.encode(), kind.encode() if kind else None
    check(libc.mount(*names, flags, data.encode()), f"mount {target}")


def detach(target: str) -> None:
    """Take a mount and all below it away; who has files open there keeps them."""
    check(libc.umount2(target.encode(), _DETACH), f"unmount {target}")


def make_read_only(target: str, *, recursive: bool) -> None:
    """Since Linux 5.12; the older remount does not reach the mounts below."""
    attributes = struct.pack("=QQQQ", READ_ONLY | ATTRIBUTE_NO_SUID, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    check(libc.syscall(_MOUNT_SETATTR, -1, target.encode(), flags, attributes, len(attributes)), f"seal {target}")


def pivot_root(new: str, old: str) -> None:
    check(libc.syscall(_PIVOT_ROOT[os.uname().machine], new.encode(), old.encode()), "pivot_root")


def unshare(namespaces: int, what: str) -> None:
    check(libc.unshare(namespaces), what)


def prctl(option: int, value: int, what: str) -> None:
    check(libc.prctl(option, value, 0, 0, 0), what)


def drop_capabilities() -> None:
    """Effective, permitted and inheritable, all. With NO_NEW_PRIVS and a user other than 0 none comes back."""
    header = struct.pack("=Ii", _CAPABILITIES_V3, 0)
    check(libc.capset(header, bytes(24)), "drop capabilities")


def install_filter(program: bytes) -> None:
    """A seccomp filter (worker.sandbox.seccomp), for good. Needs NO_NEW_PRIVS."""
    buffer = ctypes.create_string_buffer(program, len(program))
    sock_fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    check(libc.prctl(SET_SECCOMP, _MODE_FILTER, sock_fprog, 0, 0), "seccomp")


def fork_into(namespaces: int) -> int:
    """os.fork, with the child in new namespaces. Only for a process with a single thread.

    unshare and fork would do too, but a process id namespace made so takes a second fork, and cannot be made twice.
    """
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(_holding_the_lock.syscall(_CLONE[os.uname().machine], namespaces | signal.SIGCHLD, 0, 0, 0, 0))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    code = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    ctypes.set_errno(code)
    return check(pid, "clone")
