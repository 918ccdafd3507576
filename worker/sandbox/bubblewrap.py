"""The command line of one bubblewrap run: an empty root, the system's libraries read-only, and small memory-backed
folders.

Files go in through descriptors and nothing but the pipes comes out, so no folder of the host is writable inside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.sandbox.verdict import Limits

PROGRAM = "/box/program.py"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_LOADER = ("/etc/ld.so.cache", "/etc/alternatives")
_NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup-try")
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/box",
    "TMPDIR": "/tmp",  # noqa: S108 (inside, this is the program's own)
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # set order decides some completions: the same program gets the same verdict
}


@dataclass(frozen=True)
class Interpreter:
    """The Python that runs programs: its executable and prefix as the program sees them, and where the prefix is read
    from.
    """

    executable: str
    prefix: str
    source: str


def command(
    bwrap: str, interpreter: Interpreter, limits: Limits, *, program_fd: int, filter_fd: int, inner: Sequence[str]
) -> list[str]:
    """bwrap with all its arguments, ending in `inner`, which is started under the resource limits."""
    return [bwrap, *_namespaces(), *_folders(interpreter, limits, program_fd), *_environment(),
            "--seccomp", str(filter_fd), "--", *_under_limits(limits), *inner]  # fmt: skip


def _namespaces() -> list[str]:
    return [
        *(f"--unshare-{name}" for name in _NAMESPACES),
        *("--die-with-parent", "--new-session", "--disable-userns", "--cap-drop", "ALL"),
    ]


def _folders(interpreter: Interpreter, limits: Limits, program_fd: int) -> list[str]:
    size = str(limits.disk_bytes)
    arguments = []
    for path in (*_SYSTEM, *_LOADER):
        arguments += _system_path(Path(path))
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/tmp", "/box", "/dev/shm"):  # noqa: S108
        arguments += ["--size", size, "--tmpfs", folder]
    if not Path(interpreter.prefix).is_relative_to("/usr"):
        # After /tmp: an interpreter that lives there would vanish under it.
        arguments += ["--ro-bind", interpreter.source, interpreter.prefix]
    arguments += ["--file", str(program_fd), PROGRAM, "--chdir", "/box"]
    # Without the first, /dev is a tmpfs without a size: the one disk-filling attack that got through in the trial.
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/"]


def _system_path(path: Path) -> list[str]:
    if path.is_symlink():  # merged /usr: /bin -> usr/bin
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


def _environment() -> list[str]:
    arguments = ["--clearenv"]
    for name, value in ENVIRONMENT.items():
        arguments += ["--setenv", name, value]
    return arguments


def _under_limits(limits: Limits) -> list[str]:
    """A shell that lowers the limits inside the new user namespace, where the count of processes starts at zero.

    cpu: one second above the limit, since the watcher judges the whole tree and this only backs it up. File sizes are
    in blocks of 512 bytes and memory in KiB, as POSIX and dash have it. `-p` is the number of processes in dash, `-u`
    in bash.
    """
    settings = {
        "-c": 0,
        "-t": math.ceil(limits.cpu_seconds) + 1,
        "-v": limits.address_space_bytes // 1024,
        "-f": limits.file_bytes // 512,
        "-n": limits.open_files,
    }
    script = " && ".join(f"ulimit {option} {value}" for option, value in settings.items())
    processes = f"{{ ulimit -p {limits.processes} 2>/dev/null || ulimit -u {limits.processes}; }}"
    return ["/bin/sh", "-c", f'{script} && {processes} && exec "$@"', "sh"]
