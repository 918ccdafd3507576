"""Opens a tokenizer artifact, so that everybody encodes text alike."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer

from worker.failures import StageFailure
from worker.manifest import hash_folder
from worker.tokenizer.special import ROLES


def load(folder: Path) -> Tokenizer:
    """The tokenizer, reading text as text: the word "<|endoftext|>" in a source file is characters and ends nothing."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


def roles(folder: Path) -> dict[str, str]:
    """{role: token}, as worker.tokenizer.special; an artifact from before roles.json has our own names."""
    path = folder / "roles.json"
    if not path.exists():
        return {role: names[0] for role, names in ROLES.items()}
    found: dict[str, str] = json.loads(path.read_text())
    return found


def verify(folder: Path, sha256: str) -> None:
    """Raises tokenizer:user:hash-mismatch where the folder is not the artifact that the hash names."""
    found, _, _ = hash_folder(folder)
    if found != sha256:
        raise StageFailure("tokenizer:user:hash-mismatch", what="folder", theirs=found, ours=sha256)
