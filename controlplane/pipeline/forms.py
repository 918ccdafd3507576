from __future__ import annotations

from typing import Any

from django import forms

from datasets_app.opt_outs import Rules


class FirstModelForm(forms.Form):
    minutes = forms.FloatField(
        min_value=2,
        max_value=600,
        initial=15,
        label="Minutes",
        help_text="Of wall time on two idle cores, from raw code to a model on staff.",
    )


class OptOutForm(forms.Form):
    """Who asks to be left out: one pattern a line in each field; at least one in all."""

    repositories = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "owner/*"}),
        help_text="Repositories or sources, by name or address. In patterns * stands for any characters.",
    )
    paths = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "source:drafts/*"}),
        help_text="Patterns of paths, in every source or, as source:pattern, in one.",
    )
    authors = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "ada@example.org"}),
        help_text="Names or addresses as their sources state them, whatever the case; no patterns.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.rules(cleaned):
            raise forms.ValidationError("Name a repository, a path pattern or an author.")
        everything = [p for patterns in self.rules(cleaned).to_dict().values() for p in patterns if not p.strip("*/:")]
        if everything:
            raise forms.ValidationError(f"{everything[0]} would leave out everything.")
        return cleaned

    def rules(self, cleaned: dict[str, Any] | None = None) -> Rules:
        texts = self.cleaned_data if cleaned is None else cleaned
        return Rules(**{n: tuple(_lines(texts.get(n, ""))) for n in ("repositories", "paths", "authors")})


class OptOutActForm(OptOutForm):
    reason = forms.CharField(
        max_length=500, help_text="Who asked and when; it stands beside every model that is marked."
    )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace("\0", "").splitlines() if line.strip()]
