"""Tokenizers in the web process: token by token, of a snippet that somebody types or of ids out of a sample.

`tokenizers` is a wheel without torch; a loaded vocabulary of 50,000 tokens takes some 30 MB, so the last few are kept.
Text is bounded by MAX_CHARACTERS: encoding that much takes about 2 ms.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import tokenizers

from datasets_app.models import Tokenizer
from datasets_app.parquet import Unreadable

ENGINE: Any = tokenizers.Tokenizer  # its stubs type no argument
MAX_CHARACTERS = 4_000
KEPT = 6
# Byte-level BPE's spelling (GPT-2's bytes_to_unicode): printable Latin-1 as it is, the other bytes from U+0100 on.
_PRINTABLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_OTHERS = [byte for byte in range(256) if byte not in _PRINTABLE]
_BYTE = {chr(byte): byte for byte in _PRINTABLE} | {chr(256 + n): byte for n, byte in enumerate(_OTHERS)}


@dataclass(frozen=True)
class Piece:
    """A token as it is shown. One that is only a part of a character shows its bytes in hex."""

    id: int
    text: str
    special: bool = False
    partial: bool = False

    @property
    def title(self) -> str:
        return f"{self.id}" + (", a part of a character" if self.partial else "")

    @property
    def shown(self) -> str:
        """With a mark where a line ends, so that the token that ends it can be seen and hovered."""
        return self.text.replace("\r", "␍").replace("\n", "↵\n").replace("\t", "→\t")


class Vocabulary:
    """One loaded tokenizer, reading special words as text."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.engine.encode_special_tokens = True
        added = engine.get_added_tokens_decoder()
        self.special = {number for number, token in added.items() if token.special}
        self.added = {number: token.content for number, token in added.items()}

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.engine.encode(text, add_special_tokens=False).ids
        return ids

    def count(self, texts: Sequence[str]) -> int:
        """How many tokens the texts have."""
        return sum(len(row.ids) for row in self.engine.encode_batch_fast(list(texts), add_special_tokens=False))

    def pieces(self, ids: Iterable[int]) -> list[Piece]:
        """The tokens of a text in order; a character cut between tokens is shown at the one that completes it."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return [self._piece(number, decoder) for number in ids]

    def _piece(self, number: int, decoder: codecs.IncrementalDecoder) -> Piece:
        if number in self.added:
            decoder.reset()
            return Piece(number, self.added[number], special=number in self.special)
        raw = self._bytes(number)
        text = decoder.decode(raw)
        return Piece(number, text) if text else Piece(number, f"‹{raw.hex(' ')}›", partial=True)

    def _bytes(self, number: int) -> bytes:
        token: str | None = self.engine.id_to_token(number)
        if token is None:
            return f"‹no token {number}›".encode()
        try:
            return bytes(_BYTE[character] for character in token)
        except KeyError:
            return token.encode()


def vocabulary_of(row: Tokenizer) -> Vocabulary:
    """A ready tokenizer's vocabulary. Raises Unreadable when its file is gone or is none."""
    if row.uri is None or row.sha256 is None:
        raise Unreadable(f"{row} is not ready yet.")
    return _load(row.uri, row.sha256)


@functools.lru_cache(maxsize=KEPT)
def _load(uri: str, sha256: str) -> Vocabulary:
    """The hash is a part of the key, not of the work: an address never gets other content."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    try:
        return Vocabulary(ENGINE.from_str(filesystem.cat_file(f"{root}/tokenizer.json").decode()))
    except OSError as error:
        raise Unreadable(f"The tokenizer's files cannot be read: {error}") from error
    # tokenizers raises bare Exception for a file that it does not understand.
    except Exception as error:
        raise Unreadable(f"The tokenizer.json cannot be read: {error}") from error
