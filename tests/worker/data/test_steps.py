"""Each step, one line a reason."""

from __future__ import annotations

import pyarrow as pa
import pytest

from worker.data import steps
from worker.data.lines import alphanumeric_share, line_statistics, log_histogram
from worker.data.reasons import REASONS, STEPS
from worker.specs import IngestRecipe

RECIPE = IngestRecipe(
    languages=("python", "C"),
    min_file_bytes=10,
    max_file_bytes=100,
    max_line_characters=20,
    max_mean_line_characters=8.0,
)


def reason_of(step, **columns):
    batch = pa.RecordBatch.from_pydict({name: pa.array([value]) for name, value in columns.items()})
    judged = step(batch, RECIPE)
    return judged.reason[0].as_py(), judged.measured[0].as_py()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a/b.py", None),
        ("a/B.PY", None),
        ("x.h", None),
        ("x.rb", "language-not-asked"),
        ("notes.xyz", "unknown-language"),
        ("README", "unknown-language"),
        (".py", "unknown-language"),
    ],
)
def test_language_is_told_by_extension(path, reason):
    assert reason_of(steps.language, path=path)[0] == reason


@pytest.mark.parametrize(("size", "reason"), [(9, "too-small"), (10, None), (100, None), (101, "too-large")])
def test_size_bounds_are_inclusive(size, reason):
    assert reason_of(steps.size, size_bytes=size) == (reason, size)


@pytest.mark.parametrize(
    ("raw", "reason", "measured"),
    [
        (b"caf\xc3\xa9\n", None, None),
        (b"caf\xe9\n", "not-utf8", 3.0),
        (b"ab\x00c", "binary", 2.0),
        ("text".encode("utf-16"), "not-utf8", 0.0),
        (b"\xed\xa0\x80", "not-utf8", 0.0),
    ],
)
def test_encoding_refuses_what_is_not_utf8_text(raw, reason, measured):
    assert reason_of(steps.encoding, raw=pa.scalar(raw, pa.large_binary()), size_bytes=len(raw)) == (reason, measured)


def test_byte_order_mark_and_carriage_returns_are_repaired_and_counted():
    raw = pa.array([b"\xef\xbb\xbfa\r\nb\rc\n", b"plain\n"], pa.large_binary())
    judged = steps.encoding(pa.RecordBatch.from_pydict({"raw": raw, "size_bytes": pa.array([10, 6])}), RECIPE)
    assert judged.batch["content"].to_pylist() == ["a\nb\nc\n", "plain\n"]
    assert judged.batch["size_bytes"].to_pylist() == [6, 6]
    assert judged.changed == {"byte-order-mark": 1, "carriage-return": 1}


@pytest.mark.parametrize(
    ("content", "reason", "measured"),
    [
        ("abcd\n" * 5, None, None),
        ("a" * 20 + "\n" * 5, None, None),
        ("a" * 21 + "\nab\n" * 9, "long-line", 21.0),
        ("abcdefghi\nabcdefghi", "long-mean-line", 9.0),
        ("é" * 8 + "\n", None, None),  # characters, not bytes
        ("a---\n", "few-alphanumerics", 0.2),
        ("", "few-alphanumerics", 0.0),
    ],
)
def test_line_filters_of_the_codex_paper(content, reason, measured):
    assert reason_of(steps.lines, content=pa.scalar(content, pa.large_string())) == (reason, measured)


TEXTS = ["", "\n", "a", "a\n", "\n\nb", "äö\nü", "x" * 100 + "\ny\n", "\n", "日本語\n", "a\n\n"]


def test_line_statistics_agree_with_a_plain_count():
    found = line_statistics(pa.array(TEXTS))
    lines = [text.removesuffix("\n").split("\n") if text else [] for text in TEXTS]
    assert found.n_lines.tolist() == [len(rows) for rows in lines]
    assert found.longest.tolist() == [max(map(len, rows), default=0) for rows in lines]
    assert found.lengths.tolist() == [len(row) for rows in lines for row in rows]


def test_statistics_are_of_the_rows_of_a_slice():
    sliced = pa.array(["skipped\n", *TEXTS]).slice(1)
    assert line_statistics(sliced).n_lines.tolist() == line_statistics(pa.array(TEXTS)).n_lines.tolist()
    expected = [sum(map(str.isalnum, text)) / max(len(text), 1) for text in TEXTS]
    assert alphanumeric_share(sliced).tolist() == pytest.approx(expected)


def test_histogram_bins_are_powers_of_two():
    counts = log_histogram(line_statistics(pa.array(["\na\nbb\nccc\ndddd\n"])).lengths)
    assert counts[:4].tolist() == [1, 1, 2, 1]
    assert counts.sum() == 5


def test_every_reason_belongs_to_a_known_step():
    assert {reason.step for reason in REASONS.values()} <= set(STEPS)
