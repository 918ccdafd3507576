"""The command line of one bubblewrap run: an empty root, the system's libraries read-only, and small memory-backed
folders.

Files go in through descriptors and nothing but the pipes comes out, so no folder of the host is writable inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.sandbox.program import Limits, shared_memory_part

# What a run in namespaces sees of the host, beside its toolchain's own folders.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
LOADER = ("/etc/ld.so.cache", "/etc/alternatives")
BOX = "/tmp/box"  # noqa: S108 (inside; with /tmp in one file system, so that its size is the size of both)
_NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup-try")
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/box",
    "TMPDIR": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # set order decides some completions: the same program gets the same verdict
}


@dataclass(frozen=True)
class Root:
    """A folder that a toolchain reads: where the program sees it, and where it is read from."""

    path: str
    source: str


def command(
    bwrap: str, roots: Sequence[Root], limits: Limits, *, files: dict[str, int], filter_fd: int, script: str
) -> list[str]:
    """bwrap with all its arguments. `files` are names in the program's folder and the descriptors that hold them."""
    return [bwrap, *_namespaces(), *_folders(roots, limits), *_files(files), "--chdir", BOX,
            # Without the first, /dev is a tmpfs without a size: the one disk-filling attack that got through.
            "--remount-ro", "/dev", "--remount-ro", "/",
            "--seccomp", str(filter_fd), "--", "/bin/sh", "-c", script]  # fmt: skip


def _namespaces() -> list[str]:
    return [
        *(f"--unshare-{name}" for name in _NAMESPACES),
        *("--die-with-parent", "--new-session", "--disable-userns", "--cap-drop", "ALL"),
    ]


def _folders(roots: Sequence[Root], limits: Limits) -> list[str]:
    arguments = []
    for path in (*SYSTEM, *LOADER):
        arguments += _system_path(Path(path))
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    sizes = shared_memory_part(limits.disk_bytes)
    for folder, size in zip(("/tmp", "/dev/shm"), sizes, strict=True):  # noqa: S108
        arguments += ["--size", str(size), "--tmpfs", folder]
    arguments += ["--dir", BOX, "--symlink", BOX[1:], "/box"]
    for root in roots:  # after /tmp: a toolchain that lives there would vanish under it
        arguments += ["--ro-bind", root.source, root.path]
    return arguments


def _system_path(path: Path) -> list[str]:
    if path.is_symlink():  # merged /usr: /bin -> usr/bin
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind-try", str(path), str(path)]


def _files(files: dict[str, int]) -> list[str]:
    return [argument for name, fd in files.items() for argument in ("--file", str(fd), f"{BOX}/{name}")]
