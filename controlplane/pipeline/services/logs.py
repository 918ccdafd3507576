"""One log file per process, kept small. Processes write to it themselves, so they never depend on a pump of ours."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import IO

LARGEST_BYTES = 8 * 1024 * 1024
OUR_MARK = "---"  # begins the supervisor's own lines


def open_log(file: Path) -> IO[bytes]:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return file.open("ab")


def rotate(file: Path, largest_bytes: int = LARGEST_BYTES) -> bool:
    """Move a log that has grown beyond `largest_bytes` to `.1`, by copy and truncate: its writer keeps its descriptor.

    Writers append, so they go on at the new end. A line written between copy and truncate is lost; a log may lose one.
    """
    if not file.exists() or file.stat().st_size <= largest_bytes:
        return False
    shutil.copyfile(file, file.with_name(f"{file.name}.1"))
    with file.open("r+b") as log:
        log.truncate()
    return True


def last_line(file: Path, from_byte: int = 0) -> str:
    """The last line that is not empty and was written after `from_byte`; what a dying process said."""
    if not file.exists():
        return ""
    with file.open("rb") as log:
        log.seek(max(from_byte, file.stat().st_size - 65536))
        lines = log.read().decode(errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip() and not line.startswith(OUR_MARK)]
    return said[-1] if said else ""
