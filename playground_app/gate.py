"""The gate before an alias moves: each rule says whether it holds and why, in a sentence.

Scores are compared only between evaluations of the same suite, suite version, isolation level and decode settings; where
production has none such, there is nothing to be worse than.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from eval_app.models import Evaluation
from training_app.models import Alias, Model, ModelVersion, Promotion

PASS_MARGIN = 0.02  # pass@1 may be this much lower than production's
BITS_MARGIN = 0.02  # and held-out bits per byte this much higher


@dataclass(frozen=True)
class Rule:
    """One rule as it stands for one version. `name` is stable: audit rows keep it."""

    name: str
    passed: bool
    detail: str


def check(version: ModelVersion) -> list[Rule]:
    """All rules for promoting `version` beyond candidate."""
    latest = latest_evaluation(version)
    production = standing(version.model, Alias.PRODUCTION)
    return [_evaluated(latest), _same_tokenizer(version), *_not_worse(latest, production, version)]


def as_json(rules: list[Rule]) -> list[dict[str, Any]]:
    return [asdict(rule) for rule in rules]


def standing(model: Model, alias: str) -> ModelVersion | None:
    """The version that an alias of a model names now."""
    newest = (
        Promotion.objects.filter(model=model, alias=alias, applied_at__isnull=False)
        .select_related("to_version__model")
        .order_by("-applied_at", "-id")
        .first()
    )
    return newest.to_version if newest else None


def latest_evaluation(version: ModelVersion) -> Evaluation | None:
    return Evaluation.objects.newest_finished().filter(model_version=version).first()


def _evaluated(latest: Evaluation | None) -> Rule:
    if latest is None:
        return Rule("evaluated", False, "No finished evaluation: evaluate this version first.")
    return Rule("evaluated", True, f"{latest.suite}: pass@1 {latest.pass_at_1:.1%}")


def _same_tokenizer(version: ModelVersion) -> Rule:
    ours = version.tokenizer.sha256 or ""
    if version.run is None:
        return Rule("tokenizer", True, f"Imported with its own tokenizer, {ours[:6]}.")
    theirs = version.run.shard_set.tokenizer.sha256 or ""
    if ours == theirs:
        return Rule("tokenizer", True, f"Registered and trained with the same tokenizer, {ours[:6]}.")
    return Rule("tokenizer", False, f"Registered with tokenizer {ours[:12]}, trained with {theirs[:12]}.")


def _not_worse(latest: Evaluation | None, production: ModelVersion | None, version: ModelVersion) -> list[Rule]:
    if latest is None or production is None or production == version:
        return [Rule("not worse", True, "Nothing is on production to be worse than.")]
    theirs = next((row for row in _finished(production) if latest.is_comparable_with(row)), None)
    if theirs is None:
        return [
            Rule(
                "not worse",
                False,
                f"{production} has no evaluation that compares with this one; run {latest.suite} on it.",
            )
        ]
    rules = []
    drop = theirs.pass_at_1 - latest.pass_at_1
    detail = (
        f"pass@1 {latest.pass_at_1:.1%} against {theirs.pass_at_1:.1%}; at most {PASS_MARGIN:.0%} lower is let through."
    )
    rules.append(Rule("pass@1 not worse", drop <= PASS_MARGIN, detail))
    ours_bits, their_bits = latest.held_out_bits_per_byte, theirs.held_out_bits_per_byte
    if ours_bits is not None and their_bits is not None:
        detail = f"{ours_bits:.3f} bits per byte against {their_bits:.3f}; at most {BITS_MARGIN} higher is let through."
        rules.append(Rule("bits per byte not worse", ours_bits - their_bits <= BITS_MARGIN, detail))
    return rules


def _finished(version: ModelVersion) -> list[Evaluation]:
    done = Evaluation.objects.finished().made_here().filter(model_version=version)
    return list(done.select_related("suite").order_by("-created_at"))
