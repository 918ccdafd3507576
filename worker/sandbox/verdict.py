"""What goes into the sandbox and what comes out, and how facts become a verdict.

Judging is one pure function here, so that what counts as passed can be read and tested without running anything.
"""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024
OUTCOMES = ("passed", "failed", "error", "timeout", "memory", "output", "disk", "sandbox_failed")
TAIL_BYTES = 4096

# What the program's own process says on the verdict pipe, one word a line (in_sandbox.py writes them).
READY = "ready"
ENDINGS = ("failed", "memory", "disk", "error")


@dataclass(frozen=True)
class Program:
    """A whole program as text. It passes when its last statement has been reached. language: "python" is the only one
    so far.
    """

    source: str
    language: str = "python"


@dataclass(frozen=True)
class Limits:
    """What one program may use; the defaults hold every HumanEval solution with room to spare.

    `cpu_seconds` judges: it is processor time of all its processes together. `wall_seconds` only ends the wait, and
    should be several times as much, since a busy machine stretches it. `memory_bytes` is resident memory of the whole
    tree (pages shared between forks counted once); `disk_bytes` is the size of each of the folders it can write to.
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 20.0
    memory_bytes: int = 512 * MEBIBYTE
    processes: int = 32
    file_bytes: int = 16 * MEBIBYTE
    disk_bytes: int = 64 * MEBIBYTE
    output_bytes: int = MEBIBYTE
    open_files: int = 128

    @property
    def address_space_bytes(self) -> int:
        """Per process. Twice the resident limit and room for mapped libraries: a backstop between two looks of the
        watcher.
        """
        return 2 * self.memory_bytes + 256 * MEBIBYTE


@dataclass(frozen=True)
class Verdict:
    """What became of a program. `outcome` is one of OUTCOMES; times in seconds; stdout and stderr are the last 4 KB of
    each.

    `sandbox_failed` says that the program was never rightly run: it must not be counted as a failure of whoever wrote
    it.
    """

    outcome: str
    detail: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_bytes: int = 0
    stdout: str = ""
    stderr: str = ""
    retried: bool = False


@dataclass(frozen=True)
class Ended:
    """The bare facts of one run. `killed_for` names the limit it was killed for: cpu, wall, memory, output or disk.

    `exit_code` is negative for a signal, as in subprocess. `words` is all that came over the verdict pipe.
    """

    killed_for: str | None
    exit_code: int
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    stdout: str
    stderr: str
    words: str


_KILLED = {"cpu": "timeout", "wall": "timeout", "memory": "memory", "output": "output", "disk": "disk"}


def judge(ended: Ended, nonce: str, limits: Limits) -> Verdict:
    """Passed means: the nonce came, alone, after `ready`, and the process left with 0."""
    outcome, detail = _decide(ended, nonce, limits)
    return Verdict(
        outcome,
        detail,
        round(ended.seconds, 4),
        round(ended.cpu_seconds, 4),
        ended.peak_memory_bytes,
        ended.stdout,
        ended.stderr,
    )


def _decide(ended: Ended, nonce: str, limits: Limits) -> tuple[str, str]:
    words = ended.words.split()
    if READY not in words[:1]:
        return "sandbox_failed", f"the program was not started: {ended.stderr.strip() or _exit_words(ended.exit_code)}"
    if ended.killed_for is not None:
        return _KILLED[ended.killed_for], f"over its {ended.killed_for} limit"
    if words[1:] == [nonce] and ended.exit_code == 0:
        return "passed", ""
    # RLIMIT_CPU counts each process and its SIGXCPU can be caught, so the time used is the judge, not the signal.
    if ended.cpu_seconds >= limits.cpu_seconds:
        return "timeout", "over its cpu limit"
    if words[1:] and words[-1] in ENDINGS:
        return words[-1], _last_line(ended.stderr)
    return "error", f"ended before its tests did: {_exit_words(ended.exit_code)}"


def _exit_words(exit_code: int) -> str:
    # bwrap reports a signal the way a shell does, as 128 + its number.
    signal = -exit_code if exit_code < 0 else exit_code - 128
    return f"killed by signal {signal}" if 0 < signal < 65 else f"exit code {exit_code}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""
