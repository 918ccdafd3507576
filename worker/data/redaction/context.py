"""Checks of values whose surroundings call them secret: what stands before a value, and what a value is good for.

is_named_*    the name before it says secret or password, and does not go on to say something else
is_bare_*     the same without quotes, where a value may be code
is_option     an option, parameter or element of such a name
is_login_password, is_header_value, is_key_body, is_aws_secret, is_service_key   one place each
"""

from __future__ import annotations

import re

from worker.data.redaction.judgement import (
    changes,
    entropy,
    has_digit,
    has_letter,
    is_hexadecimal,
    is_password_value,
    is_reference,
    is_secret_value,
    is_stand_in,
    looks_random,
)

_NOT_OF_SECRETS = re.compile(
    rb"(?i)(?:public|spdx|primary|foreign|sort|partition|cache|translation|i18n|css|csrf|xsrf|next|page|continuation|request|idempotency|authenticity|cursor|sync|"
    rb"etag|bypass|compass|tokeni[sz]e|encompass|surpass|trespass)[\w.-]*[\"'`]?[^\w]{0,4}$"
)
_PASS_AS_VERB = re.compile(rb"(?i)\bpass(?:es|ing)?\s[^=:(]*$")  # "pass `load_in_4bit` to ..."
_FROM_HEXADECIMAL = re.compile(rb"(?i)hex\w*\([\"'`]$")  # test vectors: `secret := fromHex("...")`
_COMMA_OR_SPACE = re.compile(rb"(?:,|[A-Za-z0-9_\"'\])])\s*[\"'`]$")


def _named_value(text: bytes, start: int) -> bytes:
    """The part of the line before the value; with the line above where the value has a line of its own."""
    before = text[max(0, start - 90) : start]
    line = before.rsplit(b"\n", 1)[-1]
    return line if line.strip(b" \t\"'`") else before


def is_named_secret(value: bytes, text: bytes, start: int, end: int) -> bool:
    before = _named_value(text, start)
    return is_secret_value(value) and not (_NOT_OF_SECRETS.search(_name(before)) or _FROM_HEXADECIMAL.search(before))


def is_named_password(value: bytes, text: bytes, start: int, end: int) -> bool:
    """Beside a comma or a blank the name may only be the word before: there the value must look random as well."""
    before = _named_value(text, start)
    if not is_password_value(value) or _NOT_OF_SECRETS.search(_name(before)) or _PASS_AS_VERB.search(before):
        return False
    return not _COMMA_OR_SPACE.search(before) or (has_digit(value) and looks_dense(value))


def is_bare_secret(value: bytes, text: bytes, start: int, end: int) -> bool:
    return not _is_code(value) and is_named_secret(value, text, start, end)


def is_bare_password(value: bytes, text: bytes, start: int, end: int) -> bool:
    """`password = hunter2x` in a settings file, not `password = form.password2` in a program."""
    if _is_code(value) or not is_password_value(value):
        return False
    return has_digit(value) and not _NOT_OF_SECRETS.search(_name(_named_value(text, start)))


_CODE = re.compile(
    rb"^[A-Za-z_]\w*(?:(?:\.|->|::)[A-Za-z_]\w*)+$|^[&*!~][A-Za-z_]\w*$|^[a-z_]+\d?$|^(?:u?int|float|complex|vec|sha|md|utf|[iuf])-?\d+(?:_t)?$|[)\]}>;,|\\]$|^[-+]?[\d.]+$"
)


def _is_code(value: bytes) -> bool:
    return _CODE.search(value) is not None


def _name(before: bytes) -> bytes:
    """The name at the end of `before`, without the sign, type and quotes behind it."""
    return re.sub(rb"[\s=:>,({\"'`\[\]@-]+$", b"", before)


def looks_dense(value: bytes) -> bool:
    """Random to look at, or of three kinds of characters, the joints of names and of `a=b` not counted."""
    kinds = {_kind(byte) for byte in value if byte not in b"_-.="}
    return len(value) >= 8 and entropy(value) >= 2.5 and (len(kinds) >= 3 or looks_random(value))


def _kind(byte: int) -> int:
    character = chr(byte)
    return 0 if character.islower() else 1 if character.isupper() else 2 if character.isdigit() else 3


_COMMON_LOGINS = frozenset(
    b"pass password passwd pwd secret user username admin root guest test token example changeme postgres mysql redis "
    b"rabbit rabbitmq mongo mongodb foo bar baz qux hunter2 me you name login default xxx yyy abc 123 1234 12345 s3cr3t "
    b"s3cret p4ss pw p w x y z pass123 password123 letmein welcome".split()
)
_DOCUMENTED_HOST = re.compile(
    rb"@(?:[\w.-]*\.)?(?:example(?:\.(?:com|org|net))?|host(?:name)?|localhost|127\.0\.0\.1)\b"
)


def is_login_password(value: bytes, text: bytes, start: int, end: int) -> bool:
    """The password of a URL. `user:password@host` in documentation, and a name as its own password, are none."""
    user = text[max(0, start - 66) : start - 1].rsplit(b"/", 1)[-1]
    if value.lower() in _COMMON_LOGINS or value == user or is_stand_in(value) or is_reference(value):
        return False
    if re.match(rb"(?i)^[$%{\[:]|.*(?:passw|secret$|user)", value):
        return False
    if _DOCUMENTED_HOST.match(text[end : end + 80]):
        return len(value) >= 7 and has_digit(value) and has_letter(value)
    return len(value) >= 5 or has_digit(value)


def is_header_value(value: bytes, text: bytes, start: int, end: int) -> bool:
    if is_stand_in(value) or is_reference(value) or (is_hexadecimal(value) and len(value) < 20):
        return False
    return looks_random(value) or _is_base64_of_text(value)


def _is_base64_of_text(value: bytes) -> bool:
    """`user:password` in base64 may come out without a digit."""
    return len(value) % 4 == 0 and value.rstrip(b"=").isalnum() and changes(value) >= 0.3


def is_option(value: bytes, text: bytes, start: int, end: int) -> bool:
    """The value of --password and the like, of a query, of a connection string."""
    if is_secret_value(value):
        return True
    return is_password_value(value) and not value.startswith(b"-") and (has_digit(value) or looks_dense(value))


def is_service_key(value: bytes, text: bytes, start: int, end: int) -> bool:
    """`DATADOG_KEY = "..."`: the plainer the name, the more random the value."""
    if (
        len(value) < 20
        or is_hexadecimal(value)
        or not is_secret_value(value)
        or _NOT_OF_SECRETS.search(_name(_named_value(text, start)))
    ):
        return False
    is_path = b"/" in value and any(sign in value for sign in b"-._")
    return not is_path and entropy(value) >= 3.7 and changes(value) >= 0.35


_BASE64_LINES = re.compile(rb"[A-Za-z0-9+/=]{30,}")


def is_key_body(value: bytes, text: bytes, start: int, end: int) -> bool:
    """A PEM block with a key in it, not the two marks in a program that reads such blocks."""
    body = value.split(b"-----", 2)[-1]
    return any(len(set(line)) >= 12 for line in _BASE64_LINES.findall(body))


def is_aws_secret(value: bytes, text: bytes, start: int, end: int) -> bool:
    return not is_stand_in(value) and not is_hexadecimal(value) and looks_random(value)
