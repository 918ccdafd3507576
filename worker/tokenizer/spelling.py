"""How byte-level BPE spells bytes as characters, and back (GPT-2's `bytes_to_unicode`, Radford et al. 2019).

Printable characters of Latin-1 stand for themselves, the other 68 bytes for the characters from U+0100 on: no token
holds a blank or a control character, and a token's number of characters is its number of bytes.
"""

from __future__ import annotations

PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
CHARACTER = {byte: chr(byte) for byte in PRINTABLE} | {byte: chr(256 + n) for n, byte in enumerate(OTHERS)}
BYTE = {character: byte for byte, character in CHARACTER.items()}
_TO_CHARACTERS = str.maketrans({chr(byte): character for byte, character in CHARACTER.items()})
# GPT-2's own order of the single bytes, in which they have the ids 0 to 255.
GPT2_ORDER = (*PRINTABLE, *OTHERS)


def spell(raw: bytes) -> str:
    """b" a" -> "Ġa"."""
    return raw.decode("latin-1").translate(_TO_CHARACTERS)


def unspell(token: str) -> bytes | None:
    """The bytes that a token stands for; None for one that is not spelt so (a special token of another alphabet)."""
    try:
        return bytes(BYTE[character] for character in token)
    except KeyError:
        return None
