"""What people fill in for runs."""

from __future__ import annotations

from typing import Any

from django import forms

from controlplane.ui.choices import RowField, RowsForm
from datasets_app.models import ShardSet
from training_app import recipes
from worker.sources import model_problem


class RunForm(RowsForm):
    """A named recipe and what to change in it; an empty field keeps the recipe's own value."""

    shard_set = RowField(ShardSet, label="Shards")
    model_name = forms.SlugField(max_length=80, label="Registers as", help_text="The result is its next version.")
    name = forms.SlugField(max_length=80, required=False, help_text="Empty gives a friendly one.")
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    recipe = forms.ChoiceField(choices=[(name, name) for name in recipes.names()], initial="first-model")
    max_seconds = forms.FloatField(required=False, min_value=1, label="Seconds of training")
    max_steps = forms.IntegerField(required=False, min_value=1, label="or steps")
    batch_size = forms.IntegerField(required=False, min_value=1)
    fim_rate = forms.FloatField(required=False, min_value=0, max_value=1, label="Fill-in-the-middle rate")
    seed = forms.IntegerField(required=False, min_value=0)
    mask_documents = forms.BooleanField(
        required=False,
        label="Keep attention within documents",
        help_text="A token sees nothing of what was packed before its own document. Needs shards that record boundaries.",
    )

    def clean_tags(self) -> list[str]:
        return split_tags(self.cleaned_data["tags"])

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("max_seconds") is not None and data.get("max_steps") is not None:
            raise forms.ValidationError("Give seconds or steps, not both.")
        return data

    def changes(self) -> dict[str, Any]:
        """The recipe fields that were filled in."""
        asked = ("max_seconds", "max_steps", "batch_size", "fim_rate", "seed")
        filled = {name: self.cleaned_data[name] for name in asked if self.cleaned_data.get(name) is not None}
        return filled | ({"mask_documents": True} if self.cleaned_data.get("mask_documents") else {})


class ImportModelForm(forms.Form):
    location = forms.CharField(
        max_length=500,
        label="Model",
        help_text=(
            "A folder in Hugging Face's format or a <code>.gguf</code> file that the workers can read, the address of one "
            "such as <code>s3://bucket/folder</code>, or <code>hf:org/name</code> from the Hugging Face hub."
        ),
    )
    revision = forms.CharField(
        max_length=120, required=False, help_text="Of the hub: a branch, tag or commit. Empty takes the newest."
    )
    model_name = forms.SlugField(max_length=80, label="Registers as", help_text="The result is its next version.")
    max_tokens = forms.IntegerField(
        min_value=1, max_value=4096, initial=256, label="New tokens at most", help_text="In each completion."
    )

    def clean_location(self) -> str:
        location: str = self.cleaned_data["location"].strip()
        if problem := model_problem(location):
            raise forms.ValidationError(f"{problem[0].upper()}{problem[1:]}.")
        return location


class RunEditForm(forms.Form):
    name = forms.SlugField(max_length=80)
    tags = forms.CharField(required=False, help_text="Separated by commas.")
    notes = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 4}))

    def clean_tags(self) -> list[str]:
        return split_tags(self.cleaned_data["tags"])


class RunViewForm(forms.Form):
    """`query` is the table's state, as the page itself wrote it down."""

    name = forms.CharField(max_length=80)
    query = forms.CharField(max_length=6_000, required=False, widget=forms.HiddenInput)
    is_shared = forms.BooleanField(required=False, label="Share it with the project")


def split_tags(text: str) -> list[str]:
    """Each tag once, in the order given."""
    return list(dict.fromkeys(tag.strip()[:40] for tag in text.split(",") if tag.strip()))
