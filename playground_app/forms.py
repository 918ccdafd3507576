"""What people and the editor send to the release and playground pages."""

from __future__ import annotations

from typing import Any

from django import forms

from controlplane.ui.choices import RowField, RowsForm
from datasets_app.models import DatasetVersion
from playground_app.models import Feedback
from training_app.models import Alias


class PromoteForm(forms.Form):
    alias = forms.ChoiceField(choices=Alias.choices, label="To")
    reason = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), help_text="Kept with the promotion.")
    override = forms.BooleanField(required=False, label="Go through a closed gate", help_text="It is recorded as that.")


class ReasonForm(forms.Form):
    reason = forms.CharField()


class FeedbackForm(forms.Form):
    completion_id = forms.CharField(max_length=40)
    kind = forms.ChoiceField(choices=Feedback.Kind.choices)
    elapsed_ms = forms.IntegerField(required=False, min_value=0)


class ExportForm(RowsForm):
    name = forms.SlugField(
        max_length=80, initial="feedback", label="Dataset", help_text="A known name makes its next version."
    )
    base = RowField(
        DatasetVersion,
        required=False,
        help_text="Its documents come along; empty takes the feedback alone.",
    )


class CodeField(forms.CharField):
    """Code as it is: its spaces stay, and its lines end as a model sees them (browsers send CR LF)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, widget=forms.Textarea(attrs={"rows": 6, "class": "mono"}), **options)

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class ProblemForm(forms.Form):
    """A completion that was wrong, as a problem that models are scored on from now on."""

    suite = forms.SlugField(max_length=80, initial="from-the-playground", help_text="A new name begins a suite.")
    language = forms.SlugField(max_length=30, help_text="What the tests are written in: python, javascript, go …")
    prompt = CodeField(help_text="What the model sees.")
    suffix = CodeField(required=False, help_text="What follows the gap, if it is one.")
    reference = CodeField(help_text="The completion that would have been right.")
    tests = CodeField(help_text="Code after it that fails unless it is right.")
