"""Planted copies are found with what was done to them, and what is no copy is not."""

from __future__ import annotations

import json

import pytest

from tests.worker.contamination.plants import COPIES, DECOYS, PYTHON, whole
from worker.contamination import stage
from worker.failures import StageFailure
from worker.specs import FindContamination


def told(rows, part: str) -> dict[str, str]:
    return {row["path"]: row["kind"] for row in rows if row["part"] == part}


def test_planted_copies_are_found_and_called_by_what_was_done_to_them(check):
    rows, outcome = check(COPIES | DECOYS)
    assert told(rows, "reference") == {
        "py/verbatim.py": "verbatim",
        "py/reformatted.py": "reformatted",
        "py/renamed.py": "renamed",
        "py/partial.py": "partial",
        "js/verbatim.js": "verbatim",
        "js/reformatted.js": "reformatted",
        "js/renamed.js": "renamed",
        "py/short.py": "reformatted",
    }
    assert told(rows, "prompt") == {
        "py/verbatim.py": "verbatim",
        "js/verbatim.js": "verbatim",
        "notes.md": "reformatted",
    }
    worst = outcome.summary["problems"]
    assert {task_id: (row["kind"], row["n_rows"]) for task_id, row in worst.items()} == {
        "plant/py": ("verbatim", 5),
        "plant/js": ("verbatim", 3),
        "plant/short": ("reformatted", 1),
    }


@pytest.mark.parametrize("path", DECOYS)
def test_what_only_looks_like_a_problem_is_no_match(check, path):
    rows, outcome = check({path: DECOYS[path]})
    assert rows == []
    assert outcome.summary["problems"] == {}


def test_a_match_says_where_and_how_alike(check):
    rows, _ = check({"a/renamed.py": COPIES["py/renamed.py"], "a/verbatim.py": COPIES["py/verbatim.py"]})
    by_path = {row["path"]: row for row in rows if row["part"] == "reference"}
    renamed, verbatim = by_path["a/renamed.py"], by_path["a/verbatim.py"]
    assert (verbatim["similarity"], verbatim["overlap"], verbatim["ast_similarity"]) == (1.0, 1.0, 1.0)
    assert renamed["ast_similarity"] >= 0.9
    assert (verbatim["line_from"], verbatim["line_to"]) == (7, 20)
    assert verbatim["excerpt"].startswith("def longest_rise(levels: List[int], gap: int)")
    assert verbatim["excerpt"].endswith("    return best")
    assert "best = max(best, current)" in verbatim["probe"]
    assert verbatim["n_shared"] == verbatim["n_grams"]


def test_held_out_rows_are_passed_over(check):
    rows, outcome = check(COPIES, split="held_out")
    assert rows == []
    assert outcome.counts["documents"] == 0


def test_what_is_too_short_is_named(check):
    _, outcome = check(DECOYS)
    assert list(outcome.summary["not_looked_for"]) == ["plant/tiny"]
    assert outcome.summary["not_renamed"] == ["plant/short"]


def test_one_language_alone(check):
    rows, outcome = check(COPIES, languages=("javascript",))
    assert {row["task_id"] for row in rows} == {"plant/js"}
    assert outcome.counts["problems"] == 1


def test_text_around_a_copy_in_one_long_line_and_in_many_rows_is_no_matter(check):
    noise = {f"noise/{n}.py": ("Python", f"def f_{n}(value):\n    return value + {n}\n" * 40) for n in range(60)}
    buried = "x = 1\n" * 3000 + whole(PYTHON) + "y = 2\n" * 3000
    rows, outcome = check(noise | {"buried.py": ("Python", buried)})
    assert told(rows, "reference") == {"buried.py": "verbatim"}
    assert outcome.counts["documents"] == 61


def test_the_summary_is_beside_the_matches(check):
    _, outcome = check(COPIES)
    said = json.loads((outcome.outputs["contamination"] / "summary.json").read_text())
    assert said["problems"] == outcome.summary["problems"]
    assert said["suite"]["version"] == outcome.summary["suite"]["version"]
    assert said["asked"]["n_gram"] == 13


def test_a_spec_that_finds_nothing_is_refused(suite, context):
    with pytest.raises(StageFailure, match="nothing can be found"):
        stage.run(FindContamination(suite, ()), context)
