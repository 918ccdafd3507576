"""Finds out how strongly code can be isolated on this machine, by isolating some.

A kernel that has namespaces may still refuse them (sysctls, AppArmor, a container's filter), so only a program that ran
is believed. The answer holds for the life of this process.
"""

from __future__ import annotations

import dataclasses
import functools
import os

from worker.sandbox import landlock
from worker.sandbox.helper import SANDBOX_UID
from worker.sandbox.program import Limits, Program
from worker.sandbox.slots import Isolation, SandboxUnavailable, run

# Beside running at all: honest work must be possible, or everything would "hold" by being refused.
_CANARY = Program(
    "with open('canary.txt', 'w') as file:\n    file.write('sings')\nassert open('canary.txt').read() == 'sings'"
)
_LEVELS = ("bubblewrap", "landlock")


@functools.cache
def probe() -> Isolation:
    """The strongest level that works here; level "none" where nothing does, with every refusal in `detail`."""
    abi, refusals = landlock.find_abi(), list[str]()
    for level in _LEVELS:
        found = Isolation(level, "", abi, seccomp=True, uid=_uid())
        refused = _refusal(found)
        if refused is None:
            return _with_zygote(found, refusals)
        refusals.append(f"{level}: {refused}")
    return Isolation("none", "; ".join(refusals), abi, seccomp=False, uid=_uid())


def _with_zygote(found: Isolation, refusals: list[str]) -> Isolation:
    """The same level with Python forked, if that works as well."""
    if found.level == "bubblewrap":
        forking = dataclasses.replace(found, zygote=True)
        refused = _refusal(forking)
        if refused is None:
            return forking
        refusals.append(f"zygote: {refused}")
    return dataclasses.replace(found, detail="; ".join(refusals))


def accept_unsafe(isolation: Isolation) -> Isolation:
    """Where there is no isolation, run with limits only; the level says so from then on. Real isolation is kept as it
    is.
    """
    return isolation if isolation.level != "none" else dataclasses.replace(isolation, level="unsafe")


def _refusal(candidate: Isolation) -> str | None:
    abi = candidate.landlock_abi
    if candidate.level == "landlock" and abi < landlock.LEAST_ABI:
        return f"Landlock ABI {abi}, at least {landlock.LEAST_ABI} is needed"
    try:
        verdict = run(_CANARY, Limits(), candidate)
    except SandboxUnavailable as unavailable:
        return str(unavailable)
    return None if verdict.outcome == "passed" else f"{verdict.outcome}, {verdict.detail}"


def _uid() -> int:
    return SANDBOX_UID if os.geteuid() == 0 else os.getuid()
