"""What the StarCoder filters measure and which rows they would drop, held against plain counting in Python."""

from __future__ import annotations

import math
import re

import pyarrow as pa
import pytest

from worker.data.filters import DEFAULTS, ENCODED_PATTERNS, FILTERS, judge, measure

CODE = "def total(values):\n    return sum(values)\n"
DOCUMENTS = {
    "code": ("Python", CODE * 3),
    "foreign": ("Python", "naïve = 'größe 日本語 🎉'\n" * 4),
    "base64": ("Python", "data = '" + "QUJD" * 300 + "'\n"),
    "short-base64": ("Python", "data = '" + "QUJD" * 20 + "'\nother_words = [call(x) for x in range(9)]\n" * 4),
    "hex": ("C", "char a[] = {" + "0x1f,0x2e," * 200 + "};\n"),
    "escapes": ("Java", 'String s = "' + "\\u00e4" * 300 + '";\n'),
    "digits": ("Python", "1 2 3 4 5 6 7 8 9\n" * 20),
    "xml": ("Java", '<?xml version="1.0"?>\n<project>some words in here</project>\n'),
    "really-xml": ("XML", '<?xml version="1.0"?>\n<project>some words in here</project>\n'),
    "no-text": ("HTML", "<script>var a = 1;</script>" * 9 + "<p>Short</p>"),
    "text": ("HTML", "<h1>Title</h1><p>" + "Words to be read by people. " * 9 + "</p>"),
    "tiny-json": ("JSON", '{"key": "word"}\n'),
    "large-json": ("JSON", '{"key": "word"}\n' * 400),
    "listing": ("JSON", '"a":1,\n' * 600),
    "comments": ("C", "/* " + "words and words " * 20 + "*/ int x;\n"),
    "notes": ("Text", "some words that are not known to be of use\n"),
}
EXPECTED = {
    "base64": "encoded-run",
    "hex": "encoded-run",
    "escapes": "encoded-run",
    "digits": "few-letters",
    "xml": "xml-head",
    "no-text": "little-visible-text",
    "tiny-json": "small-data-file",
    "large-json": "large-data-file",
    "listing": "few-letters",
    "comments": "mostly-comments",
    "notes": "unknown-text",
}


@pytest.fixture(scope="module")
def measured():
    languages = pa.array([language for language, _ in DOCUMENTS.values()])
    return measure(pa.array([text for _, text in DOCUMENTS.values()], pa.large_string()), languages), languages


def test_counts_are_those_of_python(measured):
    measures, _ = measured
    for row, (_, text) in enumerate(DOCUMENTS.values()):
        assert measures.n_characters[row] == len(text)
        assert measures.n_lines[row] == len(text.splitlines())
        assert math.isclose(measures.alphabetic[row], sum(map(str.isalpha, text)) / len(text))
        assert math.isclose(measures.alphanumeric[row], sum(map(str.isalnum, text)) / len(text))


def test_encoded_data_is_what_the_published_patterns_match(measured):
    measures, _ = measured
    for row, (_, text) in enumerate(DOCUMENTS.values()):
        found = [
            [len(match.group()) for match in re.finditer(pattern, text)]
            for pattern in (r"[a-zA-Z0-9+/\n=]{64,}", *ENCODED_PATTERNS)
        ]
        assert measures.encoded_run[row] == max((length for lengths in found for length in lengths), default=0)
        assert math.isclose(measures.encoded[row], max(map(sum, found)) / len(text))


def test_verdicts_by_default(measured):
    measures, languages = measured
    verdict = judge(measures, languages, pa.array([f"src/{name}.txt" for name in DOCUMENTS]))
    assert dict(zip(DOCUMENTS, verdict.reason, strict=True)) == {name: EXPECTED.get(name) for name in DOCUMENTS}


def test_bounds_can_be_moved_and_switched_off(measured):
    measures, languages = measured
    paths = pa.array([f"src/{name}.txt" for name in DOCUMENTS])
    off = judge(measures, languages, paths, dict.fromkeys(DEFAULTS), only_known_texts=False)
    assert off.reason == [None] * len(DOCUMENTS)
    strict = judge(
        measures, languages, paths, {**dict.fromkeys(DEFAULTS), "min_comments": 0.01}, only_known_texts=False
    )
    assert strict.reason[list(DOCUMENTS).index("code")] == "few-comments"
    assert strict.measured[list(DOCUMENTS).index("code")] == 0


def test_of_plain_texts_only_known_ones_stay():
    names = ["README.txt", "a/requirements-dev.txt", "notes.txt", "a/CMakeLists.txt"]
    languages = pa.array(["Text"] * 4)
    content = pa.array(["words enough for a file that is to stay\n"] * 4, pa.large_string())
    verdict = judge(measure(content, languages), languages, pa.array(names))
    assert verdict.reason == [None, None, "unknown-text", None]


@pytest.mark.parametrize(
    ("language", "text", "comment"),
    [
        ("Python", 'x = "# no"  # yes\n', "# yes"),
        ("Python", 'def f():\n    """Doc\n    string."""\n    return """not one"""\n', '"""Doc\n    string."""'),
        ("C", 'char *s = "/* no */ // no"; /* yes\n yes */ int y; // yes', "/* yes\n yes */// yes"),
        ("JavaScript", "const a = `// no\n// no`; // yes", "// yes"),
        ("Rust", "fn f<'a>(x: &'a str) {} // yes", "// yes"),
        ("Shell", 'echo "${#x}" $# # yes\n', "# yes"),
        ("SQL", "select '-- no' -- yes\n", "-- yes"),
        ("Haskell", "f x = x {- yes -} -- yes", "{- yes -}-- yes"),
        ("Lua", "--[[ yes\n yes ]] x = 1", "--[[ yes\n yes ]]"),
        ("HTML", "<p>x</p><!-- yes -->", "<!-- yes -->"),
        ("C", "int a = 'x'; /* never closed", "/* never closed"),
        ("C", "char q = '\\''; // yes", "// yes"),
        ("C", "it's a stray quote\nint x; // yes", "// yes"),
    ],
)
def test_comments(language, text, comment):
    share = measure(pa.array([text], pa.large_string()), pa.array([language])).comments[0]
    assert round(share * len(text)) == len(comment)


def test_comments_of_an_unknown_language_are_not_measured():
    measures = measure(pa.array(["# x\n", "{}\n"], pa.large_string()), pa.array([None, "JSON"]))
    assert all(math.isnan(share) for share in measures.comments)


def test_empty_batch_and_empty_document():
    assert len(measure(pa.array([], pa.large_string()), pa.array([], pa.string())).n_lines) == 0
    assert measure(pa.array([""], pa.large_string()), pa.array(["C"])).n_lines[0] == 0


def test_every_filter_has_a_source_and_a_parameter_of_its_own():
    assert len({entry.parameter for entry in FILTERS}) == len(FILTERS)
    assert all(entry.source for entry in FILTERS)
