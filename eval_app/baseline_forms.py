"""What people fill in for a baseline. Its key goes one way: the form takes one and never shows it."""

from __future__ import annotations

from typing import Any

from django import forms

from controlplane.access.refusals import Refused
from eval_app import baselines
from eval_app.models import Baseline

ASKED = ("name", "description", "base_url", "served_name", "style", "concurrency", "timeout_seconds")


class BaselineForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="What the leaderboard calls it: gpt-4o, codestral 2501 …")
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    base_url = forms.CharField(
        required=False,
        max_length=500,
        label="Address",
        widget=forms.TextInput(attrs={"inputmode": "url", "placeholder": "https://api.example.com/v1"}),
        help_text="Of an OpenAI-compatible server, up to /v1. Empty: a name for imported scores alone.",
    )
    served_name = forms.CharField(
        required=False, max_length=200, label="Model", help_text="What the server calls it in its own list of models."
    )
    style = forms.ChoiceField(
        choices=Baseline.Style.choices,
        label="Asked by",
        help_text="completions goes on from the prompt, as our models do; chat is for models that only take turns.",
    )
    key = forms.CharField(
        required=False,
        max_length=500,
        label="API key",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "spellcheck": "false"}),
        help_text="Kept encrypted and never shown again.",
    )
    forget_key = forms.BooleanField(required=False, label="Forget the kept key")
    concurrency = forms.IntegerField(min_value=1, max_value=64, initial=4, label="Requests at once")
    timeout_seconds = forms.FloatField(min_value=1, max_value=600, initial=60, label="Seconds for a request")

    def __init__(self, data: Any = None, of: Baseline | None = None) -> None:
        """`of`: the baseline to be changed, whose values are shown; None for a new one."""
        super().__init__(data, initial={name: getattr(of, name) for name in ASKED} if of else {})
        if of is None or not of.sealed_key:
            del self.fields["forget_key"]
        else:
            self.fields["key"].help_text = f"A key is kept ({of.key_in_short}); leave this empty to keep it."

    def clean_base_url(self) -> str:
        try:
            return baselines.address(self.cleaned_data["base_url"])
        except Refused as refused:
            raise forms.ValidationError(str(refused)) from refused

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("base_url") and not data.get("served_name"):
            self.add_error("served_name", "Say what the endpoint calls the model.")
        if data.get("key") and "base_url" in data and not data["base_url"]:
            self.add_error("key", "A key needs the address that it opens.")
        return data
