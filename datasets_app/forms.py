"""What people fill in: each form's cleaned data is what an action takes."""

from __future__ import annotations

from typing import Any

from django import forms

from controlplane.access.models import Project
from datasets_app.models import DatasetVersion, Source, Tokenizer


class SourceForm(forms.Form):
    name = forms.SlugField(max_length=80)
    location = forms.CharField(max_length=500, label="Folder", help_text="An absolute path that the workers can read.")
    license = forms.CharField(max_length=80, initial="unknown", help_text="An SPDX expression, or unknown.")
    is_held_out = forms.BooleanField(
        required=False, label="Held out", help_text="Measure on it, never train on it.", initial=False
    )

    def clean_location(self) -> str:
        location: str = self.cleaned_data["location"]
        if not location.startswith("/"):
            raise forms.ValidationError("Give an absolute path: workers do not share your working folder.")
        return location.rstrip("/") or "/"


class IngestForm(forms.Form):
    name = forms.SlugField(max_length=80, label="Dataset", help_text="A known name makes its next version.")
    sources = forms.ModelMultipleChoiceField(Source.objects.none(), widget=forms.CheckboxSelectMultiple)
    languages = forms.CharField(required=False, help_text="Names separated by commas; empty keeps every language.")
    max_line_characters = forms.IntegerField(min_value=80, initial=1000, label="Longest line, characters")
    max_mean_line_characters = forms.FloatField(min_value=10, initial=100, label="Longest mean line, characters")
    min_alphanumeric_share = forms.FloatField(min_value=0, max_value=1, initial=0.25, label="Least alphanumeric share")
    held_out_share = forms.FloatField(min_value=0, max_value=0.5, initial=0.01, label="Held-out share of files")
    max_total_bytes = forms.IntegerField(
        required=False, min_value=10_000, label="At most, bytes", help_text="A seeded sample of files; empty takes all."
    )
    redact = forms.BooleanField(required=False, initial=True, label="Redact addresses and keys")
    seed = forms.IntegerField(min_value=0, initial=17)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["sources"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = Source.objects.filter(project=project, archived_at=None).order_by("name")

    def clean_languages(self) -> list[str]:
        return [name.strip() for name in self.cleaned_data["languages"].split(",") if name.strip()]

    def recipe(self) -> dict[str, Any]:
        """The fields of worker.specs.IngestRecipe that the form asks for."""
        return {name: value for name, value in self.cleaned_data.items() if name not in {"name", "sources"}}


class TokenizerForm(forms.Form):
    name = forms.SlugField(max_length=80)
    dataset_version = forms.ModelChoiceField(DatasetVersion.objects.none())
    vocabulary_size = forms.IntegerField(min_value=300, max_value=200_000, initial=4096)
    sample_bytes = forms.IntegerField(min_value=10_000, initial=40_000_000, help_text="Of the train split, at random.")
    reserved_tokens = forms.IntegerField(min_value=0, max_value=256, initial=16, help_text="Kept for later sentinels.")
    seed = forms.IntegerField(min_value=0, initial=17)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["dataset_version"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = DatasetVersion.objects.for_choice(project)

    def parameters(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name not in {"name", "dataset_version"}}


class ShardsForm(forms.Form):
    dataset_version = forms.ModelChoiceField(DatasetVersion.objects.none())
    tokenizer = forms.ModelChoiceField(Tokenizer.objects.none())
    sequence_length = forms.IntegerField(min_value=16, max_value=65_536, initial=256, label="Sequence length, tokens")
    units = forms.ChoiceField(
        choices=[("functions", "functions and small classes (Python), else files"), ("documents", "whole files")]
    )
    max_tokens = forms.IntegerField(required=False, min_value=1000, label="At most, tokens")
    seed = forms.IntegerField(min_value=0, initial=17)

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in (
            ("dataset_version", DatasetVersion.objects.for_choice(project)),
            ("tokenizer", Tokenizer.objects.for_choice(project)),
        ):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = rows

    def parameters(self) -> dict[str, Any]:
        inputs = {"dataset_version", "tokenizer"}
        return {name: value for name, value in self.cleaned_data.items() if name not in inputs}


class RowSearchForm(forms.Form):
    """Which documents of a dataset version to show; all fields may be empty."""

    path = forms.CharField(required=False)
    content = forms.CharField(required=False)
    language = forms.CharField(required=False)
    split = forms.ChoiceField(
        required=False,
        choices=[
            ("", "any split"),
            ("train", "train"),
            ("held_out", "held out"),
            ("held_out_source", "held-out source"),
        ],
    )
