"""The made-up content of the style guide: one of everything, with the awkward cases (long names, nothing, errors)."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from controlplane.ui import charts
from controlplane.ui.choices import Option, RowInput
from controlplane.ui.lineage import LineageStep, strip

STATES = [
    "queued",
    "running",
    "succeeded",
    "failed",
    "crashed",
    "cancelled",
    "starting",
    "ready",
    "draining",
    "stopped",
    "lost",
    "archived",
]


SHARDS = [
    Option("python-code v3 with python-code-4k · k7m2nq4xvp", "3 h ago"),
    Option("python-code v2 with python-code-4k · h4t8wz2rdc", "2 d ago"),
    Option("rust-code v1 with mixed-16k · b9x3vn6kfq", "5 d ago"),
]


def offered(text: str = "") -> list[Option]:
    """What a RowField's `options` would find."""
    return [option for option in SHARDS if text.lower() in option.label.lower()]


class GuideRows(RowInput):
    options = staticmethod(offered)


class GuideForm(forms.Form):
    shards = forms.CharField(widget=GuideRows, required=False, help_text="One of very many: type, then choose.")
    name = forms.CharField(max_length=20, help_text="Letters, digits and hyphens.")
    engine = forms.ChoiceField(choices=[("transformers", "transformers"), ("openvino", "openvino")])
    notes = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)
    archived = forms.BooleanField(label="Show archived runs too", required=False)


def steps() -> list[LineageStep]:
    known = {
        "sources": "stdlib + 41 packages",
        "dataset": "py-clean v4",
        "tokenizer": "bpe-4k",
        "shards": "3.2 M tokens",
    }
    made = {kind: LineageStep(kind, label, "#") for kind, label in known.items()}
    return strip(made | {"run": LineageStep("run", "brave-heron-12-with-a-name-much-longer-than-its-step", "#", True)})


def curves() -> list[charts.Series]:
    """Two loss curves with one spike in the first."""
    x = list(range(0, 600, 4))
    train = [2.9 + 5.6 * math.exp(-step / 120) + 0.12 * math.sin(step * 1.7) for step in x]
    train[90] = 5.4
    coarse = list(range(0, 600, 50))
    validation = [3.1 + 5.9 * math.exp(-step / 140) for step in coarse]
    return [charts.Series("loss/train", x, train), charts.Series("loss/val", coarse, validation)]


def figures() -> dict[str, charts.Figure]:
    sizes = [10 ** (2 + 3 * ((index * 0.618) % 1) ** 1.5) for index in range(900)]
    kept = [("read", 48_210), ("parsed", 47_004), ("licensed", 39_551), ("unique", 31_204), ("clean", 30_870)]
    spike = [charts.Mark(360, 5.4, "spike at step 360: 3 documents")]
    many = [charts.Series(f"run-{n}", list(range(9)), [10 / (n + step + 1) for step in range(9)]) for n in range(8)]
    return {
        "loss": charts.line_chart(curves(), x_title="step", y_title="nats per token", marks=spike),
        "logarithmic": charts.line_chart(many, x_title="step", y_title="loss, log scale", log_y=True),
        "scores": charts.bar_chart(
            {"starter": 41.5, "repository": 28.2, "long": 12.9}, x_title="suite", y_title="pass@1, %", horizontal=True
        ),
        "sizes": charts.histogram_chart(sizes, x_title="bytes"),
        "funnel": charts.funnel_chart(kept),
        "matrix": charts.heat_map(
            ["completer v1", "completer v2"],
            [f"problem {n}" for n in range(40)],
            [
                [float(n < 12 + n % 5) for n in range(40)],
                [min(1.0, 16 / (n + 1)) if n != 9 else None for n in range(40)],
            ],
            x_title="problems",
            y_title="share of samples that passed",
        ),
    }


def guide_context() -> dict[str, Any]:
    now = timezone.now()
    return {
        "lineage": steps(),
        "states": STATES,
        "times": [now, now - timedelta(minutes=3), now - timedelta(days=4), now + timedelta(hours=2)],
        "durations": [0.061, 8.2, 192, 3_720, 187_000],
        "sha": "9c41e0b7aa52c0de9c41e0b7aa52c0de",
        "form": GuideForm(),
        "refused": GuideForm({"name": "a name that is too long for this field", "engine": "none"}),
        "figures": figures(),
    }
