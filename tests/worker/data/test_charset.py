"""Bytes become the text that was meant, or are refused; and what is no mistake is never rewritten."""

from __future__ import annotations

import codecs
import random
import sysconfig
from pathlib import Path

import pytest

from worker.data.charset import Decoded, decode

COMMENTS = {
    "ru": "Возвращает список всех файлов, которые были изменены. Если файл не найден, будет создан новый файл",
    "zh": "返回所有已修改的文件列表，如果没有找到文件，就创建一个新的文件并且保存到当前目录",
    "zh-tw": "傳回所有已修改的檔案清單，如果沒有找到檔案，就建立一個新的檔案並且儲存到目前的目錄",
    "ja": "変更されたすべてのファイルの一覧を返します。ファイルが見つからない場合は、新しいファイルを作成します",
    "ko": "수정된 모든 파일의 목록을 반환합니다. 파일을 찾을 수 없으면 새 파일을 만들어 저장합니다",
    "de": "Gibt die Liste aller geänderten Dateien zurück; für jede fehlende Datei müssen wir größere Puffer wählen, übrigens",
    "fr": "Renvoie la liste des fichiers modifiés ; si le fichier n'a pas été trouvé, il sera créé à côté, déjà rempli",
}
LEGACY = [
    *[("ru", charset) for charset in ("koi8-r", "cp1251", "cp866", "iso8859-5")],
    *[("zh", "gbk"), ("zh", "gb18030"), ("zh-tw", "big5"), ("ja", "shift_jis"), ("ja", "euc_jp"), ("ko", "euc_kr")],
    *[("de", "cp1252"), ("de", "latin-1"), ("fr", "cp1252"), ("fr", "latin-1")],
]


def source(comment: str) -> str:
    return f"import os\n\n\ndef changed(folder):\n    # {comment}\n    return [name for name in os.listdir(folder)]\n"


@pytest.mark.parametrize(("language", "charset"), LEGACY)
def test_a_legacy_charset_with_some_text_is_read(language, charset):
    text = source(COMMENTS[language])
    found = decode(text.encode(charset))
    assert found.content == text.encode()
    assert [change.split(":")[0] for change in found.changes] == ["charset"]


@pytest.mark.parametrize(("language", "charset"), LEGACY)
def test_a_legacy_charset_with_little_text_is_read_rightly_or_refused(language, charset):
    comment = COMMENTS[language]
    for length in range(1, len(comment), 3):
        text = source(comment[-length:])
        found = decode(text.encode(charset))
        # A lone character of GBK may be one of UTF-8 too, and nobody could tell.
        assert found.content == text.encode() or found.reason == "not-utf8" or length == 1


@pytest.mark.parametrize(
    "line",
    [
        "# -*- coding: {} -*-",
        "# vim: set fileencoding={} :",
        "/* -*- mode: c; coding: {}-unix -*- */",
        '<?xml version="1.0" encoding="{}"?>',
        '<meta http-equiv="content-type" content="text/html; charset={}">',
    ],
)
def test_the_charset_that_a_file_declares_is_believed(line):
    text = line.format("koi8-r") + "\nx = 'Да'\n"
    assert decode(text.encode("koi8-r")) == Decoded(text.encode(), changes=("charset:koi8-r",))


def test_korean_with_rare_syllables_is_not_taken_for_japanese():
    text = "# 날아라 쓔쓔쓩~ 닁큼! 뜽금없이 전홥니다. 뷁. 그런거 읎다.\n"
    assert decode(text.encode("euc_kr")).content in (None, text.encode())


def test_a_charset_that_is_named_in_a_call_declares_nothing():
    text = "file = open(path, encoding='koi8-r')\n# caf\xe9\n"
    assert decode(text.encode("latin-1")).reason == "not-utf8"


def test_a_declared_charset_that_does_not_fit_is_not_believed():
    assert decode(b"# coding: cp1252\nx = '\x81\x8d'\n").reason == "not-utf8"
    assert decode(b"# coding: utf-8\nx = '\xff'\n").reason == "not-utf8"


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_obeyed_and_removed(codec):
    found = decode(source(COMMENTS["ru"]).encode(codec))
    assert found.content == source(COMMENTS["ru"]).encode()
    assert found.changes[0] == "byte-order-mark"


@pytest.mark.parametrize(
    ("raw", "reason", "measured"),
    [
        (b"ab\0cd", "binary", 2),
        (b"\xff\xfea\0\0\0", "binary", 4),
        (b"\xff\xfea\0\x00\xd8b\0", "not-utf8", 4),
        (b"\xff\xfea", "not-utf8", 2),
        (b"x = '\xff'\n", "not-utf8", 5),
        (b"\x89PNG\r\n\x1a\n\x01\x02 \xe9\xe8\xe7 \x03", "not-utf8", 0),
        ("naïve größer Übung\n".encode() * 9 + b"caf\xe9\n", "not-utf8", 210),
    ],
)
def test_what_is_no_text_is_refused_with_the_offset(raw, reason, measured):
    assert decode(raw) == Decoded(None, reason, measured)


def test_newlines_are_normalised():
    assert decode(b"a\r\nb\rc\n") == Decoded(b"a\nb\nc\n", changes=("carriage-return",))


def test_an_empty_file_is_an_empty_text():
    assert decode(b"") == Decoded(b"")


@pytest.mark.parametrize("charset", ["sloppy-windows-1252", "latin-1", "mac-roman", "cp437"])
def test_a_file_that_was_once_decoded_wrongly_is_mended(charset):
    text = "# größe: Übersicht für naïve Köche\nx = 1\n# déjà vu à côté\n"
    mistaken = text.encode().decode(charset)
    assert decode(mistaken.encode()) == Decoded(text.encode(), changes=("mojibake",))


@pytest.mark.parametrize(
    "text",
    [
        "# schÃ¶n\nname = 'Jürgen'\n",  # one line is sound
        "assert fix('schÃ¶n') == 'schön'\n",  # mojibake and what it stands for
        "assert fix('schÃ¶n') == 'sch\\u00f6n'\n",
        "def test_mojibake():\n    text = 'schÃ¶n'\n",
        "text = 'schÃ¶n'.encode('latin-1')\n",
        "# schÃ n\n",  # a byte is lost
    ],
)
def test_mojibake_that_may_be_meant_is_left_and_said(text):
    assert decode(text.encode()) == Decoded(text.encode(), changes=("mojibake-left",))


@pytest.mark.parametrize("language", COMMENTS)
def test_sound_text_in_any_language_is_left_alone(language):
    text = source(COMMENTS[language])
    assert decode(text.encode()) == Decoded(text.encode())


def test_symbols_and_box_drawings_are_left_alone():
    text = "# © 2020 – “quoted” … → ✓ ═══╗ ½ µs 25 °C £5 ‰ naïve Ångström\n# │ ├── └── ░▒▓\n"
    assert decode(text.encode()) == Decoded(text.encode())


def test_real_sources_in_utf8_come_back_as_they_were():
    """But for one file of CPython's tests, which holds a word of Polish that was once decoded wrongly."""
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    read = [(path.name, path.read_bytes()) for path in paths if "site-packages" not in path.parts]
    foreign = {name: raw for name, raw in read if not raw.isascii() and is_utf8(raw)}
    assert len(foreign) > 20
    for name, raw in foreign.items():
        plain = raw.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
        assert decode(raw).content == plain.replace("HasÅ‚o".encode(), "Hasło".encode()), name


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_random_lines_of_utf8_come_back_as_they_were_unless_said():
    rng = random.Random(8)
    alphabet = "abc \n'#=éüßñøčđłÃÂâ©®™°µ€“”—русский中文日本語한국어😀\u00a0\u200b"
    for _ in range(2_000):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(40)))
        found = decode(text.encode())
        assert found.content is not None
        if "mojibake" not in found.changes:
            assert found.content == text.encode()
        else:
            assert len(found.content) < len(text.encode())
            assert decode(found.content).content == found.content


def test_random_bytes_never_raise():
    rng = random.Random(9)
    for _ in range(500):
        raw = rng.randbytes(rng.randrange(60))
        found = decode(raw)
        assert (found.content is None) == (found.reason in ("binary", "not-utf8"))
