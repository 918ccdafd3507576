"""Texts to verdicts, by language. The answers to "can this machine judge it" hold for the life of the process."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from worker.evaluation.runtimes import machine, self_test
from worker.evaluation.runtimes.declaration import declared, fingerprint
from worker.evaluation.runtimes.self_test import Readiness
from worker.sandbox import Isolation, Limits, Program, Verdict
from worker.sandbox import run as run_in_sandbox


class RuntimeMissing(Exception):
    """This machine cannot judge the language; nothing was run. `readiness` says why."""

    def __init__(self, language: str, readiness: Readiness) -> None:
        self.language, self.readiness = language, readiness
        super().__init__(f"{language} is not available here: {readiness.state}: {readiness.detail}")


_lock = threading.Lock()
_known: dict[tuple[str, Isolation], Readiness] = {}


def readiness(language: str, isolation: Isolation) -> Readiness:
    """Whether the language can be judged here: its tools are looked for and self-tested the first time it is asked for.

    Raises SandboxUnavailable where there is no isolation.
    """
    key = language, isolation
    with _lock:
        if key not in _known:
            _known[key] = _find_out(language, isolation)
        return _known[key]


def _find_out(language: str, isolation: Isolation) -> Readiness:
    runtime = declared().get(language)
    if runtime is None:
        return Readiness("missing", f"no runtime is declared; known: {', '.join(declared())}", {})
    try:
        installed = machine.install(runtime)
    except machine.NotFound as missing:
        return Readiness("missing", str(missing), {})
    return self_test.test(installed, isolation)


def program(source: str, language: str, isolation: Isolation) -> Program:
    """A whole program, ready for the sandbox. Raises RuntimeMissing, and SandboxUnavailable."""
    found = readiness(language, isolation)
    if found.state != "ready" or found.installed is None:
        raise RuntimeMissing(language, found)
    return Program(source, language, found.installed.toolchain)


def run(source: str, language: str, limits: Limits, isolation: Isolation) -> Verdict:
    """Judge a whole program. Raises as `program` does."""
    return run_in_sandbox(program(source, language, isolation), limits, isolation)


def stamps(languages: Iterable[str], isolation: Isolation) -> dict[str, dict[str, Any]]:
    """For a score, as plain JSON: by language, its state, detail, tool versions and its declaration's fingerprint."""
    found = {language: readiness(language, isolation) for language in sorted(set(languages))}
    return {language: _stamp(language, one) for language, one in found.items()}


def _stamp(language: str, found: Readiness) -> dict[str, Any]:
    runtime = declared().get(language)
    declaration = fingerprint(runtime) if runtime else ""
    told = {"state": found.state, "detail": found.detail, "versions": dict(found.versions)}
    return told | {"declaration": declaration}
