"""Personal data and secrets out of a text: e-mail addresses, public IP addresses, provider keys and tokens.

A value becomes <KIND_n>, n counting the different values of that kind within the document, so that two uses of one
address are still seen to be the same. Each rule is one RE2 pattern, most with a check in Python: a regex alone takes
versions for addresses and slices for IPv6. A rule runs only where one of its needles is in the text. (All rules in
one RE2 set would be one pass, but a set whose automaton runs out of memory reports no match, and a secret would pass
unseen.)

It does not find names, phone numbers, or secrets without a known shape. Nothing in here logs or returns a value that
it found.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import re2

# (the value, text around it, where it starts and ends there) -> is it one?
Check = Callable[[bytes, bytes, int, int], bool]

GENERIC_DOMAINS = frozenset(
    b"com org net edu gov mil int info biz name dev app cloud online tech site email mobi museum jobs pro aero "
    b"coop travel club agency company digital network solutions systems software science space studio tools world"
    b" xyz".split()
)
# Attributes with a two-letter or generic ending: `a@b.py` and `x@w.mm(...)` are a file and a matrix product, not mail.
CODE_ENDINGS = frozenset(b"py rb rs js ts cc md sh mm pl cs".split())
# Public resolvers are constants of the trade, as in StarCoder's rules.
WELL_KNOWN_ADDRESSES = frozenset(
    {"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220"}
)
PLACEHOLDER_WORDS = (
    b"example",
    b"your",
    b"changeme",
    b"placeholder",
    b"xxxx",
    b"<",
    b"{",
    b"$",
    b"%",
    b"test",
    b"dummy",
    b"fake",
)


@dataclass(frozen=True)
class Rule:
    """`pattern`'s first group is the value, or the whole match where it has none; no match without one of `needles`."""

    kind: str
    pattern: str
    needles: tuple[bytes, ...]
    check: Check | None = None


def redact(text: bytes) -> tuple[bytes, dict[str, int]]:
    """(UTF-8 text with placeholders, how many values were replaced by kind)."""
    spans = _first_of_overlapping(sorted(_spans(text)))
    if not spans:
        return text, {}
    numbers: dict[tuple[str, bytes], int] = {}
    seen: Counter[str] = Counter()
    parts, position = [], 0
    for start, end, kind in spans:
        key = (kind, text[start:end])
        if key not in numbers:
            seen[kind] += 1
            numbers[key] = seen[kind]
        parts += [text[position:start], f"<{kind}_{numbers[key]}>".encode()]
        position = end
    parts.append(text[position:])
    return b"".join(parts), dict(sorted(Counter(kind for _, _, kind in spans).items()))


def _spans(text: bytes) -> Iterator[tuple[int, int, str]]:
    for rule, pattern in _compiled():
        if not any(needle in text for needle in rule.needles):
            continue
        group = 1 if pattern.groups else 0
        for match in pattern.finditer(text):
            start, end = match.span(group)
            if rule.check is None or rule.check(text[start:end], text, start, end):
                yield start, end, rule.kind


def _first_of_overlapping(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Of two spans that overlap the earlier stays, stretched over both, so that no tail of the other is left."""
    kept: list[tuple[int, int, str]] = []
    for start, end, kind in spans:
        if kept and start < kept[-1][1]:
            kept[-1] = (kept[-1][0], max(end, kept[-1][1]), kept[-1][2])
        else:
            kept.append((start, end, kind))
    return kept


def _is_email(value: bytes, text: bytes, start: int, end: int) -> bool:
    local, _, domain = value.rpartition(b"@")
    ending = domain.rpartition(b".")[2].lower()
    if local == b"git" or b".." in value or len(value) > 254 or _is_reserved_domain(domain.lower()):
        return False
    if text[end : end + 1] == b"(":  # a method call: `a@b.to(device)`
        return False
    return ending not in CODE_ENDINGS and (len(ending) == 2 or ending in GENERIC_DOMAINS)


def _is_reserved_domain(domain: bytes) -> bool:
    """RFC 2606: names that belong to nobody."""
    labels = domain.split(b".")
    return labels[-1] in {b"example", b"test", b"invalid", b"localhost"} or (
        len(labels) >= 2 and labels[-2] == b"example" and labels[-1] in {b"com", b"net", b"org"}
    )


def _is_public_ipv4(value: bytes, text: bytes, start: int, end: int) -> bool:
    if _touches(text, start, end, b".") or _follows_a_version_word(text, start):
        return False
    try:
        address = ipaddress.IPv4Address(value.decode())
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and str(address) not in WELL_KNOWN_ADDRESSES


def _is_public_ipv6(value: bytes, text: bytes, start: int, end: int) -> bool:
    """Only 2000::/3 is handed out; `x[1::2]` and `add::bee` parse as addresses outside of it."""
    if _touches(text, start, end, b":"):
        return False
    try:
        address = ipaddress.IPv6Address(value.decode())
    except ValueError:
        return False
    groups = [group for group in value.split(b":") if group]
    return len(groups) >= 3 and address in ipaddress.IPv6Network("2000::/3") and address.is_global


def _touches(text: bytes, start: int, end: int, joint: bytes) -> bool:
    """Is the value part of a longer word, number or dotted chain? A full stop that ends a sentence is not a chain."""
    before, after = text[start - 1 : start] if start else b"", text[end : end + 2]
    if _is_word(before) or before == joint or _is_word(after[:1]):
        return True
    return after[:1] == joint and _is_word(after[1:2])


def _is_word(character: bytes) -> bool:
    return character.isalnum() or character == b"_"


def _follows_a_version_word(text: bytes, start: int) -> bool:
    before = text[max(0, start - 24) : start].lower().rsplit(b"\n", 1)[-1].rstrip(b" \t\"'=:~<>(-/,")
    return before.endswith(
        (b"version", b"versions", b"release", b"rev", b"revision", b"firmware", b"build", b"section", b"$id")
    )


def _is_random(value: bytes, text: bytes, start: int, end: int) -> bool:
    """Letters and digits with at least 3.5 bits a character: words and placeholders stay below."""
    if any(word in value.lower() for word in PLACEHOLDER_WORDS):
        return False
    has_both = any(48 <= c <= 57 for c in value) and any(chr(c).isalpha() for c in value)
    return has_both and _entropy(value) >= 3.5


def _is_a_password(value: bytes, text: bytes, start: int, end: int) -> bool:
    return not any(
        word in value.lower() for word in (*PLACEHOLDER_WORDS, b"pass", b"secret", b"user", b"pwd", b"token")
    )


def _has_a_digit(value: bytes, text: bytes, start: int, end: int) -> bool:
    """Keys have digits; `pk_test_something_of_ours` is a name."""
    return any(48 <= c <= 57 for c in value)


def _is_no_example(value: bytes, text: bytes, start: int, end: int) -> bool:
    """AWS' own documentation keys end in EXAMPLE."""
    return b"EXAMPLE" not in value


def _entropy(value: bytes) -> float:
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


_NAMED_VALUE = (
    r"(?i)(?:api_?key|apikey|secret|token|passw(?:or)?d|access_?key|auth_?key|private_?key|credential)s?"
    r"(?:_(?:key|secret|token|value|id|prod|production|dev|live|[0-9]+))*"
    r"[\"']?\]?\s*(?:=>|[:=])\s*[\"']([A-Za-z0-9+/=_\-.~!@#^&*]{16,256})[\"']"
)

# Bounded repeats ({0,63} for the local part) made this the slowest rule by far: the check looks at the parts instead.
_EMAIL = r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,24}"
_PRIVATE_KEY = (
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-[^-])+"
    r"-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
)
_AWS_VALUE = r"(?i)aws_?secret_?(?:access_?)?key[\"']?\s*(?:=>|[:=])\s*[\"']?([A-Za-z0-9/+]{40})\b"
_URL_LOGIN = r"[a-z][a-z0-9+.\-]{1,20}://[^\s:/@\"'<>]{1,64}:([^\s:/@\"'<>]{3,128})@[A-Za-z0-9]"

RULES: tuple[Rule, ...] = (
    Rule("EMAIL", _EMAIL, (b"@",), _is_email),
    Rule("IP_ADDRESS", r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}", (b".",), _is_public_ipv4),
    Rule("IP_ADDRESS", r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{4,34}(?:[0-9A-Fa-f]|::)", (b":",), _is_public_ipv6),
    Rule("KEY", _PRIVATE_KEY, (b" PRIVATE KEY",)),
    Rule("KEY", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", (b"AKIA", b"ASIA", b"ABIA", b"ACCA"), _is_no_example),
    Rule("KEY", _AWS_VALUE, (b"aws", b"AWS", b"Aws"), _is_no_example),
    Rule("KEY", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b", (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")),
    Rule("KEY", r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b", (b"github_pat_",)),
    Rule("KEY", r"\bglpat-[A-Za-z0-9_\-]{20,}", (b"glpat-",)),
    Rule("KEY", r"\bxox[abposr]-[A-Za-z0-9\-]{10,}", (b"xox",), _has_a_digit),
    Rule("KEY", r"hooks\.slack\.com/services/(T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,})", (b"hooks.slack.com",)),
    Rule("KEY", r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}\b", (b"_live_", b"_test_"), _has_a_digit),
    Rule("KEY", r"\bAIza[A-Za-z0-9_\-]{35}", (b"AIza",)),
    Rule("KEY", r"\bsk-(?:proj-|ant-|svcacct-|or-)?[A-Za-z0-9_\-]{20,}", (b"sk-",), _is_random),
    Rule("KEY", r"\bhf_[A-Za-z0-9]{30,}\b", (b"hf_",)),
    Rule("KEY", r"\bnpm_[A-Za-z0-9]{36}\b", (b"npm_",)),
    Rule("KEY", r"\bpypi-AgEI[A-Za-z0-9_\-]{50,}", (b"pypi-AgEI",)),
    Rule("KEY", r"\bSG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{32,64}", (b"SG.",)),
    Rule("KEY", r"\b(?:AC|SK)[0-9a-f]{32}\b", (b"AC", b"SK")),
    Rule("KEY", r"\bya29\.[A-Za-z0-9_\-]{20,}", (b"ya29.",)),
    Rule("KEY", r"\bEAACEdEose0cBA[A-Za-z0-9]+", (b"EAACEdEose0cBA",)),
    Rule("KEY", r"\bdop_v1_[a-f0-9]{64}\b", (b"dop_v1_",)),
    Rule("KEY", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b", (b"shpat_", b"shpca_", b"shppa_", b"shpss_")),
    Rule("KEY", r"\b[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}\b", (b":AA",)),
    Rule("KEY", r"\beyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}", (b".eyJ",)),
    Rule("KEY", r"AccountKey=([A-Za-z0-9+/]{86}==)", (b"AccountKey=",)),
    Rule("PASSWORD", _URL_LOGIN, (b"://",), _is_a_password),
    Rule("KEY", _NAMED_VALUE, (b'"', b"'"), _is_random),
)


@cache
def _compiled() -> list[tuple[Rule, Any]]:
    return [(rule, re2.compile(rule.pattern.encode())) for rule in RULES]
