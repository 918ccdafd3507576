"""Rows of Parquet and JSON lines: known corpora by name, others as mapped, and what is wrong said row by row."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from worker.data.sources import jsonl, open_source
from worker.failures import StageFailure
from worker.specs import SourceSpec

STACK = {
    "content": ["x = 1\n", "fn main() {}"],
    "lang": ["Python", "Rust"],
    "ext": ["py", "rs"],
    "hexsha": ["a", "b"],
    "max_stars_repo_path": ["src/a.py", "b.rs"],
    "max_stars_repo_name": ["ada/tool", "bob/lib"],
    "max_stars_repo_licenses": [["MIT"], ["MIT", "Apache-2.0"]],
}
STARCODER = {
    "content": ["x = 1\n", "y = 2\n"],
    "id": ["1", "2"],
    "max_stars_repo_path": ["a.py", "b.py"],
    "max_stars_repo_name": ["ada/tool", "ada/tool"],
}
STACK_V2 = {
    "content": ["x = 1\n"],
    "blob_id": ["a"],
    "path": ["/src/a.py"],
    "repo_name": ["ada/tool"],
    "language": ["Python"],
    "detected_licenses": [["MIT"]],
}
GITHUB = {"code": ["x"], "repo_name": ["ada/tool"], "path": ["a.py"], "language": ["Python"], "license": ["mit"]}


def write(path, columns, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def write_lines(path, rows):
    text = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def described(kind, location, **options):
    return open_source(SourceSpec("s", str(location), kind=kind, options=options)).describe()


@pytest.mark.parametrize(
    ("columns", "title", "path", "license"),
    [
        (STACK, "The Stack v1", "ada/tool/src/a.py", "MIT"),
        (STARCODER, "StarCoder data", "ada/tool/a.py", "unknown"),
        (STACK_V2, "The Stack v2 with contents", "ada/tool/src/a.py", "MIT"),
        (GITHUB, "GitHub Code", "ada/tool/a.py", "mit"),
    ],
)
def test_the_columns_of_published_corpora_are_known_by_name(contents, tmp_path, columns, title, path, license):
    file = write(tmp_path / "x.parquet", columns)
    row = contents("parquet", file).rows[path]
    assert (row["license"], row["repository"]) == (license, "ada/tool")
    assert described("parquet", file).mapped.schema == title


def test_licences_of_one_file_hold_together(contents, tmp_path):
    found = contents("parquet", write(tmp_path / "x.parquet", STACK))
    assert found.rows["bob/lib/b.rs"]["license"] == "Apache-2.0 AND MIT"
    assert found.rows["bob/lib/b.rs"]["language"] == "Rust"
    assert found.texts == {"ada/tool/src/a.py": "x = 1\n", "bob/lib/b.rs": "fn main() {}"}


def test_rows_are_found_again_over_many_files_and_row_groups(contents, tmp_path):
    for part in range(3):
        rows = {"content": [f"{part}-{i}" for i in range(1300)], "path": [f"{part}/{i}.py" for i in range(1300)]}
        write(tmp_path / f"data/{part}.parquet", rows, row_group_size=600)
    found = contents("parquet", tmp_path / "data/*.parquet")
    assert found.texts == {f"{part}/{i}.py": f"{part}-{i}" for part in range(3) for i in range(1300)}


def test_columns_are_mapped_by_hand_and_a_role_can_be_left_out(contents, tmp_path):
    file = write(tmp_path / "x.parquet", {"src": ["x"], "where": ["a.py"], "license": ["MIT"], "who": ["ada"]})
    found = contents("parquet", file, columns={"content": "src", "path": "where", "license": "", "author": "who"})
    assert found.texts == {"a.py": "x"}
    assert (found.rows["a.py"]["license"], found.rows["a.py"]["author"]) == ("unknown", "ada")


@pytest.mark.parametrize("columns", [{}, {"content": "src"}, {"content": "content", "author": "who"}])
def test_a_missing_column_is_refused_by_name_before_a_row_is_read(tmp_path, columns):
    write(tmp_path / "a.parquet", {"content": ["x"], "src": ["y"], "who": ["z"]})
    write(tmp_path / "b.parquet", {"other": [1]})
    reader = open_source(SourceSpec("s", str(tmp_path), kind="parquet", options={"columns": columns}))
    with pytest.raises(StageFailure, match=r"b\.parquet.*other") as refused:
        next(reader.list())
    assert refused.value.code == "data:user:missing-column"


def test_ids_of_texts_that_are_kept_elsewhere_are_refused_with_what_to_do(tmp_path):
    file = write(tmp_path / "x.parquet", {"blob_id": ["a"], "path": ["a.py"], "detected_licenses": [["MIT"]]})
    with pytest.raises(StageFailure, match="fetch the contents"):
        list(open_source(SourceSpec("s", str(file), kind="parquet")).list())


def test_a_column_that_holds_no_text_is_a_reason_for_each_row(contents, tmp_path):
    found = contents("parquet", write(tmp_path / "x.parquet", {"content": [1, 2], "path": ["a.py", "b.py"]}))
    assert found.problems == {"a.py": "no-content", "b.py": "no-content"}
    assert "int64" in found.rows["a.py"]["detail"]


def test_null_binary_and_dictionary_contents_are_read_as_they_are(contents, tmp_path):
    columns = {"content": pa.array(["x", None, "z"]).dictionary_encode(), "path": ["a.py", "b.py", "c.py"]}
    found = contents("parquet", write(tmp_path / "x.parquet", columns))
    assert (found.texts, found.problems) == ({"a.py": "x", "c.py": "z"}, {"b.py": "no-content"})
    raw = {"content": [b"caf\xc3\xa9"], "path": ["a.py"]}
    assert contents("parquet", write(tmp_path / "y.parquet", raw)).texts == {"a.py": "caf\u00e9"}


def test_a_damaged_file_is_a_reason_and_the_others_are_read(contents, tmp_path):
    write(tmp_path / "a.parquet", {"content": ["x"], "path": ["a.py"]})
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    found = contents("parquet", tmp_path)
    assert (found.texts, found.problems) == ({"a.py": "x"}, {"b.parquet": "corrupt-file"})


def test_folders_of_the_form_column_is_value_give_a_column(contents, tmp_path):
    write(tmp_path / "language=Rust" / "x.parquet", {"content": ["x"]})
    ((path, row),) = contents("parquet", tmp_path).rows.items()
    assert (row["language"], path) == ("Rust", "language=Rust/x/00000000.rs")


def test_rows_of_one_path_get_paths_of_their_own(contents, tmp_path):
    rows = {"content": ["one", "two", "one"], "path": ["a.py", "a.py", "a.py"]}
    found = contents("parquet", write(tmp_path / "x.parquet", rows))
    assert found.texts == {"a.py": "one", "a~2.py": "two", "a~3.py": "one"}


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_bad_lines_are_reasons_and_the_others_are_read(contents, tmp_path, name):
    rows = [
        {"code": "x = 1", "path": "a.py"},
        "{broken",
        "",
        {"code": 3, "path": "b.py"},
        "[1]",
        {"code": "y", "lang": "Go"},
    ]
    found = contents("jsonl", write_lines(tmp_path / name, rows))
    assert found.texts == {"a.py": "x = 1", "x/00000004.go": "y"}
    assert found.problems == {"x/00000001.txt": "corrupt-row", "b.py": "no-content", "x/00000003.txt": "corrupt-row"}


def test_zstandard_is_unpacked(contents, tmp_path):
    with pa.CompressedOutputStream(str(tmp_path / "x.jsonl.zst"), "zstd") as out:
        out.write(b'{"content": "x", "path": "a.py"}\n' * 2)
    assert contents("jsonl", tmp_path / "x.jsonl.zst").texts == {"a.py": "x", "a~2.py": "x"}


def test_a_packed_file_that_breaks_off_gives_what_came_before(contents, tmp_path):
    rows = [{"content": str(i) * 50, "path": f"{i}.py"} for i in range(3000)]
    whole = write_lines(tmp_path / "x.jsonl.gz", rows).read_bytes()
    (tmp_path / "x.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    found = contents("jsonl", tmp_path / "x.jsonl.gz")
    assert found.problems == {"x.jsonl.gz": "corrupt-file"}
    assert found.texts["0.py"] == "0" * 50 and len(found.texts) > 100


def test_a_line_too_long_to_hold_is_skipped(contents, tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "LONGEST_LINE_BYTES", 1000)
    rows = [{"content": "x", "path": "a.py"}, {"content": "y" * 5000}, {"content": "z", "path": "c.py"}]
    found = contents("jsonl", write_lines(tmp_path / "x.jsonl", rows))
    assert found.texts == {"a.py": "x", "c.py": "z"}
    assert list(found.problems.values()) == ["corrupt-row"]


def test_brackets_without_end_are_a_bad_line(contents, tmp_path):
    rows = [{"content": "x", "path": "a.py"}, "[" * 100_000]
    assert contents("jsonl", write_lines(tmp_path / "x.jsonl", rows)).texts == {"a.py": "x"}


def test_feedback_is_the_rows_of_an_export_that_people_accepted(contents, tmp_path):
    columns = {
        "content": ["mine", "theirs"],
        "path": ["model-1/c1.py", "lib/a.py"],
        "source": ["feedback", "python-stdlib"],
        "language": ["Python", "Python"],
    }
    write(tmp_path / "data" / "part-00000.parquet", columns)
    write(tmp_path / "dropped.parquet", {"other": [1]})
    assert contents("feedback", tmp_path).texts == {"model-1/c1.py": "mine"}


def test_a_snapshot_changes_with_the_files_and_only_with_them(tmp_path):
    file = write(tmp_path / "x.parquet", STACK)
    spec = SourceSpec("s", str(tmp_path), kind="parquet")
    before = open_source(spec).snapshot()
    assert open_source(spec).snapshot() == before
    write(tmp_path / "y.parquet", STACK)
    assert open_source(spec).snapshot() != before
    (tmp_path / "y.parquet").unlink()
    assert open_source(spec).snapshot() == before
    file.touch()
    assert open_source(spec).snapshot() != before


@pytest.mark.parametrize(
    ("kind", "location", "options", "words"),
    [
        ("zip-drive", "/srv", {}, "no kind of source"),
        ("parquet", "data/x.parquet", {}, "absolute path"),
        ("parquet", "http://inside.example/x.parquet", {}, "not read"),
        ("folder", "simplecache::s3://b/x", {}, "not read"),
        ("folder", "s3://key:secret@bucket/x", {}, "credentials"),
        ("git", "s3://bucket/x", {}, "read from disk"),
        ("folder", "/srv", {"columns": {}}, "no option columns"),
        ("parquet", "/srv", {"columns": {"contents": "x"}}, "not contents"),
        ("delta", "/srv", {"version": "3"}, "whole number"),
        ("unity", "code.files", {}, "catalog.schema.table"),
    ],
)
def test_what_a_source_cannot_mean_is_refused_before_anything_is_opened(kind, location, options, words):
    with pytest.raises(StageFailure, match=words) as refused:
        open_source(SourceSpec("s", location, kind=kind, options=options))
    assert refused.value.code == "data:user:bad-source"


@pytest.mark.parametrize(
    "kind", ["folder", "git", "archive", "jsonl", "parquet", "huggingface", "delta", "stackoverflow", "feedback"]
)
def test_a_place_that_is_not_there_is_refused(tmp_path, kind):
    spec = SourceSpec("s", str(tmp_path / "nowhere"), kind=kind)
    for ask in ("list", "snapshot"):
        with pytest.raises(StageFailure) as refused:
            list(getattr(open_source(spec, scratch=tmp_path / "scratch"), ask)())
        assert refused.value.code == "data:user:source-missing"


@pytest.mark.parametrize(
    ("cell", "author"),
    [
        (" Ada <ada@x.example> ", "Ada <ada@x.example>"),
        ({"name": "Ada", "email": "ada@x.example"}, "Ada <ada@x.example>"),
        (["Ada", {"email": "g@x.example"}, None], "Ada; g@x.example"),
        (None, ""),
    ],
)
def test_authors_are_read_from_texts_objects_and_lists(contents, tmp_path, cell, author):
    rows = [{"content": "x", "path": "a.py", "author": cell, "repo_url": "https://github.com/ada/tool.git"}]
    row = contents("jsonl", write_lines(tmp_path / "x.jsonl", rows)).rows["ada/tool/a.py"]
    assert (row["repository"], row["author"]) == ("ada/tool", author)
