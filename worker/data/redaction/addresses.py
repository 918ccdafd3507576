"""E-mail and IP addresses: patterns, and what looks like one and is none.

Kept, as by bigcode (pii/utils/emails_ip_addresses_detection.py, pii/pii_redaction.py): private, documentation and
reserved IP addresses, 14 public resolvers, `1.2.3.4`-like versions of four single digits. Kept besides: reserved
domains (RFC 2606), stand-ins such as you@domain.com, and numbers in four parts that their line calls a version.
"""

from __future__ import annotations

import ipaddress
import re

from worker.data.redaction.rules import EMAIL, IP_ADDRESS, Rule

GENERIC_DOMAINS = frozenset(
    b"com org net edu gov mil int info biz name dev app cloud online tech site email mobi museum jobs pro aero coop "
    b"travel club agency company digital network solutions systems software science space studio tools world xyz "
    b"academy africa asia berlin blog cafe care cat center chat codes consulting engineering engineer expert finance "
    b"foundation fund fyi games global gmbh group guru hamburg health help host house institute international law life "
    b"live llc london ltd media news ninja nyc one page paris partners photography pizza press pub rocks run school "
    b"security services shop social store support swiss sydney systems team technology today tokyo top university "
    b"ventures vip wales wien wiki work works zone".split()
)
# Endings of two letters that files have: `a@b.py` is no mail, <jan@wp.pl> is.
_FILE_ENDINGS = frozenset(b"py rb rs js ts cc md sh mm pl cs so la ps mk".split())
_STAND_IN_LOCALS = frozenset(
    b"you your yourname your.name your-name your_name your.email youremail your-email your_email user username name "
    b"me foo bar baz email e-mail mail test tester testing someone somebody someuser anyone example "
    b"first.last firstname.lastname address xx xxx".split()
)
_STAND_IN_DOMAIN = re.compile(
    rb"^(?:[\w-]+\.)*(?:(?:my|your|some)?-?(?:domain|company|email|mail|site|host|server|org|organization|corp)|"
    rb"foo|bar|baz|foobar|test|address|somewhere|here|there|xyz|abc|localhost|provider|email-provider|x|y|b)\.[a-z]{2,5}$"
)
_RESERVED = frozenset({b"example", b"test", b"invalid", b"localhost", b"local", b"localdomain", b"internal"})
_MAIL_CONTEXT = re.compile(rb"(?i)(?:e-?mail|author|contact|maintainer|copyright)s?\b[^\n]{0,40}$")

# bigcode pii_redaction.py, POPULAR_DNS_SERVERS
RESOLVERS = frozenset(
    {
        *("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "76.76.19.19", "76.223.122.150", "9.9.9.9", "149.112.112.112"),
        *("208.67.222.222", "208.67.220.220", "8.26.56.26", "8.20.247.20", "94.140.14.14", "94.140.15.15"),
        *("2001:4860:4860::8888", "2001:4860:4860::8844", "2606:4700:4700::1111", "2606:4700:4700::1001"),
        *("2620:fe::fe", "2620:fe::9"),
    }
)
_VERSION_BEFORE = re.compile(
    rb"(?i)(?:version[a-z]*|(?:^|[^a-z])(?:v|vers?|releases?|released|rev|revisions?|firmware|build|sections?|chapter|"
    rb"clause|upgrade|update|since|until|tag|patch|kernel|driver|oid|rfc|appendix|figure|table|\$id:.*,v))"
    rb"[\"')\]]{0,2}[ \t]*(?:is|to|of|from)?[ \t\"'=:~<>(\[,*-]*$"
)
_PIN_BEFORE = re.compile(rb"(?:[=<>~!]=|~>|\^|[A-Za-z]/|[A-Za-z][-_.])[ \t]*$")
_VERSION_AFTER = re.compile(
    rb"^(?:[-+~_][A-Za-z]|-\d+(?:\.\D|[^\d.]|$)|\.(?:tar|zip|tgz|dll|exe|jar|whl|so|js|deb|rpm))"
)
_OBJECT_IDENTIFIERS = (b"1.2.", b"1.3.", b"2.5.", b"2.16.")
_IP_CONTEXT = re.compile(
    rb"(?i)\bip|ip\b|_ip|addr|host|server|dns|\bping\b|http|connect|peer|gateway|listen|\bbind|proxy|remote|subnet|"
    rb"allow|deny|nameserver|tcp|udp|ssh|://|network|firewall|whitelist|blacklist"
)


def is_email(value: bytes, text: bytes, start: int, end: int) -> bool:
    local, _, domain = value.lower().rpartition(b"@")
    labels = domain.split(b".")
    if local.rpartition(b".")[2] == b"git" or b".." in value or len(value) > 254 or not all(labels):
        return False
    if _is_reserved_domain(labels) or (local in _STAND_IN_LOCALS and _STAND_IN_DOMAIN.match(domain)):
        return False
    if text[end : end + 1] == b"(" or _is_login_of_url(text, start):  # `a@b.to(device)`, `ssh://hg@host.org`
        return False
    return _is_mail_ending(labels[-1], text, start, end)


def _is_mail_ending(ending: bytes, text: bytes, start: int, end: int) -> bool:
    if ending not in _FILE_ENDINGS:
        return len(ending) == 2 or ending in GENERIC_DOMAINS
    around = text[start - 1 : start] + text[end : end + 1]
    before = text[max(0, start - 60) : start].rsplit(b"\n", 1)[-1]
    return around in {b"<>", b'""', b"''", b"()"} or _MAIL_CONTEXT.search(before) is not None


def _is_reserved_domain(labels: list[bytes]) -> bool:
    """RFC 2606 and 6762: names that belong to nobody."""
    return labels[-1] in _RESERVED or (
        len(labels) >= 2 and labels[-2] == b"example" and labels[-1] in {b"com", b"net", b"org", b"edu"}
    )


def _is_login_of_url(text: bytes, start: int) -> bool:
    before = text[max(0, start - 300) : start]
    scheme = before.rfind(b"://")
    return scheme >= 0 and not any(byte <= 32 or byte in b"\"'<>/?" for byte in before[scheme + 3 :])


def is_public_ipv4(value: bytes, text: bytes, start: int, end: int) -> bool:
    if _touches(text, start, end, b"."):
        return False
    try:
        address = ipaddress.IPv4Address(value.decode())
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or str(address) in RESOLVERS:
        return False
    return not _is_version(value, text, start, end)


def _is_version(value: bytes, text: bytes, start: int, end: int) -> bool:
    before = text[max(0, start - 60) : start].rsplit(b"\n", 1)[-1]
    after = text[end : end + 60].split(b"\n", 1)[0]
    if _VERSION_BEFORE.search(before) or _PIN_BEFORE.search(before) or _VERSION_AFTER.match(after):
        return True
    first, *rest = (int(part) for part in value.split(b"."))
    is_small = (first < 10 and max(rest) < 100) or max(first, *rest) < 40 or value.startswith(_OBJECT_IDENTIFIERS)
    return is_small and not (_IP_CONTEXT.search(before) or re.match(rb":\d{2,5}\b|/\d{1,2}\b", after))


def is_public_ipv6(value: bytes, text: bytes, start: int, end: int) -> bool:
    """Only 2000::/3 is handed out; `x[1::2]` and `add::bee` parse as addresses outside of it."""
    if _touches(text, start, end, b":"):
        return False
    try:
        address = ipaddress.IPv6Address(value.decode())
    except ValueError:
        return False
    groups = [group for group in value.split(b":") if group]
    if len(groups) < 2 or (len(groups) == 2 and groups[0].isdigit()) or str(address) in RESOLVERS:
        return False
    return address in ipaddress.IPv6Network("2000::/3") and address.is_global


def _touches(text: bytes, start: int, end: int, joint: bytes) -> bool:
    """Is the value part of a longer word, number or dotted chain? A full stop that ends a sentence is not a chain."""
    before, after = text[start - 1 : start] if start else b"", text[end : end + 2]
    if _is_word(before) or before == joint or _is_word(after[:1]):
        return True
    return after[:1] == joint and _is_word(after[1:2])


def _is_word(character: bytes) -> bool:
    return character.isalnum() or character == b"_"


# Bounded repeats ({0,63} for the local part) made this the slowest rule by far: the check looks at the parts instead.
ADDRESSES: tuple[Rule, ...] = (
    Rule(
        "email",
        EMAIL,
        "bigcode emails_ip_addresses_detection.py; RFC 5322 without quoted and non-ASCII parts",
        r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,24}",
        is_email,
        r"[A-Za-z0-9._%+\-]@[A-Za-z0-9]",
    ),
    Rule(
        "ipv4",
        IP_ADDRESS,
        "bigcode emails_ip_addresses_detection.py",
        r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}",
        is_public_ipv4,
    ),
    Rule(
        "ipv6",
        IP_ADDRESS,
        "bigcode emails_ip_addresses_detection.py; RFC 4291, 2000::/3",
        r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,34}(?:[0-9A-Fa-f]|::)",
        is_public_ipv6,
    ),
)
