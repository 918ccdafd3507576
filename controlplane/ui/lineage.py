"""The lineage strip: eight kinds of step from sources to deployment, one of them the page one is on.

The steps come from rows of rooms above this one, so those rooms build them; here they are only put in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KINDS = ("sources", "dataset", "tokenizer", "shards", "run", "model", "evaluation", "deployment")
NOT_YET = "not yet"


@dataclass(frozen=True)
class LineageStep:
    """One step of the strip. `url` is None when there is no page to go to."""

    kind: str
    label: str
    url: str | None = None
    here: bool = False

    @property
    def missing(self) -> bool:
        return self.url is None and self.label == NOT_YET


def strip(steps: Mapping[str, LineageStep]) -> list[LineageStep]:
    """All eight kinds in order; those without a step say "not yet". ValueError for any other kind."""
    if unknown := set(steps) - set(KINDS):
        raise ValueError(f"Not kinds of lineage step: {', '.join(sorted(unknown))}. Known: {', '.join(KINDS)}.")
    return [steps.get(kind) or LineageStep(kind, NOT_YET) for kind in KINDS]
