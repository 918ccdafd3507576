"""What comes out of the sandbox, and how facts become a verdict.

Judging is one pure function here, so that what counts as passed can be read and tested without running anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from worker.sandbox.program import Limits

OUTCOMES = ("passed", "failed", "error", "timeout", "memory", "output", "disk", "sandbox_failed")
TAIL_BYTES = 4096

# What is said on the verdict pipe, one word a line, by the script and by the language's own verdict file.
COMPILING = "compiling"
READY = "ready"
ENDINGS = ("failed", "memory", "disk", "error")


@dataclass(frozen=True)
class Verdict:
    """What became of a program. `outcome` is one of OUTCOMES; times in seconds; stdout and stderr are the last 4 KB of
    each. `cpu_seconds` is the program's own, `compile_cpu_seconds` all that came before its first statement.

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
    compile_cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Ended:
    """The bare facts of one run. `killed_for` names the limit it was killed for: cpu, wall, memory, output or disk.

    `exit_code` is negative for a signal, as in subprocess. `words` is the beginning of what came over the verdict pipe.
    """

    killed_for: str | None
    exit_code: int
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    stdout: str
    stderr: str
    words: str
    compile_cpu_seconds: float = 0.0


_KILLED = {"cpu": "timeout", "wall": "timeout", "memory": "memory", "output": "output", "disk": "disk"}
_NOT_STARTED = (126, 127)  # the shell's own: found but not started, and not found
_SIGXFSZ = 25
# How runtimes other than ours say it (they have no words for the verdict pipe).
_DISK = re.compile(r"No space left on device|ENOSPC|File too large|EFBIG|Disk quota exceeded")
_COMPILER_ERROR = re.compile(r"\berror\b", re.IGNORECASE)
_MEMORY = re.compile(r"OutOfMemoryError|heap out of memory|std::bad_alloc|[Cc]annot allocate memory|not enough memory|"
                     r"Allowed memory size|NoMemoryError|memory allocation of \d+ bytes failed|Out of memory")  # fmt: skip


def judge(ended: Ended, nonce: str, limits: Limits, failed_pattern: str = "") -> Verdict:
    """Passed means: the nonce came, alone, after `ready`, and the process left with 0.

    `failed_pattern` is the toolchain's; an ending that fits no pattern is an error.
    """
    outcome, detail = _decide(ended, nonce, limits, failed_pattern)
    return Verdict(
        outcome,
        detail,
        round(ended.seconds, 4),
        round(ended.cpu_seconds, 4),
        ended.peak_memory_bytes,
        ended.stdout,
        ended.stderr,
        compile_cpu_seconds=round(ended.compile_cpu_seconds, 4),
    )


def _decide(ended: Ended, nonce: str, limits: Limits, failed_pattern: str) -> tuple[str, str]:
    words = ended.words.split()
    compiled = words[:1] == [COMPILING]
    if READY not in words[compiled : compiled + 1]:
        return _not_begun(ended, compiled)
    if ended.killed_for is not None:
        return _KILLED[ended.killed_for], f"over its {ended.killed_for} limit"
    if words[compiled + 1 :] == [nonce] and ended.exit_code == 0:
        return "passed", ""
    # RLIMIT_CPU counts each process and its SIGXCPU can be caught, so the time used is the judge, not the signal.
    if ended.cpu_seconds >= limits.cpu_seconds:
        return "timeout", "over its cpu limit"
    if words[compiled + 1 :] and words[-1] in ENDINGS:
        return words[-1], _last_line(ended.stderr)
    return _by_what_it_printed(ended, failed_pattern)


def _not_begun(ended: Ended, compiling: bool) -> tuple[str, str]:
    said = ended.stderr.strip() or _exit_words(ended.exit_code)
    if not compiling or ended.exit_code in _NOT_STARTED:
        return "sandbox_failed", f"the program was not started: {said[-1000:]}"
    if ended.killed_for is not None:
        return _KILLED[ended.killed_for], f"over its {ended.killed_for} limit while compiling"
    return "error", f"does not compile: {_telling_line(_COMPILER_ERROR, ended.stderr or ended.stdout) or said}"


def _by_what_it_printed(ended: Ended, failed_pattern: str) -> tuple[str, str]:
    printed = f"{ended.stdout}\n{ended.stderr}"
    line = _last_line(ended.stderr)
    if failed_pattern and re.search(failed_pattern, printed):
        return "failed", _telling_line(re.compile(failed_pattern), printed)
    if _exit_signal(ended.exit_code) == _SIGXFSZ or _DISK.search(ended.stderr):
        return "disk", line
    if _MEMORY.search(ended.stderr):
        return "memory", line
    return "error", f"ended before its tests did: {_exit_words(ended.exit_code)}"


def _telling_line(pattern: re.Pattern[str], text: str) -> str:
    """The first line that fits, or the last of all: some say what was wrong and then where, some the other way."""
    fitting = [line for line in text.splitlines() if pattern.search(line)]
    return fitting[0].strip()[:300] if fitting else _last_line(text)


def _exit_signal(exit_code: int) -> int:
    """The signal's number, or 0. bwrap and shells report a signal as 128 + its number."""
    signal = -exit_code if exit_code < 0 else exit_code - 128
    return signal if 0 < signal < 65 else 0


def _exit_words(exit_code: int) -> str:
    signal = _exit_signal(exit_code)
    return f"killed by signal {signal}" if signal else f"exit code {exit_code}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""
