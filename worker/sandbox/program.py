"""What goes into the sandbox: a program as text, what it needs to run, and what it may use.

A toolchain is told, not looked for: which languages there are, and where this machine keeps them, is no matter of this
room (worker.evaluation.runtimes).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

MEBIBYTE = 1024 * 1024

# Descriptors that a program is born with, beside its three streams: the nonce to read, once, and where to write it.
NONCE_FD, VERDICT_FD = 3, 4


@dataclass(frozen=True)
class Toolchain:
    """How a text becomes a running program. `compile` and `run` are lines of POSIX sh, started in the program's folder.

    `run` must end in an `exec` of something that writes `ready` to VERDICT_FD before the program's first statement and
    the nonce after its last; where there is a `compile`, `ready` is written for it. `files` lie beside the program
    (name, text); `roots` are folders outside the system's own that it reads. The least amounts raise a caller's limits:
    a Java machine has 20 threads before it says hello. `address_space=False` leaves that limit to the watcher: Node, Go
    and Java reserve hundreds of times what they use. `failed_pattern` finds, in what was printed, that an assertion
    did not hold.
    """

    file: str
    run: str
    compile: str = ""
    files: tuple[tuple[str, str], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    roots: tuple[str, ...] = ()
    failed_pattern: str = ""
    address_space: bool = True
    least_memory_bytes: int = 0
    least_disk_bytes: int = 0
    least_processes: int = 0
    compile_cpu_seconds: float = 60.0

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Toolchain:
        pairs = {name: tuple((key, value) for key, value in raw[name]) for name in ("files", "environment")}
        return cls(**{**raw, **pairs, "roots": tuple(raw["roots"])})


@dataclass(frozen=True)
class Program:
    """A whole program as text. It passes when its last statement has been reached and it leaves with 0.

    Without a toolchain it is Python, run by the interpreter that runs us.
    """

    source: str
    language: str = "python"
    toolchain: Toolchain | None = None


@dataclass(frozen=True)
class Limits:
    """What one program may use; the defaults hold every HumanEval solution with room to spare.

    `cpu_seconds` judges: it is processor time of all its processes together, from the program's first statement on.
    `wall_seconds` only ends the wait, and should be several times as much, since a busy machine stretches it.
    `memory_bytes` is resident memory of the whole tree (pages shared between forks counted once); `disk_bytes` and
    `inodes` are all that it can write, a quarter of each in /dev/shm.
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 20.0
    memory_bytes: int = 512 * MEBIBYTE
    processes: int = 32
    file_bytes: int = 16 * MEBIBYTE
    disk_bytes: int = 64 * MEBIBYTE
    inodes: int = 8192
    output_bytes: int = MEBIBYTE
    open_files: int = 128

    @property
    def address_space_bytes(self) -> int:
        """Per process. Twice the resident limit and room for mapped libraries: a backstop between two looks of the
        watcher.
        """
        return 2 * self.memory_bytes + 256 * MEBIBYTE

    def at_least(self, toolchain: Toolchain) -> Limits:
        """These limits, raised to what the toolchain cannot do without."""
        return dataclasses.replace(
            self,
            memory_bytes=max(self.memory_bytes, toolchain.least_memory_bytes),
            disk_bytes=max(self.disk_bytes, toolchain.least_disk_bytes),
            processes=max(self.processes, toolchain.least_processes),
        )


def shared_memory_part(amount: int) -> tuple[int, int]:
    """An amount of disk or inodes, divided: for /tmp (the program's folder is in it), and for /dev/shm."""
    return amount - amount // 4, amount // 4
