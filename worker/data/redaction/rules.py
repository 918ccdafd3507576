"""What a rule is: one pattern, where it was published, and the check for what a pattern cannot say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

EMAIL, IP_ADDRESS, KEY, PASSWORD = "EMAIL", "IP_ADDRESS", "KEY", "PASSWORD"
KINDS = (EMAIL, IP_ADDRESS, KEY, PASSWORD)

# (the value, text around it, where it starts and ends there) -> is it one?
Check = Callable[[bytes, bytes, int, int], bool]


@dataclass(frozen=True)
class Rule:
    """`pattern` (RE2 over bytes): its first group that took part is the value, or the whole match without groups.

    `clue` (RE2): a cheaper pattern, found in every text in which the rule finds a value; empty: `pattern` itself.
    """

    name: str
    kind: str
    source: str
    pattern: str
    check: Check | None = None
    clue: str = ""
