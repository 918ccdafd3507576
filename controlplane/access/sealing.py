"""Secrets that the yard must be able to say again, as a key to somebody else's service: encrypted at rest.

The key comes from SECRET_KEY, so a copy of the database alone opens nothing; with SECRET_KEY_FALLBACKS what an earlier
one sealed can still be read. What is only ever compared, as a token, is kept as a hash and is no affair of this module.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE = b"modelyard sealed secrets v1"  # HKDF's info: other uses of SECRET_KEY give unrelated keys
_SHOWN = 4
_LONG = 16  # of a shorter one the last four characters would be a good part of it


class Unreadable(Exception):
    """It was sealed with a SECRET_KEY that is no longer known, or changed since. Says nothing of what it held."""


def seal(text: str) -> str:
    """`text` as an authenticated Fernet token, ASCII: another one each time."""
    return _fernet().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What was sealed. Raises Unreadable."""
    try:
        return _fernet().decrypt(sealed).decode()
    except InvalidToken:
        raise Unreadable("It was sealed with another SECRET_KEY: enter it again.") from None


def in_short(text: str) -> str:
    """What may be shown of a secret so that people tell two apart: "…wxyz", or "…" of a short one; "" of none."""
    return f"…{text[-_SHOWN:] if len(text) >= _LONG else ''}" if text else ""


def _fernet() -> MultiFernet:
    """Seals with SECRET_KEY, unseals with that or a fallback (RFC 5869, SHA-256, 32 bytes, no salt: the key is random)."""
    return MultiFernet([Fernet(_derived(secret)) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


def _derived(secret: str) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
    return base64.urlsafe_b64encode(kdf.derive(secret.encode()))
