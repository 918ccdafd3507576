"""The three ways to a verdict, with one interface: bubblewrap and Landlock start a toolchain, the zygote forks itself.

A driver is made once per helper, after privileges are gone, and runs one program at a time.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.sandbox import bubblewrap, landlock, script, seccomp
from worker.sandbox.bubblewrap import Root
from worker.sandbox.program import Limits, Toolchain
from worker.sandbox.verdict import Ended, Verdict, judge
from worker.sandbox.watch import Launch, Watch, high
from worker.sandbox.zygote import Nursery


class Driver(Protocol):
    """Runs a program under limits; the watch has the caller's descriptor."""

    def run(self, source: bytes, toolchain: Toolchain, limits: Limits, nonce: str, watch: Watch) -> Ended: ...


def run(driver: Driver, source: str, toolchain: Toolchain, limits: Limits, control: int) -> Verdict:
    """One program, from text to verdict."""
    nonce, limits = secrets.token_hex(16), limits.at_least(toolchain)
    ended = driver.run(source.encode("utf-8", "surrogatepass"), toolchain, limits, nonce, Watch(limits, control))
    return judge(ended, nonce, limits, toolchain.failed_pattern)


@dataclass(frozen=True)
class Bubblewrap:
    """Namespaces of its own for each program. `bwrap` is the path of the executable."""

    bwrap: str
    roots: Sequence[Root]

    def run(self, source: bytes, toolchain: Toolchain, limits: Limits, nonce: str, watch: Watch) -> Ended:
        texts = {toolchain.file: source} | {name: text.encode() for name, text in toolchain.files}
        files = {name: _memory_file(name, text) for name, text in texts.items()}
        rules = seccomp.build_filter(families=(seccomp.UNIX, seccomp.INET, seccomp.INET6))
        filter_fd = _memory_file("filter", rules)
        lines = script.lines(toolchain, limits, limits.processes)
        argv = bubblewrap.command(self.bwrap, self.roots, limits, files=files, filter_fd=filter_fd, script=lines)
        environment = bubblewrap.ENVIRONMENT | dict(toolchain.environment)
        try:
            return watch.run(Launch(
                lambda: _become(argv, environment), nonce, overfull=lambda tree: _inodes(tree) > limits.inodes,
                compile_cpu_seconds=toolchain.compile_cpu_seconds if toolchain.compile else 0.0,
            ))  # fmt: skip
        finally:
            for fd in (*files.values(), filter_fd):
                os.close(fd)


@dataclass(frozen=True)
class Folder:
    """Without namespaces: a folder of its own on the real disk, removed afterwards. `confine` restricts the process to
    it, or does nothing at the unsafe level.
    """

    scratch: str
    roots: Sequence[Root]
    confine: Callable[[Path], None]

    def run(self, source: bytes, toolchain: Toolchain, limits: Limits, nonce: str, watch: Watch) -> Ended:
        work = Path(tempfile.mkdtemp(prefix="sandbox-", dir=self.scratch or None))
        (work / toolchain.file).write_bytes(source)
        for name, text in toolchain.files:
            (work / name).write_text(text, encoding="utf-8")
        processes = landlock.count_own_threads() + limits.processes
        lines = self._as_seen(script.lines(toolchain, limits, processes))
        environment = bubblewrap.ENVIRONMENT | {"HOME": str(work), "TMPDIR": str(work)}
        environment |= {name: self._as_seen(value) for name, value in toolchain.environment}

        def become() -> None:
            os.chdir(work)
            os.setsid()
            landlock.die_with_parent()
            self.confine(work)
            _become(["/bin/sh", "-c", lines], environment)

        try:
            return watch.run(Launch(
                become, nonce, overfull=lambda tree: _overfull(work, limits),
                compile_cpu_seconds=toolchain.compile_cpu_seconds if toolchain.compile else 0.0,
            ))  # fmt: skip
        finally:
            # A program can take away its own right to be listed; the rest is gone.
            shutil.rmtree(work, ignore_errors=True)

    def _as_seen(self, text: str) -> str:
        """As root a toolchain's folder is read from a stage, and without namespaces seen there too."""
        for root in self.roots:
            text = text.replace(root.path, root.source)
        return text


@dataclass(frozen=True)
class Zygote:
    """Python alone, forked."""

    nursery: Nursery

    def run(self, source: bytes, toolchain: Toolchain, limits: Limits, nonce: str, watch: Watch) -> Ended:
        return watch.run(Launch(lambda: self.nursery.become(source, limits), nonce, fork=self.nursery.fork))


def _become(argv: Sequence[str], environment: dict[str, str]) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two, and ignoring is inherited
        signal.signal(number, signal.SIG_DFL)
    os.execve(argv[0], list(argv), environment)  # noqa: S606


def _memory_file(name: str, content: bytes) -> int:
    """Its descriptor, which the next exec inherits."""
    fd = high(os.memfd_create(name, 0))
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    os.set_inheritable(fd, True)
    return fd


def _inodes(tree: Sequence[int]) -> int:
    """Files in the program's /tmp and /dev/shm, seen through the first process of its namespaces (bwrap's own, which
    stays where it is). bwrap cannot bound them: 330,000 were made in three seconds.
    """
    for pid in tree[1:]:
        try:
            return sum(_used_inodes(f"/proc/{pid}/root/{folder}") for folder in ("tmp", "dev/shm"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return 0


def _used_inodes(path: str) -> int:
    found = os.statvfs(path)
    return found.f_files - found.f_ffree


def _overfull(folder: Path, limits: Limits) -> bool:
    """By real blocks, so that a sparse file does not count. It stops counting where the answer is known."""
    n_bytes = n_entries = 0
    for parent, folders, names in os.walk(folder):
        n_entries += len(folders) + len(names)
        if n_entries > limits.inodes:
            return True
        for name in names:
            try:
                n_bytes += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118 (thousands of files)
            except OSError:
                continue  # it is being removed
    return n_bytes > limits.disk_bytes
