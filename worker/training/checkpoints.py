"""A folder of checkpoints that survived a kill: find the newest whole one and make it the one to continue from.

Composer writes a checkpoint straight to its final name, then removes and re-creates the `latest` link. A process
killed in between leaves a torn file, or no link: autoresume would then refuse to start ("conflicting files") or
start from nothing. Sharded checkpoints (a folder each, several GPUs) carry their own completeness mark and are left
to Composer.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

FILENAME = "ep{epoch}-ba{batch}-rank{rank}.pt"
LATEST = "latest-rank0.pt"
_NAME = re.compile(r"ep\d+-ba(\d+)-rank0\.pt")


def mend(folder: Path) -> int | None:
    """Delete torn checkpoints, point `latest` at the newest whole one, and return its step (None: start anew)."""
    if any(path.is_dir() and path.name.startswith("ep") for path in folder.glob("ep*")):
        return None
    newest: tuple[int, Path] | None = None
    for path in folder.glob("ep*-rank0.pt"):
        step = _step_of(path)
        if step is None or not zipfile.is_zipfile(path):
            path.unlink()
        elif newest is None or step > newest[0]:
            newest = (step, path)
    if newest is None:
        (folder / LATEST).unlink(missing_ok=True)
        return None
    _link(folder / LATEST, newest[1])
    return newest[0]


def _step_of(path: Path) -> int | None:
    match = _NAME.fullmatch(path.name)
    return int(match.group(1)) if match else None


def _link(link: Path, target: Path) -> None:
    """Renamed into place: at no moment is there no `latest`."""
    fresh = link.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    fresh.replace(link)
