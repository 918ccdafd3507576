"""A Python that is born inside: namespaces and an empty root once per helper, and one fork into new ones per program.

The same isolation as a run of bubblewrap has, without the start of an interpreter: that, not the isolation, is what a
short program's time goes into. Python only, since what is forked is the interpreter itself.

    helper (no privileges, watches)    user, mount, network, IPC, UTS and cgroup namespaces, its own root
      pid 1                            its own process ids, mounts, /proc, /tmp and /dev/shm; no capabilities; seccomp
        program                        resource limits; pid 1 would ignore its own signals

Shared by all programs of one helper: the hash seed (0, as elsewhere), and modules of Python's own that are loaded
already; no state that a program can write.
"""

from __future__ import annotations

import gc
import math
import os
import random
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from worker.sandbox import in_sandbox, kernel, seccomp
from worker.sandbox.bubblewrap import BOX, LOADER, SYSTEM, Root
from worker.sandbox.program import VERDICT_FD, Limits, shared_memory_part
from worker.sandbox.script import CANNOT_START

_NEW_ROOT = "/tmp"  # noqa: S108 (covered by a tmpfs of this helper's own mount namespace)
_SHARED = (kernel.NEW_USER | kernel.NEW_MOUNTS | kernel.NEW_NETWORK | kernel.NEW_IPC | kernel.NEW_UTS
           | kernel.NEW_CGROUP)  # fmt: skip
_PER_PROGRAM = kernel.NEW_PIDS | kernel.NEW_MOUNTS
_PLAIN = kernel.NO_SUID | kernel.NO_DEVICES
_DEVICES = ("null", "zero", "full", "random", "urandom")
# The helper and pid 1 are in the user namespace too, whose processes the limit counts.
_OUR_PROCESSES = 2
_PROGRAM = f"{BOX}/program.py"
# Loaded before the first program: what completions import most.
_PRELOADED = ("typing", "math", "re", "collections", "itertools", "functools", "heapq", "bisect", "string", "random",
              "operator", "copy", "datetime", "hashlib")  # fmt: skip


def build(roots: Sequence[Root], fresh_modules: frozenset[str]) -> Nursery:
    """Move this process into its own namespaces and root, for good. Raises OSError where the machine refuses.

    `fresh_modules` are the modules that an interpreter has when it starts.
    """
    _own_namespaces()
    _own_root(roots)
    for name in _PRELOADED:
        __import__(name)
    rules = seccomp.build_filter(families=(seccomp.UNIX, seccomp.INET, seccomp.INET6))
    nursery = Nursery(rules, _telltale_modules(fresh_modules))
    gc.collect()
    gc.freeze()  # so that no program's collector writes into pages that it shares with us
    return nursery


def _telltale_modules(fresh: frozenset[str]) -> frozenset[str]:
    """What a program must not find loaded: our own modules, and packages. Having one submodule loaded makes
    `import importlib; importlib.util` work, which is an AttributeError in a fresh interpreter.
    """
    packages = {name for name, module in sys.modules.items() if hasattr(module, "__path__")} | {"worker"}
    ours = {name for name in sys.modules if name.split(".")[0] in packages}
    return frozenset(ours - fresh - {name for name in ours if name.split(".")[0] in _PRELOADED})


class Nursery:
    """Where programs are born. `rules` are their system call filter; `telltale` the modules that they may not see."""

    def __init__(self, rules: bytes, telltale: frozenset[str]) -> None:
        self.rules = rules
        self.telltale = telltale

    @staticmethod
    def fork() -> int:
        return kernel.fork_into(_PER_PROGRAM)

    def become(self, source: bytes, limits: Limits) -> NoReturn:
        """In the process that `fork` made: pid 1 until the program has ended."""
        kernel.prctl(kernel.SET_DEATH_SIGNAL, signal.SIGKILL, "death signal")
        os.closerange(VERDICT_FD + 1, 4096)
        _furnish(limits)
        kernel.drop_capabilities()
        kernel.install_filter(self.rules)
        pid = os.fork()
        if pid == 0:
            self._be_the_program(source, limits)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # pid 1 is deaf to what it has no handler for
        os.close(VERDICT_FD)
        os._exit(_outlive(pid))

    def _be_the_program(self, source: bytes, limits: Limits) -> NoReturn:
        try:
            self._settle(source, limits)
        except OSError as error:
            os.write(2, f"cannot start: {error}\n".encode())
            os._exit(CANNOT_START)
        try:
            in_sandbox.run(_PROGRAM, in_sandbox.read_nonce())
        finally:
            os._exit(1)

    def _settle(self, source: bytes, limits: Limits) -> None:
        os.setsid()
        os.chdir(BOX)
        with open(_PROGRAM, "wb") as file:  # noqa: PTH123 (as in in_sandbox)
            file.write(source)
        _lower(limits)
        for name in self.telltale:
            del sys.modules[name]
        random.seed()


def _own_namespaces() -> None:
    uid, gid = os.getuid(), os.getgid()
    kernel.prctl(kernel.SET_DUMPABLE, 1, "dumpable")  # else, after a setuid, uid_map belongs to root
    kernel.unshare(_SHARED, "user, mount and network namespaces")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    kernel.mount("none", "/", None, kernel.SLAVE | kernel.RECURSIVE)


def _own_root(roots: Sequence[Root]) -> None:
    """A tmpfs with what a program may read bound into it, which then becomes the root.

    The host's /proc stays: we watch through it, and without it the kernel would refuse a new one. Each program's own
    is mounted over it.
    """
    if any(Path(root.path).is_relative_to(_NEW_ROOT) for root in roots):
        raise OSError(f"the interpreter is in {_NEW_ROOT}, which programs have for themselves")
    opened = {root.path: os.open(root.source, os.O_PATH) for root in roots}
    kernel.mount("tmpfs", _NEW_ROOT, "tmpfs", _PLAIN, "mode=0755,size=1m")
    for path in (*SYSTEM, *LOADER):
        _system_path(Path(path))
    for path, fd in opened.items():
        _bind(f"/proc/self/fd/{fd}", path, folder=True)
        os.close(fd)
    for folder in ("tmp", "dev", "proc", "old"):
        Path(_NEW_ROOT, folder).mkdir()
    Path(_NEW_ROOT, "box").symlink_to(BOX[1:])
    kernel.mount("/proc", f"{_NEW_ROOT}/proc", None, kernel.BIND | kernel.RECURSIVE)
    _devices()
    kernel.pivot_root(_NEW_ROOT, f"{_NEW_ROOT}/old")
    os.chdir("/")
    kernel.detach("/old")
    Path("/old").rmdir()
    kernel.make_read_only("/", recursive=False)


def _system_path(path: Path) -> None:
    if path.is_symlink():  # merged /usr: /bin -> usr/bin
        (Path(_NEW_ROOT) / path.relative_to("/")).symlink_to(path.readlink())
    elif path.exists():
        _bind(str(path), str(path), folder=path.is_dir())


def _bind(source: str, path: str, *, folder: bool) -> None:
    target = Path(_NEW_ROOT) / Path(path).relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.mkdir(exist_ok=True) if folder else target.touch()
    kernel.mount(source, str(target), None, kernel.BIND | kernel.RECURSIVE)
    kernel.make_read_only(str(target), recursive=True)


def _devices() -> None:
    device_folder = Path(_NEW_ROOT, "dev")
    for name in _DEVICES:
        (device_folder / name).touch()
        kernel.mount(f"/dev/{name}", str(device_folder / name), None, kernel.BIND)
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (device_folder / name).symlink_to(target)
    (device_folder / "shm").mkdir()


def _furnish(limits: Limits) -> None:
    """A program's own /proc and its two folders, which vanish with it."""
    kernel.mount("proc", "/proc", "proc", _PLAIN | kernel.NO_EXEC)
    sizes = zip(shared_memory_part(limits.disk_bytes), shared_memory_part(limits.inodes), strict=True)
    for folder, (size, inodes) in zip(("/tmp", "/dev/shm"), sizes, strict=True):  # noqa: S108
        kernel.mount("tmpfs", folder, "tmpfs", _PLAIN, f"mode=0755,size={size},nr_inodes={inodes}")
    os.mkdir(BOX)  # noqa: PTH102


def _lower(limits: Limits) -> None:
    """What script.py does with ulimit."""
    processes = limits.processes + _OUR_PROCESSES
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, math.ceil(limits.cpu_seconds) + 1),
        (resource.RLIMIT_AS, limits.address_space_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_NPROC, processes),
    ):
        resource.setrlimit(kind, (value, value))


def _outlive(program: int) -> int:
    """Collect whatever ends in here until the program has; returns its exit code as a shell has it."""
    while True:
        pid, status = os.wait()
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
