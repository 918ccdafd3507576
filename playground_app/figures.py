"""How a deployment feels, in figures, and what a promotion would change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Aggregate, Count, FloatField, Q
from django.utils import timezone

from playground_app.gate import standing
from playground_app.models import Deployment
from training_app.models import Alias, ModelVersion

DAYS = 7


class Percentile(Aggregate):
    """PostgreSQL's percentile_cont: interpolated, of values that are not null."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def __init__(self, expression: str, share: float, **extra: Any) -> None:
        super().__init__(expression, share=share, **extra)


@dataclass(frozen=True)
class Feel:
    """The last DAYS of a deployment. accepted is of seen, never of requested: most requests are typed away unseen."""

    requests: int
    seen: int
    accepted: int
    first_token_ms_p50: float | None
    first_token_ms_p95: float | None

    @property
    def acceptance(self) -> float | None:
        return self.accepted / self.seen if self.seen else None


def feel(deployment: Deployment) -> Feel:
    recent = deployment.completions.filter(at__gte=timezone.now() - timedelta(days=DAYS))
    counted = recent.aggregate(
        requests=Count("id", distinct=True),
        seen=Count("feedback", filter=Q(feedback__kind="view")),
        accepted=Count("feedback", filter=Q(feedback__kind="accept")),
    )
    timed = recent.aggregate(
        first_token_ms_p50=Percentile("first_token_ms", 0.5), first_token_ms_p95=Percentile("first_token_ms", 0.95)
    )
    return Feel(**counted, **timed)


def changes(version: ModelVersion) -> list[dict[str, Any]]:
    """What each alias names now against this version: weights, tokenizer, decode settings, size."""
    rows = []
    for alias in Alias.values:
        current = standing(version.model, alias)
        rows.append({"alias": alias, "current": current, "differs": _differences(current, version) if current else []})
    return rows


def _differences(old: ModelVersion, new: ModelVersion) -> list[tuple[str, str, str]]:
    facts = {
        "weights": (old.sha256[:8], new.sha256[:8]),
        "tokenizer": (str(old.tokenizer), str(new.tokenizer)),
        "parameters": (f"{old.n_parameters:,}", f"{new.n_parameters:,}"),
    }
    for name in {**old.decode_settings, **new.decode_settings}:
        facts[name] = (str(old.decode_settings.get(name)), str(new.decode_settings.get(name)))
    return [(name, was, becomes) for name, (was, becomes) in facts.items() if was != becomes]
