"""Each step, one line a reason."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from worker.cleaning import completed
from worker.data.languages import refined
from worker.data.lines import line_histogram, log_histogram, measure
from worker.data.steps import FUNCTIONS
from worker.data.steps.survivors import is_drawn, repeated_share, score
from worker.data.steps.text import with_measures


def judge(name: str, parameters: dict | None = None, **columns):
    """A step's verdict on one row."""
    arrays = {key: value if isinstance(value, pa.Array) else pa.array([value]) for key, value in columns.items()}
    batch = pa.RecordBatch.from_pydict(arrays)
    batch = with_measures(batch) if name in {"lines", "filters"} else batch
    of = "language" if name == "content_language" else name
    return FUNCTIONS[name](batch, completed(of, parameters or {}))


def reason_of(name: str, parameters: dict | None = None, **columns):
    verdict = judge(name, parameters, **columns)
    return verdict.reason[0].as_py(), verdict.measured[0].as_py()


def text(content: str) -> pa.Array:
    return pa.array([content], pa.large_string())


@pytest.mark.parametrize(
    ("path", "reason", "language"),
    [
        ("a/b.py", None, "Python"),
        ("a/B.PY", None, "Python"),
        ("x.h", None, "C"),  # may turn out to be C++, which is not asked for
        ("x.rb", "language-not-asked", "Ruby"),
        ("notes.xyz", "unknown-language", None),
        ("README", "unknown-language", None),
        ("manage", None, None),  # may be a script
        (".py", "unknown-language", None),
    ],
)
def test_language_is_told_by_extension(path, reason, language):
    verdict = judge("language", {"languages": ["python", "C"]}, path=path)
    assert (verdict.reason[0].as_py(), verdict.batch["language"][0].as_py()) == (reason, language)


def test_what_the_source_says_of_a_language_goes_first():
    columns = {"path": ["x.h"], "language": ["c++"]}
    verdict = FUNCTIONS["language"](pa.RecordBatch.from_pydict(columns), completed("language", {}))
    assert verdict.batch["language"].to_pylist() == ["C++"]


@pytest.mark.parametrize(
    ("path", "content", "language"),
    [
        ("a.h", "int f(void);\n", "C"),
        ("a.h", "namespace a {\n}\n", "C++"),
        ("a.h", "@interface A : NSObject\n@end\n", "Objective-C"),
        ("a.m", "% a matrix\nx = 1;\n", "MATLAB"),
        ("a.m", "#import <A.h>\n@implementation A\n@end\n", "Objective-C"),
        ("a.pl", "use strict;\nmy $x = 1;\n", "Perl"),
        ("a.pl", "likes(x, y) :- friend(x, y).\n", "Prolog"),
        ("a.ts", '<?xml version="1.0"?>\n<TS version="2.1">\n', "XML"),
        ("a.ts", "const x: number = 1\n", "TypeScript"),
        ("a.v", "module adder(input a);\nendmodule\n", "Verilog"),
        ("a.v", "Proof. auto. Qed.\n", "Rocq Prover"),
        ("manage", "#!/usr/bin/env python3.11\nprint(1)\n", "Python"),
        ("manage", "#!/bin/sh -e\necho\n", "Shell"),
        ("manage", "#!/usr/bin/env -S node --flag\n", "JavaScript"),
        ("manage", "no interpreter\n", None),
    ],
)
def test_language_is_told_by_content_where_the_name_does_not(path, content, language):
    assert refined(path, content.encode()) == language


def test_a_file_whose_content_is_of_another_language_than_asked_is_dropped():
    asked = {"languages": ["C"]}
    columns = {"path": "a.h", "language": "C"}
    assert reason_of("content_language", asked, **columns, content=text("class A {\n};\n"))[0] == "other-language"
    assert reason_of("content_language", asked, **columns, content=text("struct a;\n"))[0] is None
    script = {"path": "run", "language": pa.array([None], pa.string()), "content": text("plain words\n")}
    assert reason_of("content_language", {}, **script)[0] == "unknown-script"


@pytest.mark.parametrize(("size", "reason"), [(9, "too-small"), (10, None), (100, None), (101, "too-large")])
def test_size_bounds_are_inclusive(size, reason):
    assert reason_of("size", {"min_bytes": 10, "max_bytes": 100}, size_bytes=size) == (reason, size)


@pytest.mark.parametrize(
    ("license", "keep", "reason"),
    [
        ("MIT OR GPL-3.0-only", "permissive", None),
        ("MIT AND GPL-3.0-only", "permissive-or-unknown", "licence-not-permissive"),
        ("unknown", "permissive", "licence-unknown"),
        ("unknown", "permissive-or-unknown", None),
        ("GPL-3.0-only", "any", None),
        ("LicenseRef-ours", "permissive", "licence-unknown"),
    ],
)
def test_licences_are_kept_as_the_recipe_says(license, keep, reason):
    assert reason_of("licence", {"keep": keep}, license=license)[0] == reason
    assert reason_of("licence", {"keep": keep, "also": ["Mit or gpl-3.0-only", license]}, license=license)[0] is None


def test_who_opted_out_is_left_out_and_the_rule_is_named():
    row = {"source": "s", "repository": "ada/engine", "path": "drafts/a.py", "author": "Ada <ada@example.org>"}
    for parameters, rule in (
        ({"repositories": ["ada/*"]}, "repo: ada/*"),
        ({"paths": ["s:drafts/*"]}, "path: s:drafts/*"),
        ({"authors": ["ADA@example.org"]}, "author: ada@example.org"),
        ({"repositories": ["grace/*"]}, None),
    ):
        verdict = judge("opt_out", parameters, **row)
        assert (verdict.reason[0].as_py(), verdict.detail[0].as_py()) == (rule and "opted-out", rule)


@pytest.mark.parametrize(
    ("raw", "reason", "measured"),
    [(b"caf\xc3\xa9\n", None, None), (b"caf\xe9\n", "not-utf8", 3.0), (b"ab\x00c", "binary", 2.0)],
)
def test_encoding_refuses_what_is_no_text(raw, reason, measured):
    columns = {"raw": pa.array([raw], pa.large_binary()), "size_bytes": len(raw)}
    assert reason_of("encoding", **columns) == (reason, measured)


def test_repairs_are_counted_and_noted_and_the_hash_of_changed_text_is_forgotten():
    raw = pa.array([b"\xef\xbb\xbfa\r\nb\rc\n", b"plain\n", b"\0"], pa.large_binary())
    columns = {"raw": raw, "size_bytes": pa.array([10, 6, 1]), "content_sha": pa.array(["x", "y", "z"])}
    verdict = judge("encoding", **columns)
    assert verdict.batch["content"].to_pylist() == ["a\nb\nc\n", "plain\n", None]
    assert verdict.batch["size_bytes"].to_pylist() == [6, 6, 1]
    assert verdict.batch["content_sha"].to_pylist()[:2] == [None, "y"]
    assert verdict.changed == {"byte-order-mark": 1, "carriage-return": 1}
    assert sorted(verdict.batch["repairs"][0].as_py()) == ["byte-order-mark", "carriage-return"]


@pytest.mark.parametrize(
    ("content", "reason", "measured"),
    [
        ("abcd\n" * 5, None, None),
        ("a" * 80 + "\n" * 9, None, None),
        ("a" * 81 + "\nab\n" * 9, "long-line", 81.0),
        ("abcdefghijk\nabcdefghijk", "long-mean-line", 11.0),
        ("é" * 10 + "\n", None, None),  # characters, not bytes
        ("a---\n", "few-alphanumerics", 0.2),
        ("", "few-alphanumerics", 0.0),
    ],
)
def test_line_filters_of_the_codex_paper(content, reason, measured):
    bounds = {"max_line": 80, "max_mean_line": 10.5}
    assert reason_of("lines", bounds, content=text(content), language="C") == (reason, measured)


def test_languages_of_prose_and_data_may_have_longer_lines():
    columns = {"content": text("word " * 1000 + "\n")}
    assert reason_of("lines", language="Markdown", **columns)[0] is None
    assert reason_of("lines", language="Python", **columns)[0] == "long-line"


def test_a_generated_file_is_dropped_for_its_kind_with_the_rules_name():
    columns = {"path": "a.go", "content": text("// Code generated by stringer. DO NOT EDIT.\npackage a\n")}
    verdict = judge("generated", **columns)
    assert (verdict.reason[0].as_py(), verdict.detail[0].as_py()) == ("generated", "generated_go")
    assert reason_of("generated", {"without": ["generated_go"]}, **columns)[0] is None
    assert reason_of("generated", path="third_party/zlib/a.c", content=text("int a;\n"))[0] == "vendored"


def test_starcoders_filters_drop_encoded_data_and_can_be_switched_off():
    columns = {"path": "a.py", "language": "Python", "content": text("x = '''\n" + "QUJD/0aB" * 200 + "\n'''\n")}
    assert reason_of("filters", **columns)[0] == "encoded-run"
    assert reason_of("filters", {"max_encoded_run": None, "max_encoded_share": None}, **columns)[0] is None


def test_redaction_notes_the_line_and_never_the_value():
    verdict = judge("redaction", content=text("a = 1\nmail = 'ada@analytical-engine.org'\n"), size_bytes=43)
    assert verdict.batch["content"][0].as_py() == "a = 1\nmail = '<EMAIL_1>'\n"
    assert verdict.batch["redactions"][0].as_py() == [("EMAIL", 1)]
    (span,) = verdict.batch["redaction_spans"][0].as_py()
    assert (span["line"], span["placeholder"]) == (2, "<EMAIL_1>")


def test_what_does_not_parse_is_dropped_and_languages_without_a_grammar_go_on():
    assert reason_of("parse", language="Python", content=text("def f(:\n  ] pass pass\n"))[0] == "does-not-parse"
    assert reason_of("parse", language="Python", content=text("def f():\n    pass\n"))[0] is None
    assert reason_of("parse", language="Tcl", content=text("}}}"))[0] is None
    assert reason_of("parse", {"languages": ["C"]}, language="Python", content=text("def f(:"))[0] is None


GOOD = "# Adds two numbers.\n" + "".join(
    f"def add_{n}(left, right):\n    return left + right + {n}\n" for n in range(9)
)
POOR = "=====;;\n" * 4


def test_a_better_document_is_drawn_more_often_and_always_the_same_way():
    scores = score(pa.array([GOOD, POOR], pa.large_string()), pa.array(["Python", "Python"]))
    assert 0 <= scores[1] < 0.6 < 0.8 < scores[0] <= 1
    ids = [f"{n:032x}" for n in range(2000)]
    drawn = {value: sum(is_drawn(name, value, 9.0) for name in ids) / 2000 for value in (1.0, 0.9, 0.5)}
    assert drawn[1.0] == 1
    assert (drawn[0.9], drawn[0.5]) == (pytest.approx(1.1**-9, abs=0.04), pytest.approx(1.5**-9, abs=0.02))


def test_repeated_lines_are_counted_without_their_indent():
    texts = ["value = 1\nvalue = 2\n", "value = 1\n  value = 1\nvalue = 1\nother = 2", "ab\nab\nab\n", ""]
    assert repeated_share(pa.array(texts, pa.large_string())).tolist() == [0, 0.5, 0, 0]


def test_a_language_can_be_thinned_out():
    n = 400
    columns = {
        "id": pa.array([f"{k:032x}" for k in range(n)]),
        "language": pa.array(["JSON", "Python"] * (n // 2)),
        "content": pa.array(["a"] * n, pa.large_string()),
    }
    verdict = judge("quality", {"shares": {"JSON": 0.25}}, **columns)
    gone = [k for k, reason in enumerate(verdict.reason.to_pylist()) if reason == "thinned-out"]
    assert all(k % 2 == 0 for k in gone) and 120 < len(gone) < 180


TEXTS = ["", "\n", "a", "a\n", "\n\nb", "äö\nü", "x" * 100 + "\ny\n", "\n", "日本語\n", "a\n\n", "😀𝔸b٣\n𠀀"]


def test_measures_agree_with_a_plain_count():
    found = measure(pa.array(TEXTS))
    lines = [one.removesuffix("\n").split("\n") if one else [] for one in TEXTS]
    assert found.n_lines.tolist() == [len(rows) for rows in lines]
    assert found.longest_line.tolist() == [max(map(len, rows), default=0) for rows in lines]
    assert found.in_lines.tolist() == [sum(map(len, rows)) for rows in lines]
    assert found.characters.tolist() == [len(one) for one in TEXTS]
    assert found.alphanumeric.tolist() == [sum(map(str.isalnum, one)) for one in TEXTS]
    assert found.alphabetic.tolist() == [sum(map(str.isalpha, one)) for one in TEXTS]


def test_a_token_is_a_word_or_a_mark():
    assert measure(pa.array(["def f(x_1):\n\treturn 'é' != 2.5\n", " \n"])).tokens.tolist() == [15, 0]


def test_measures_are_of_the_rows_of_a_slice():
    sliced = pa.array(["skipped\n", *TEXTS]).slice(1)
    assert measure(sliced).n_lines.tolist() == measure(pa.array(TEXTS)).n_lines.tolist()


def test_lines_are_counted_in_bins_of_powers_of_two():
    counts, in_lines = line_histogram(pa.array(["\na\nbb\nccc\ndddd\n", *TEXTS]))
    lengths = [len(line) for one in TEXTS if one for line in one.removesuffix("\n").split("\n")]
    assert counts.tolist() == log_histogram(np.array([0, 1, 2, 3, 4, *lengths])).tolist()
    assert in_lines[0] == 10
    assert counts[:4].tolist()[0] >= 1
