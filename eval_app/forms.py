"""What people fill in for suites and evaluations."""

from __future__ import annotations

from typing import Any

from django import forms

from controlplane.ui.choices import RowField, RowsForm
from datasets_app.models import DatasetVersion
from eval_app.models import Suite
from eval_app.uploads import MOST_BYTES
from training_app.models import ModelVersion


class SuiteForm(forms.Form):
    name = forms.SlugField(max_length=80)
    location = forms.CharField(
        max_length=500, label="File", help_text="An absolute path to HumanEval-format .jsonl or .jsonl.gz."
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def clean_location(self) -> str:
        location: str = self.cleaned_data["location"]
        if not location.startswith("/") or not location.endswith((".jsonl", ".jsonl.gz")):
            raise forms.ValidationError("Give the absolute path of a .jsonl or .jsonl.gz file.")
        return location


class SuiteUploadForm(forms.Form):
    name = forms.SlugField(max_length=80)
    file = forms.FileField(
        widget=forms.FileInput(attrs={"accept": ".jsonl,.gz"}),
        help_text="JSON lines, one problem a line, plain or .gz; at most 20 MB.",
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def clean_file(self) -> Any:
        """Refused by its size before it is read."""
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(
                f"The file has {file.size / 1e6:.1f} MB; at most {MOST_BYTES / 1e6:.0f} MB are taken."
            )
        return file


class EvaluationForm(RowsForm):
    model_version = RowField(ModelVersion)
    suite = RowField(Suite)
    dataset_version = RowField(
        DatasetVersion,
        required=False,
        label="Held-out text of",
        help_text="For perplexity and bits per byte; empty leaves them out.",
    )
    samples = forms.IntegerField(min_value=1, max_value=200, initial=1, label="Samples per problem")
    max_problems = forms.IntegerField(required=False, min_value=1, label="At most, problems")
    timeout_seconds = forms.FloatField(min_value=0.5, max_value=120, initial=5, label="CPU seconds per program")

    def parameters(self) -> dict[str, Any]:
        asked = ("samples", "max_problems", "timeout_seconds")
        return {name: self.cleaned_data[name] for name in asked}
