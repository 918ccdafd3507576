"""The system call filter, as the bytes of a classic BPF program (struct sock_filter[]).

Written by hand because nothing is gained from libseccomp for a list this flat: load the architecture, load the number,
one compare per refused call. Refused calls answer EPERM, so that honest programs get an exception and not a crash;
foreign architectures and x32 are killed, since their numbers would slip past. Not here: what a path or an address may
be, which is the work of the namespaces or of Landlock.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (aarch64). Source of the form:
Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import errno
import os
import struct

# (x86_64, aarch64); None where the architecture has no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # looking into or steering other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "perf_event_open": (298, 241),
    # large kernel surfaces
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    # mounts and namespaces
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # the machine itself
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    # memory that no limit counts
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
}
_SIGNALS = {"kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "pidfd_send_signal": (424, 424)}
_CLONE, _CLONE3, _SOCKET, _SOCKETPAIR, _IOCTL = (56, 220), (435, 435), (41, 198), (53, 199), (16, 29)

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32_BIT = 0x4000_0000
_NEW_NAMESPACES = 0x7E02_0000  # CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
UNIX, INET, INET6 = 1, 2, 10
_TYPE_BITS, _STREAM = 0xF, 1

_LOAD, _AND, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24  # offsets in struct seccomp_data


def build_filter(*, families: tuple[int, ...], signals: bool = True, machine: str = "") -> bytes:
    """The filter for this machine. `families` are the socket families that may be opened; with none, only connected
    pairs can be had (asyncio wants one): no socket then leads to a socket file of the host, whose address is behind a
    pointer and which Landlock does not watch. `signals=False` refuses kill and kin.

    Raises KeyError for a machine other than x86_64 and aarch64.
    """
    machine = machine or os.uname().machine
    column, audit_architecture = _ARCHITECTURES[machine]
    program = [_op(_LOAD, _ARCHITECTURE), _op(_JUMP_EQUAL, audit_architecture, 1, 0), _op(_RETURN, _KILL)]
    program.append(_op(_LOAD, _NUMBER))
    if machine == "x86_64":
        program += [_op(_JUMP_AT_LEAST, _X32_BIT, 0, 1), _op(_RETURN, _KILL)]
    for numbers in [*_REFUSED.values(), *(() if signals else _SIGNALS.values())]:
        number = numbers[column]
        if number is not None:
            program += [_op(_JUMP_EQUAL, number, 0, 1), _op(_RETURN, _ERRNO | errno.EPERM)]
    # glibc falls back to clone, whose flags can be read, when clone3 is not there; clone3 hides them behind a pointer.
    program += [_op(_JUMP_EQUAL, _CLONE3[column], 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    program += _clone(_CLONE[column]) + _ioctl(_IOCTL[column])
    program += _sockets(_SOCKET[column], families)
    program += _sockets(_SOCKETPAIR[column], families) if families else _stream_pairs(_SOCKETPAIR[column])
    program.append(_op(_RETURN, _ALLOW))
    return b"".join(program)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _clone(number: int) -> list[bytes]:
    """Refuse new namespaces. Like its kin below: the accumulator is left as it was found when the number is another."""
    body = [
        _op(_LOAD, _FIRST_ARGUMENT),
        _op(_JUMP_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _op(_RETURN, _ERRNO | errno.EPERM),
        _op(_RETURN, _ALLOW),
    ]
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]


def _ioctl(number: int) -> list[bytes]:
    body = [
        _op(_LOAD, _SECOND_ARGUMENT),
        _op(_JUMP_EQUAL, _TIOCSTI, 1, 0),
        _op(_JUMP_EQUAL, _TIOCLINUX, 0, 1),
        _op(_RETURN, _ERRNO | errno.EPERM),
        _op(_RETURN, _ALLOW),
    ]
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]


def _sockets(number: int, families: tuple[int, ...]) -> list[bytes]:
    body = [_op(_LOAD, _FIRST_ARGUMENT)]
    for family in families:
        body += [_op(_JUMP_EQUAL, family, 0, 1), _op(_RETURN, _ALLOW)]
    body.append(_op(_RETURN, _ERRNO | errno.EAFNOSUPPORT))
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]


def _stream_pairs(number: int) -> list[bytes]:
    """Pairs of datagram sockets are refused: those can be connected anew, and addressed message by message."""
    body = [
        _op(_LOAD, _FIRST_ARGUMENT),
        _op(_JUMP_EQUAL, UNIX, 0, 3),
        _op(_LOAD, _SECOND_ARGUMENT),
        _op(_AND, _TYPE_BITS),
        _op(_JUMP_EQUAL, _STREAM, 1, 0),
        _op(_RETURN, _ERRNO | errno.EAFNOSUPPORT),
        _op(_RETURN, _ALLOW),
    ]
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]
