"""Which places on disk a source may name. Whoever may add a source sees what the workers can read, so this is a border.

From the stage's environment, set by the control plane; where neither is set (a stage run by hand) every place is open.

    SOURCE_ROOTS      folders, separated by commas: a local source must lie in one of them; empty: anywhere
    SOURCE_KEPT_OUT   a folder that no source shows, wherever it starts: the yard's own state, with its keys
    SOURCE_SHOWN      folders in that one that may be named all the same: datasets are there
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from worker.failures import StageFailure
from worker.specs import SourceSpec

WILDCARDS = "*?["


def refuse_forbidden(spec: SourceSpec) -> None:
    """Raises data:user:source-forbidden. Links are resolved first; a pattern is judged by what stands before it."""
    if not spec.location.startswith("/"):
        return
    ends = [spec.location.index(sign) for sign in WILDCARDS if sign in spec.location]
    before = spec.location[: min(ends)].rpartition("/")[0] if ends else spec.location
    place, roots = os.path.realpath(before or "/"), _named("SOURCE_ROOTS")
    is_inside = not roots or _is_in(place, roots)
    is_ours = _is_in(place, _named("SOURCE_KEPT_OUT")) and not _is_in(place, _named("SOURCE_SHOWN"))
    if not is_inside or is_ours:
        where = f"It must lie in {', '.join(roots)}." if roots else "It is the yard's own."
        raise StageFailure("data:user:source-forbidden", location=spec.location, where=where)


def kept_out() -> set[str]:
    """Folders that a walk which starts above them does not enter."""
    return set(_named("SOURCE_KEPT_OUT"))


def _named(variable: str) -> list[str]:
    return [os.path.realpath(name.strip()) for name in os.environ.get(variable, "").split(",") if name.strip()]


def _is_in(place: str, folders: Iterable[str]) -> bool:
    return any(place == folder or place.startswith(f"{folder.rstrip('/')}/") for folder in folders)
