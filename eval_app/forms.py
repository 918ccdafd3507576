"""What people fill in for suites and evaluations."""

from __future__ import annotations

from typing import Any

from django import forms

from controlplane.access.models import Project
from datasets_app.models import DatasetVersion
from eval_app.models import Suite
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


class EvaluationForm(forms.Form):
    model_version = forms.ModelChoiceField(ModelVersion.objects.none())
    suite = forms.ModelChoiceField(Suite.objects.none())
    dataset_version = forms.ModelChoiceField(
        DatasetVersion.objects.none(),
        required=False,
        label="Held-out text of",
        help_text="For perplexity and bits per byte; empty leaves them out.",
    )
    samples = forms.IntegerField(min_value=1, max_value=200, initial=1, label="Samples per problem")
    max_problems = forms.IntegerField(required=False, min_value=1, label="At most, problems")
    timeout_seconds = forms.FloatField(min_value=0.5, max_value=120, initial=5, label="CPU seconds per program")

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in (
            ("model_version", ModelVersion.objects.for_choice(project)),
            ("suite", Suite.objects.filter(project=project, archived_at=None).order_by("name")),
            ("dataset_version", DatasetVersion.objects.for_choice(project)),
        ):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = rows

    def parameters(self) -> dict[str, Any]:
        asked = ("samples", "max_problems", "timeout_seconds")
        return {name: self.cleaned_data[name] for name in asked}
