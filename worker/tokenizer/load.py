"""Opens a tokenizer artifact, so that everybody encodes text alike."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from worker.failures import StageFailure
from worker.manifest import hash_folder


def load(folder: Path) -> Tokenizer:
    """The tokenizer, reading text as text: the word "<|endoftext|>" in a source file is characters and ends nothing."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return tokenizer


def verify(folder: Path, sha256: str) -> None:
    """Raises tokenizer:user:hash-mismatch where the folder is not the artifact that the hash names."""
    found, _, _ = hash_folder(folder)
    if found != sha256:
        raise StageFailure("tokenizer:user:hash-mismatch", what="folder", theirs=found, ours=sha256)
