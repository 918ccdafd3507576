"""What people and the editor send to the release and playground pages."""

from __future__ import annotations

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
