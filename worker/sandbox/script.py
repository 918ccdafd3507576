"""The few lines of sh between the sandbox's walls and a program: resource limits, compile, run.

They run inside the new user namespace, where the count of processes starts at zero. A compiler gets limits of its own
and neither of the descriptors that a verdict needs; the program's text is gone before the program starts.
"""

from __future__ import annotations

import math

from worker.sandbox.program import NONCE_FD, VERDICT_FD, Limits, Toolchain
from worker.sandbox.verdict import COMPILING, READY

CANNOT_START = 126


def lines(toolchain: Toolchain, limits: Limits, processes: int) -> str:
    """The script for `sh -c`. `processes` is for ulimit: how many the user may have, those outside included if they
    count.

    cpu: one second above the limit, since the watcher judges the whole tree and this only backs it up. File sizes are
    in blocks of 512 bytes and memory in KiB, as POSIX and dash have it. `-p` is the number of processes in dash, `-u`
    in bash.
    """
    counted = f"{{ ulimit -p {processes} 2>/dev/null || ulimit -u {processes}; }}"
    always = f"ulimit -c 0 && ulimit -n {limits.open_files} && {counted} || exit {CANNOT_START}"
    return "\n".join([always, *_compile(toolchain), *_run_limits(toolchain, limits), toolchain.run])


def _compile(toolchain: Toolchain) -> list[str]:
    if not toolchain.compile:
        return []
    without = f"exec {NONCE_FD}<&- {VERDICT_FD}>&-"
    return [
        f"echo {COMPILING} >&{VERDICT_FD}",
        f"( ulimit -t {math.ceil(toolchain.compile_cpu_seconds) + 1}; {without}; set -e",
        toolchain.compile,
        ")",  # no `||` here: under it sh ignores set -e
        "compiled=$?; [ $compiled -eq 0 ] || exit $compiled",
        f"rm -f {toolchain.file}",
        # A program may end before the watcher has looked at what was used so far; the shell knows.
        f"times >&{VERDICT_FD}",
        f"echo {READY} >&{VERDICT_FD}",
    ]


def _run_limits(toolchain: Toolchain, limits: Limits) -> list[str]:
    settings = {"-t": math.ceil(limits.cpu_seconds) + 1, "-f": limits.file_bytes // 512}
    if toolchain.address_space:
        settings["-v"] = limits.address_space_bytes // 1024
    return [" && ".join(f"ulimit {option} {value}" for option, value in settings.items()) + f" || exit {CANNOT_START}"]
