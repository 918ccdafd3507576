"""What an evaluation's page draws and lists, from the score that the stage wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def of_evaluation(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Context of a finished evaluation: its pass@k with intervals, and the held-out figures by split and language."""
    return {
        "scores": [{"k": k, **score} for k, score in summary["pass_at_k"].items()],
        "held_out": [
            {"split": split, "language": language, **figures}
            for split, languages in (summary.get("held_out") or {}).items()
            for language, figures in languages.items()
        ],
    }
