"""python -m worker.evaluation.runtimes [LANGUAGE ...]: which languages this machine can judge.

Prints one line a language: state, tool versions, and what is missing or was judged wrongly. Ends with 1 when a language
that was asked for by name is not ready.
"""

from __future__ import annotations

import sys

from worker.evaluation.runtimes import Readiness, declared, readiness
from worker.sandbox import probe


def line(name: str, found: Readiness) -> str:
    versions = ", ".join(f"{tool} {version}" for tool, version in found.versions.items())
    return f"{name:<12} {found.state:<8} {versions}{'  ' if versions and found.detail else ''}{found.detail}".rstrip()


def main(asked: list[str]) -> int:
    isolation = probe()
    print(f"isolation: {isolation.level}{' with zygote' if isolation.zygote else ''} {isolation.detail}".rstrip())  # noqa: T201
    states = []
    for name in asked or declared():
        found = readiness(name, isolation)
        states.append(found.state)
        print(line(name, found), flush=True)  # noqa: T201
    return int(bool(asked) and any(state != "ready" for state in states))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
