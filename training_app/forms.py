"""What people fill in for runs."""

from __future__ import annotations

from typing import Any

from django import forms

from controlplane.ui.choices import RowField, RowsForm
from datasets_app.models import ShardSet
from training_app import recipes


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
        return {name: self.cleaned_data[name] for name in asked if self.cleaned_data.get(name) is not None}


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
