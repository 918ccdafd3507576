"""What an evaluation's page draws and lists, from the score that the stage wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from eval_app import conditions, cost, languages
from eval_app.models import Evaluation


def of_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    """Context of a finished evaluation: pass@k with intervals, by language, held-out figures, conditions and cost."""
    summary = evaluation.summary
    isolation = summary["isolation"]
    return {
        "scores": [{"k": k, **score} for k, score in summary["pass_at_k"].items()],
        "languages": languages.table([evaluation]),
        "radar": languages.radar([evaluation]),
        "excluded": summary.get("excluded") or [],
        "excluded_by": _reasons(summary),
        "infilling": {_words(name): share for name, share in (summary.get("infilling") or {}).items()},
        "runtimes": conditions.runtimes(summary),
        "limits": {_words(name): value for name, value in isolation.get("limits", {}).items()},
        "held_out": _held_out(summary),
        "costs": cost.of_evaluation(evaluation),
        "tokens": cost.tokens(evaluation),
    }


def _reasons(summary: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Why problems were left out, the most frequent reason first; scores older than the reasons have only words."""
    found = Counter(row["reason"] for row in summary.get("excluded") or () if row.get("reason"))
    return found.most_common()


def _held_out(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    splits = summary.get("held_out") or {}
    return [
        {"split": split, "language": language, **figures}
        for split, languages in splits.items()
        for language, figures in languages.items()
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")
