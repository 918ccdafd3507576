"""The text of a file's bytes, or a refusal: no charset is guessed that two detectors, or plenty of text, do not settle.

    byte order mark    UTF-8, UTF-16 or UTF-32, strictly
    UTF-8              strictly: what decodes as UTF-8 and is not ASCII is UTF-8
    declared           "coding: koi8-r", encoding="gbk", <meta charset=...>: in the first 1 KB
    detected           chardetng (Firefox's) and charset-normalizer, over the lines that are not ASCII

Of one line of translated text (Django's catalogues, 20 charsets, 840 files of code and comments) either detector
alone reads 12 and 43 % wrongly, of ten lines 2 and 19 %. So a guess is taken where the two agree, or where chardetng
has EVIDENCE bytes to judge by and names a charset that it does not confuse. Of files with one such line a quarter is
then read, with three 58 %, with ten 84 %, and none, none and 0.6 % wrongly (a letter or two, by a neighbouring Latin
charset). What is left is refused, and so is text which is mostly UTF-8 with other bytes in it.

A line of mojibake (UTF-8 that was once decoded as something else: "schÃ¶n") is rewritten only if the whole line
encodes back into that charset and those bytes are UTF-8. Test strings are mojibake on purpose, so a file is left as
it is, and said to be, when it has other characters beyond ASCII that are not mojibake or speaks of charsets itself.

Newlines become "\\n". It does not look into ISO-2022-JP or UTF-7, which are ASCII to every reader here.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass

import chardetng_py
import charset_normalizer
from ftfy.badness import is_bad
from ftfy.chardata import CHARMAP_ENCODINGS

# Bytes beyond ASCII that chardetng needs to be believed alone.
EVIDENCE = 12
LEAST_EVIDENCE = 4
DECLARED_WITHIN = 1_024
# Of a file's lines that are not ASCII the detectors look at so many bytes.
LOOKED_AT = 8_192

# The longer marks first: that of UTF-32 begins with that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Python's codec for the names of the Encoding Standard that chardetng gives: supersets, as browsers read them.
CODECS = {
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
}
TRUSTED = frozenset(
    {"gb18030", "big5", "cp932", "euc_jp", "cp949", "koi8-r", "koi8-u", "cp1251", "cp866", "iso8859-5", "cp1252"}
)
# They share most letters with cp1252, so that even two detectors need text to judge by.
LATIN_OF_MANY = frozenset(
    {"cp1250", "cp1254", "cp1257", "cp1258", "iso8859-2", "iso8859-4", "iso8859-13", "iso8859-15", "iso8859-16"}
)
# One detector's word does not stand against the other's here: EUC-KR, EUC-JP and GBK are made of the same bytes.
WIDE = frozenset({"gb18030", "big5", "cp932", "euc_jp", "euc_kr", "cp949"})
FURTHER = frozenset({"cp1253", "cp1255", "cp1256", "cp874", "iso8859-7", "iso8859-8"})
# What charset-normalizer chooses from: of all its 90 it reads Russian as an old Macintosh.
CANDIDATES = [
    *("gb18030", "big5", "cp932", "euc_jp", "euc_kr", "koi8_r", "koi8_u", "cp1251", "cp866", "iso8859_5"),
    *("cp1250", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "iso8859_2"),
]
# In a comment, a prolog, a <meta> or @charset: a call with encoding="latin-1" says nothing of the file that it is in.
_DECLARATION = re.compile(
    rb"^[ \t]*(?:#|//|/?\*|%|;|--|\"|<[!?]|<meta|@charset)[^\n]*?(?:coding[ \t]*[:=]|charset[ \t]*=?)[ \t]*[\"']?"
    rb"([a-z][a-z0-9_.\-]{2,20}?)(?:-unix|-dos|-mac)?(?![\w.\-])",
    re.IGNORECASE | re.MULTILINE,
)
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_ABOUT_CHARSETS = re.compile(
    r"mojibake|ftfy|latin-?1|8859|(?:cp|windows-?)125\d|decod|encode|charset|\\u00[89a-f]|\\x[c-f][0-9a-f]",
    re.IGNORECASE,
)
# What ftfy's signs of mojibake look like takes two ASCII characters beside others at most, and looking for them costs
# 0.2 microseconds a character: of a longer run of ASCII its ends will do.
_PLAIN_RUN = re.compile(r"([\x00-\x7f]{3})[\x00-\x7f]+([\x00-\x7f]{3})")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x19\x1c-\x1f\x7f]")


@dataclass(frozen=True)
class Decoded:
    """`content` is UTF-8 with "\\n" newlines and no byte order mark; None where the file is refused.

    reason: "binary" or "not-utf8"; measured: the byte offset that decided. changes: byte-order-mark, carriage-return,
    charset:<codec> (UTF-16 and -32 too), mojibake, and mojibake-left for what was seen and left as it is.
    """

    content: bytes | None
    reason: str | None = None
    measured: float | None = None
    changes: tuple[str, ...] = ()


def decode(raw: bytes) -> Decoded:
    """Text of a file's bytes."""
    mark, codec = next(((mark, codec) for mark, codec in MARKS if raw.startswith(mark)), (b"", "utf-8"))
    if codec == "utf-8" and b"\0" in raw:
        return Decoded(None, "binary", float(raw.index(b"\0")))
    body = raw[len(mark) :]
    try:
        text = body.decode(codec)
    except UnicodeDecodeError as error:
        return (
            _undecodable(body, error.start) if not mark else Decoded(None, "not-utf8", float(error.start + len(mark)))
        )
    if "\0" in text:
        return Decoded(None, "binary", float(len(mark) + len(text[: text.index("\0")].encode(codec))))
    changes = ("byte-order-mark",) if mark else ()
    if codec != "utf-8":
        return _normalised(text, (*changes, f"charset:{codec}"))
    return _normalised(text, changes) if text.isascii() else _mended(text, changes)


def _undecodable(raw: bytes, bad_byte: int) -> Decoded:
    codec = None if _is_damaged_utf8(raw) or _CONTROLS.search(raw) else _declared(raw) or _detected(raw)
    if codec is None:
        return Decoded(None, "not-utf8", float(bad_byte))
    return _normalised(raw.decode(codec), (f"charset:{codec}",))


def _is_damaged_utf8(raw: bytes) -> bool:
    """Most bytes beyond ASCII stand in sequences of UTF-8: a guess would make mojibake of the sound ones.

    Of GB2312 text a sixth does by chance.
    """
    return 2 * sum(map(len, _UTF8_SEQUENCE.findall(raw))) > _evidence(raw)


def _declared(raw: bytes) -> str | None:
    """The codec that the file names, if its bytes are plausible text in it."""
    for match in _DECLARATION.finditer(raw[:DECLARED_WITHIN]):
        codec = _codec(match.group(1).decode())
        if codec is not None and _as_text(raw, codec) is not None:
            return codec
    return None


def _detected(raw: bytes) -> str | None:
    evidence, sample = _evidence(raw), _sample(raw)
    detector = chardetng_py.EncodingDetector()
    detector.feed(sample, last=True)
    name, is_better = detector.guess_assess(tld=None, allow_utf8=False)
    codec = _codec(name)
    if not is_better or codec is None or (text := _as_text(raw, codec)) is None:
        return None
    second = charset_normalizer.from_bytes(sample, cp_isolation=CANDIDATES, enable_fallback=False).best()
    if second is not None and str(second) == _as_text(sample, codec):
        return codec if evidence >= (EVIDENCE if codec in LATIN_OF_MANY else LEAST_EVIDENCE) else None
    contradicted = second is not None and {codec, second.encoding} <= WIDE
    return codec if evidence >= EVIDENCE and not contradicted and _is_trusted(codec, text) else None


def _is_trusted(codec: str, text: str) -> bool:
    """Hungarian is the language that chardetng takes for cp1252: its ő and ű are õ and û there."""
    return codec in TRUSTED and not (codec == "cp1252" and re.search("[õûÕÛ]", text))


def _evidence(raw: bytes) -> int:
    return len(raw) - len(raw.translate(None, _HIGH))


def _sample(raw: bytes) -> bytes:
    """The lines that are not ASCII, cut at a line's end where one is near enough."""
    sample = b"\n".join(line for line in raw.split(b"\n") if not line.isascii())
    return sample if len(sample) <= LOOKED_AT else sample[:LOOKED_AT].rpartition(b"\n")[0] or sample[:LOOKED_AT]


def _codec(name: str) -> str | None:
    """Python's name for a charset; None for what is no legacy charset of text."""
    try:
        found = codecs.lookup(name.lower().replace("windows-", "cp")).name
    except LookupError:
        return None
    codec = CODECS.get(found, found)
    return codec if codec in TRUSTED or codec in LATIN_OF_MANY or codec in FURTHER else None


def _as_text(raw: bytes, codec: str) -> str | None:
    """Decoded strictly, with no character that no text has: controls, private use, unassigned."""
    try:
        text = raw.decode(codec)
    except (UnicodeDecodeError, ValueError):
        return None
    beyond = {character for character in set(text) if character > "\x7e"}
    return None if any(unicodedata.category(character) in ("Cc", "Co", "Cn") for character in beyond) else text


def _mended(text: str, changes: tuple[str, ...]) -> Decoded:
    """UTF-8 text with its mojibake mended, or with none."""
    if not is_bad(_PLAIN_RUN.sub(r"\1\2", text)):
        return _normalised(text, changes)
    mended: dict[str, str] = {}
    for line in {line for line in text.split("\n") if not line.isascii()}:
        before = _unmistaken(line)
        if before is None or _ABOUT_CHARSETS.search(text):
            return _normalised(text, (*changes, "mojibake-left"))
        mended[line] = before
    return _normalised("\n".join(mended.get(line, line) for line in text.split("\n")), (*changes, "mojibake"))


def _unmistaken(line: str) -> str | None:
    """The line before UTF-8 was taken for another charset; None unless the whole line goes back, and gets better."""
    for codec in CHARMAP_ENCODINGS if is_bad(line) else ():
        try:
            before = line.encode(codec).decode()
        except UnicodeError:
            continue
        if before != line and not is_bad(before) and before.encode().decode(codec) == line:
            return before
    return None


def _normalised(text: str, changes: tuple[str, ...]) -> Decoded:
    if "\r" in text:
        text, changes = text.replace("\r\n", "\n").replace("\r", "\n"), (*changes, "carriage-return")
    return Decoded(text.encode(), changes=changes)


_HIGH = bytes(range(0x80, 0x100))
