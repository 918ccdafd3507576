"""Parses files in a process of its own, one for each thread that asks.

A thread that waits for its process lets the others run, so as many files are parsed at once as there are threads (in
one process the parser's interpreter lock allows one); and a file on which the parser crashes, runs for ever or takes
all memory costs that process, not the job.

    request   "share <language> <bytes>\\n" and the bytes        reply   "<share>\\n", or "too complex: <why>\\n"
    request   "types <language> <bytes>\\n" and the bytes        reply   names of nodes with blanks between, or the same

The process ends with its input, so also when the job is killed. It imports neither the engine nor any kernel: 0.1 s
and 30 MB.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from worker.data.syntax import GRAMMARS, TooComplex
from worker.data.syntax import error_share as error_share_here
from worker.data.syntax import node_types as node_types_here

# A tree takes some twenty times its file.
MEMORY_BYTES = 2 << 30
# Of processor time, far beyond what the bound on steps allows: this one is for a scanner that never asks.
SECONDS_PER_FILE = 60.0
ROOT = Path(__file__).resolve().parents[2]
_TOO_COMPLEX = "too complex: "


def error_share(content: bytes, language: str) -> float | None:
    """As worker.data.syntax.error_share, in the calling thread's process. Raises TooComplex after a crash too."""
    return None if language not in GRAMMARS else _process().error_share(content, language)


def node_types(content: bytes, language: str) -> list[str] | None:
    """As worker.data.syntax.node_types, in the calling thread's process. Raises TooComplex after a crash too."""
    return None if language not in GRAMMARS else _process().node_types(content, language)


def _process() -> ParseProcess:
    if not hasattr(_LOCAL, "process"):
        _LOCAL.process = ParseProcess()
    process: ParseProcess = _LOCAL.process
    return process


class ParseProcess:
    """A process that is started when first asked, and again after it died. For one thread at a time."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def error_share(self, content: bytes, language: str) -> float | None:
        """Share of bytes within syntax errors; `language` has a grammar. Raises TooComplex."""
        return float(self._answer("share", content, language))

    def node_types(self, content: bytes, language: str) -> list[str]:
        """Of its syntax tree; `language` has a grammar. Raises TooComplex."""
        return self._answer("types", content, language).split()

    def _answer(self, question: str, content: bytes, language: str) -> str:
        reply = self._ask(f"{question} {language} {len(content)}\n".encode() + content)
        if not reply.endswith("\n"):
            raise TooComplex(self._end())
        if reply.startswith(_TOO_COMPLEX):
            raise TooComplex(reply.removeprefix(_TOO_COMPLEX).strip())
        return reply

    def close(self) -> None:
        if self._child is not None:
            self._end()

    def _ask(self, request: bytes) -> str:
        if self._child is None:
            self._child = _start()
        requests, replies = self._child.stdin, self._child.stdout
        assert requests is not None
        assert replies is not None
        try:
            requests.write(request)
            requests.flush()
        except BrokenPipeError:
            return ""
        return replies.readline().decode()

    def _end(self) -> str:
        """Close the child's pipes, wait for it, and say how it ended."""
        child, self._child = self._child, None
        assert child is not None
        child.communicate()
        code = child.returncode
        return f"its parser was ended by {signal.Signals(-code).name}" if code < 0 else f"its parser ended with {code}"


def _start() -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "worker.data.parse_process"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until they end."""
    while header := requests.readline():
        question, _, rest = header.decode().partition(" ")
        language, size = rest.rsplit(" ", 1)
        content = requests.read(int(size))
        signal.setitimer(signal.ITIMER_PROF, SECONDS_PER_FILE)  # SIGPROF ends the process
        reply = _answer(question, content, language)
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(f"{reply}\n".encode())
        replies.flush()


def _answer(question: str, content: bytes, language: str) -> str:
    try:
        if question == "types":
            return " ".join(node_types_here(content, language) or ())
        return str(error_share_here(content, language))
    except TooComplex as error:
        return f"{_TOO_COMPLEX}{error}"


_LOCAL = threading.local()

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(sys.stdin.buffer, sys.stdout.buffer)
