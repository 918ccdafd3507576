"""Is a value a secret or a stand-in for one? Words, repetition, sequences, and how random its characters are.

Entropy alone does not tell: `your-token-goes-here` has 3.3 bits a character, a random hexadecimal key of 16 has 3.2. So
a generic value must have letters and digits, and change between lower case, upper case and digits as often as random
text does (base62: 62 % of neighbours, lower case with digits 40 %, hexadecimal 47 %), which names and words do not.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter

# In any value these mean that somebody was to fill it in.
_STAND_INS = re.compile(
    rb"example|your[-_]?|placeholder|change[-_]?(?:me|it|this)|replace|redacted|dummy|sample|insert|"
    rb"xxxx|\*\*\*|\.\.\.|____|----|<|>|\{\{|\}\}|\$\{|\$\(|%\(|(?<![a-z0-9])%s(?![a-z0-9])|@@|todo|fixme|lorem|(?:token|key|string|secret)here|qwerty|deadbeef|cafebabe|foobar|"
    rb"JBSWY3DPEHPK3PXP|IkpvaG4gRG9lI",  # the one-time password and the web token of everybody's documentation
    re.IGNORECASE,
)
# Runs on a keyboard or through an alphabet; a value is a stand-in if little is left without them.
_SEQUENCES = re.compile(
    rb"(?:0?123456?7?8?9?0?|9?876543?2?1?0?|abcdef?g?h?i?j?k?l?m?n?o?p?q?r?s?t?u?v?w?x?y?z?|(.)\1{4,}|(..)\2{3,})+",
    re.IGNORECASE,
)
# In a value that only its name calls secret, these are the name said again.
# Short ones count as whole words only: three given letters occur in one of a thousand random keys.
_NAMES = re.compile(
    rb"passw|pass_|passphrase|secret|credential|api[-_]?key|access[-_]?key|private|public|bearer|default|invalid|"
    rb"incorrect|anonymous|unknown|missing|required|undefined|"
    rb"(?<![a-z])(?:test|demo|fake|mock|foo|bar|baz|wrong|correct|token|user|login|admin|root|guest|none|null|true|false|"
    rb"string|field|value|hello|world)s?(?![a-z])",
    re.IGNORECASE,
)
_REFERENCE = re.compile(
    rb"[\w.\-]*[(\[]|%[\d.]*[dsifx]|\$[A-Za-z_{(]|%[A-Za-z_]+%|[#@%&*~^]\{|https?://|/[a-z]+/|\./|\.\./"
)
_FILE_OR_PATH = re.compile(
    rb"(?i)^[\w./\\\-]+\.(?:py|js|ts|json|ya?ml|txt|md|xml|html?|css|pem|key|crt|conf|cfg|ini|java|go|rb|php|sh)$"
)
_DOTTED_NAME = re.compile(rb"^[A-Za-z_]+\d*(?:[.:/\\\-_][A-Za-z_]+\d*)+$")
_WORD_AND_NUMBER = re.compile(rb"^[A-Za-z_]+[-_.]?\d{0,3}$")
_UUID = re.compile(rb"(?i)^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_BASE64_BEFORE = re.compile(rb"\+$|[A-Za-z0-9+/]{15}/$")
_DIGIT, _LETTER = re.compile(rb"[0-9]"), re.compile(rb"[A-Za-z]")
_LONG_RUNS = re.compile(rb"[A-Za-z0-9+/]{8,}")
_HEXADECIMAL = re.compile(rb"(?i)^[0-9a-f]+$")


def is_stand_in(value: bytes) -> bool:
    """Whoever published it meant it to be replaced: `YOUR_KEY`, `xxxx`, `${KEY}`, `1234567890`, AWS' ...EXAMPLE."""
    left = _SEQUENCES.sub(b"", value)
    return (
        _STAND_INS.search(value) is not None or len(left) < len(value) // 2 or len(set(left)) < min(6, len(value) // 2)
    )


def is_issued(value: bytes, text: bytes, start: int, end: int) -> bool:
    """For tokens with a provider's prefix: no stand-in, and digits or mixed case (`pk_test_of_ours` is a name)."""
    return is_no_stand_in(value, text, start, end) and (has_digit(value) or changes(value) >= 0.4)


def is_no_stand_in(value: bytes, text: bytes, start: int, end: int) -> bool:
    """And no part of a longer base64 text: behind a "+" of an image any short prefix begins by chance."""
    return not is_stand_in(value) and _BASE64_BEFORE.search(text[max(0, start - 24) : start]) is None


def is_issued_in_url(value: bytes, text: bytes, start: int, end: int) -> bool:
    """As `is_issued`, behind a path: `com/api/webhooks/` is no base64 that the value goes on."""
    return is_issued(value, value, 0, len(value))


def is_drawn(value: bytes, text: bytes, start: int, end: int) -> bool:
    """Drawn from letters, digits and all signs, among which any stand-in's may come up: told by how many there are."""
    return len(set(value)) >= 20 and has_digit(value) and changes(value) >= 0.4


def is_dense(value: bytes, text: bytes, start: int, end: int) -> bool:
    """For prefixes that words have too (`sk-`, `pat-`): as `is_issued`, and random to look at."""
    return text[end : end + 1] not in (b"(", b".") and is_issued(value, text, start, end) and looks_random(value)


def is_mixed(value: bytes, text: bytes, start: int, end: int) -> bool:
    """For the shortest prefixes (`s.`): as `is_dense`, and mixed more than `ReadUint16LengthPrefixed`."""
    return is_dense(value, text, start, end) and changes(value) >= 0.45


def has_digit(value: bytes) -> bool:
    return _DIGIT.search(value) is not None


def has_letter(value: bytes) -> bool:
    return _LETTER.search(value) is not None


def entropy(value: bytes) -> float:
    """Shannon entropy in bits a character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def looks_random(value: bytes) -> bool:
    """Letters and digits, mixed as in random text; a digest, a UUID and a token do, a name with a number does not."""
    if not (has_digit(value) and has_letter(value)) or _DOTTED_NAME.match(value) or _WORD_AND_NUMBER.match(value):
        return False
    if not any(has_digit(run) and has_letter(run) for run in _LONG_RUNS.findall(value)):
        return _UUID.match(value) is not None  # the words of `bsd-2-clause-attribution` are not random, nor `s3v4-post`
    return entropy(value) >= min(3.0, 0.75 * math.log2(len(value))) and changes(value) >= 0.15


def changes(value: bytes) -> float:
    """Share of neighbours of different class (lower, upper, digit, other)."""
    classes = [_class(byte) for byte in value]
    pairs = list(itertools.pairwise(classes))
    return sum(a != b for a, b in pairs) / max(len(pairs), 1)


def is_secret_value(value: bytes) -> bool:
    """A value whose name says key, token or secret: at least 12 characters (of hexadecimal 20: shorter ones are
    identifiers), random, no reference, path or stand-in.
    """
    if len(value) < 12 or not looks_random(value) or (len(value) < 20 and is_hexadecimal(value)):
        return False
    return not (is_stand_in(value) or _NAMES.search(value) or is_reference(value))


def is_password_value(value: bytes) -> bool:
    """A value whose name says password: letters and a digit or a sign, at least 6 characters, no word said again.

    Plain words stay: `password = "swordfish"` may be anybody's, and so may `"Password"` as a label.
    """
    if len(value) < 6 or is_stand_in(value) or _NAMES.search(value) or is_reference(value):
        return False
    if _UUID.match(value) or _FILE_OR_PATH.match(value) or (_DOTTED_NAME.match(value) and not has_digit(value)):
        return False
    has_sign = any(not (byte == 95 or byte == 45 or byte == 46 or chr(byte).isalnum()) for byte in value)
    return has_letter(value) and (has_digit(value) or has_sign)


def is_reference(value: bytes) -> bool:
    """`env["KEY"]`, `$KEY`, `%KEY%`, `#{key}`, a path or an address: says where the secret is, not what it is."""
    return _REFERENCE.match(value) is not None or _FILE_OR_PATH.match(value) is not None


def is_hexadecimal(value: bytes) -> bool:
    return _HEXADECIMAL.match(value) is not None


def _class(byte: int) -> int:
    if 97 <= byte <= 122:
        return 0
    if 65 <= byte <= 90:
        return 1
    return 2 if 48 <= byte <= 57 else 3
