"""Where the embedded servers keep their files and sockets. Settings and servers ask here; nothing is started."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

SYSTEM_STATE = Path("/var/lib/modelyard")
LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes with its end; Postgres adds a lock file's suffix of 5


def closed_parent(path: Path) -> Path | None:
    """The first folder above `path` that other users may not pass, as /root usually is; None if there is none."""
    for parent in reversed(path.resolve().parents):
        if parent.exists() and not parent.stat().st_mode & 0o001:
            return parent
    return None


def services_dir(state_dir: Path) -> Path:
    """The folder of the embedded servers' data: the state folder itself where that is possible.

    Postgres refuses to run as root, so for root it runs as another user, who cannot pass through a folder like /root.
    A yard there keeps its servers' data below /var/lib, under an id kept in its state folder: a fresh state folder is
    a fresh database too.
    """
    if os.getuid() != 0 or closed_parent(state_dir) is None:
        return state_dir
    return SYSTEM_STATE / kept_secret(state_dir / "secrets" / "state_id", bytes_of_chance=9)


def socket_dir(folder: Path) -> Path:
    """The folder for a server's unix socket. A deep checkout gets a short one below /tmp."""
    if len(str(folder / "sock" / ".s.PGSQL.5432")) < LONGEST_SOCKET_PATH:
        return folder / "sock"
    return Path("/tmp") / f"yard-{os.getuid()}-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"  # noqa: S108


def kept_secret(file: Path, bytes_of_chance: int = 48) -> str:
    """A secret that is made on first use and kept in `file`, for its owner alone to read.

    It appears by link(2), whole or not at all: two processes that start together end with the same one.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write(secrets.token_urlsafe(bytes_of_chance))
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()
    return file.read_text().strip()
