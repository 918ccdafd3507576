"""What may be said of an endpoint of somebody else's: where it is, and when its key has to be given anew.

Nothing is asked here: the stage's process makes the requests. Only http and https are let through, so that an address
cannot make a worker open its own files.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from controlplane.access.refusals import Refused
from eval_app.models import Baseline

SCHEMES = ("http", "https")


def address(text: str) -> str:
    """A base URL as it is kept, without the slash at its end; "" stays "". Raises Refused, saying what is wrong."""
    text = text.strip().rstrip("/")
    if not text:
        return ""
    parts = _split(text)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise Refused("Give an address that begins with https:// or http://, as https://api.example.com/v1.")
    if parts.username is not None or parts.password is not None:
        raise Refused("The address has a password in it, which everyone would read; give it as the key.")
    if parts.query or parts.fragment:
        raise Refused("Give the address up to /v1, without ? and #.")
    for end in ("/chat/completions", "/completions"):
        if parts.path.endswith(end):
            raise Refused(f"Give the address without {end}: the style says which of the two is asked.")
    return text


def is_elsewhere(before: str, after: str) -> bool:
    """Whether `after` is another host, port or scheme: a key kept for the one is not for the other to see."""
    return _origin(before) != _origin(after)


def origin_changes(baseline: Baseline, base_url: str) -> bool:
    """Whether `base_url` would send a key that is kept somewhere else than it was given for."""
    return bool(baseline.sealed_key and base_url) and is_elsewhere(baseline.base_url, base_url)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = _split(url)
    return parts.scheme, parts.hostname, parts.port


def _split(url: str) -> SplitResult:
    """Raises Refused for what is no address at all, as one with a port that is no number."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise Refused(f"This is no address: {error}.") from error
    return parts
