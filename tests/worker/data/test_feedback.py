"""Accepted completions become documents."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from tests.worker.data.conftest import functions
from worker.context import Context
from worker.data import feedback, ingest
from worker.events import ListReporter
from worker.failures import StageFailure
from worker.manifest import hash_folder
from worker.specs import ArtifactRef, ExportFeedback, IngestDataset


def row(number: int, **changes) -> dict:
    return {
        "id": f"c{number}",
        "language": "python",
        "prompt": f"def area_{number}(width, height):\n    return",
        "completion": " width * height",
        "suffix": "\n",
        "accepted": True,
        "at": "2026-01-01T00:00:00Z",
        "deployment": "staff",
        "model_version": "tiny-v1",
        **changes,
    }


@pytest.fixture
def export(tmp_path, context):
    def run(rows: list, base: ArtifactRef | None = None):
        folder = tmp_path / "rows"
        folder.mkdir(exist_ok=True)
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
        return feedback.run(ExportFeedback(ArtifactRef(str(folder), "unused"), base), context)

    return run


def rows_of(outcome) -> list[dict]:
    return pq.read_table(outcome.outputs["dataset"] / "data").to_pylist()


def reasons(outcome) -> dict[str, int]:
    return {code: row["rows"] for code, row in outcome.summary["reasons"].items()}


def test_an_accepted_completion_is_what_stood_in_the_editor(export):
    (document,) = rows_of(export([row(1, author="ada")]))
    assert document["content"] == "def area_1(width, height):\n    return width * height\n"
    assert (document["repository"], document["author"]) == ("", "ada")
    assert (document["source"], document["path"], document["language"]) == ("feedback", "tiny-v1/c1.py", "Python")


def test_what_is_not_kept_has_a_reason(export):
    outcome = export(
        [
            row(1),
            row(2, accepted=False),
            row(3, language="Klingon"),
            row(4, prompt="x"),
            row(5, completion="a" * 2000),
            row(6, completion=None),
            row(1),
            "not json",
            '{"id": 1}',
        ]
    )
    assert len(rows_of(outcome)) == 1
    assert reasons(outcome) == {
        "not-accepted": 1,
        "unknown-language": 1,
        "too-small": 1,
        "long-line": 1,
        "bad-row": 3,
        "repeated-row": 1,
    }


def test_completions_are_redacted_as_files_are(export):
    (document,) = rows_of(export([row(1, completion=" 'ada@analytical.org'")]))
    assert "return '<EMAIL_1>'" in document["content"]


def test_with_a_base_its_documents_and_recipe_carry_over(export, make_source, recipe, tmp_path):
    (tmp_path / "base").mkdir()
    spec = IngestDataset((make_source("lib", functions(20) | {"known.py": row(9)["prompt"] + " 1\n"}),), recipe)
    folder = ingest.run(spec, Context(tmp_path / "base", ListReporter(), str(tmp_path / "storage"))).outputs["dataset"]
    base = ArtifactRef(str(folder), hash_folder(folder)[0])
    outcome = export([row(1), row(9, completion=" 1")], base)
    assert outcome.counts["documents"] == 22
    assert reasons(outcome) == {"duplicate": 1}
    assert {r["source"] for r in rows_of(outcome) if "area_9" in r["content"]} == {"lib"}
    assert outcome.summary["recipe"]["held_out_share"] == recipe.held_out_share


def test_exporting_again_onto_the_last_export_repeats_nothing(export, tmp_path, context):
    folder = export([row(1), row(2)]).outputs["dataset"].rename(tmp_path / "first")
    outcome = export([row(1), row(2), row(3)], ArtifactRef(str(folder), "unused"))
    assert outcome.counts["documents"] == 3
    assert reasons(outcome) == {"repeated-row": 2}


def test_a_base_made_before_rows_carried_their_author_carries_over(export, tmp_path):
    folder = export([row(1)]).outputs["dataset"].rename(tmp_path / "first")
    for part in (folder / "data").iterdir():
        pq.write_table(pq.read_table(part).drop_columns(["repository", "author"]), part)
    outcome = export([row(2, author="grace")], ArtifactRef(str(folder), "unused"))
    assert {r["path"]: r["author"] for r in rows_of(outcome)} == {"tiny-v1/c1.py": "", "tiny-v1/c2.py": "grace"}


@pytest.mark.parametrize("rows", [[], [row(1, accepted=False)]])
def test_nothing_accepted_is_refused(export, rows):
    with pytest.raises(StageFailure) as refused:
        export(rows)
    assert refused.value.code == "data:user:no-rows"
