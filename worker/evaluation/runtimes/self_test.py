"""Five programs that a runtime must judge rightly, in this sandbox, before it judges a model.

    hello            passes, and its output is seen
    failing          an assertion that does not hold: a runtime that lets it by would pass everything
    endless          a loop, ended by its processor time
    missing_module   an error, and not a failed assertion
    early_exit       leaves with success before its tests, which must not pass

They are why a machine without Node scores nothing rather than 0 %, and why `console.assert`, which only prints, does
not score wrong programs as right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from worker.evaluation.runtimes.machine import Installed
from worker.sandbox import Isolation, Limits, Program, Verdict, run

_EXPECTED = {
    "hello": ("passed",),
    "failing": ("failed",),
    "endless": ("timeout",),
    "missing_module": ("error",),
    "early_exit": ("error", "failed"),  # Go's test runner takes an early exit for a failure
}
LIMITS = Limits(cpu_seconds=10.0, wall_seconds=60.0)
_ENDLESS = dataclasses.replace(LIMITS, cpu_seconds=0.5)


@dataclass(frozen=True)
class Readiness:
    """state: "ready", "missing" (a tool is not there) or "broken" (it judged a self-test wrongly); `detail` says which.

    `versions` are by tool; empty when it is missing.
    """

    state: str
    detail: str
    versions: Mapping[str, str]
    installed: Installed | None = None


def test(installed: Installed, isolation: Isolation) -> Readiness:
    """Run the five."""
    programs = installed.runtime.self_test
    with ThreadPoolExecutor(2) as threads:
        verdicts = dict(
            zip(programs, threads.map(lambda name: _run(installed, name, isolation), programs), strict=True)
        )
    wrong = [_describe(name, verdict) for name, verdict in verdicts.items() if not _is_right(name, verdict)]
    state = "broken" if wrong else "ready"
    return Readiness(state, "; ".join(wrong), installed.versions, installed)


def _run(installed: Installed, name: str, isolation: Isolation) -> Verdict:
    runtime = installed.runtime
    program = Program(runtime.self_test[name], runtime.name, installed.toolchain)
    return run(program, _ENDLESS if name == "endless" else LIMITS, isolation)


def _is_right(name: str, verdict: Verdict) -> bool:
    heard = name != "hello" or "hello" in verdict.stdout
    return heard and verdict.outcome in _EXPECTED[name]


def _describe(name: str, verdict: Verdict) -> str:
    return f"{name} ended as {verdict.outcome} ({verdict.detail or verdict.stdout[:80]!r})"
