"""What people fill in for suites and evaluations."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from django import forms

from controlplane.ui.choices import RowField, RowsForm
from datasets_app.models import DatasetVersion
from eval_app.models import Baseline, Suite
from eval_app.uploads import MOST_BYTES
from training_app.models import ModelVersion


class SuiteForm(forms.Form):
    name = forms.SlugField(max_length=80)
    location = forms.CharField(
        max_length=500,
        label="File or folder",
        help_text="Its absolute path: JSON lines or an array, plain or .gz, or a folder of such files.",
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def clean_location(self) -> str:
        location: str = self.cleaned_data["location"]
        suffix = PurePosixPath(location.removesuffix(".gz")).suffix
        if not location.startswith("/") or suffix not in ("", ".json", ".jsonl"):
            raise forms.ValidationError(
                "Give the absolute path of a .jsonl or .json file, plain or .gz, or of a folder."
            )
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


class CodeField(forms.CharField):
    """Code as it is: its spaces stay, and its lines end as a model sees them (browsers send CR LF)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, widget=forms.Textarea(attrs={"rows": 6, "class": "mono"}), **options)

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class ProblemForm(forms.Form):
    """A completion that was wrong, as a problem that models are scored on from now on."""

    suite = forms.SlugField(max_length=80, initial="our-own", help_text="A new name begins a suite.")
    language = forms.SlugField(max_length=30, help_text="What the tests are written in: python, javascript, go …")
    prompt = CodeField(help_text="What the model sees.")
    suffix = CodeField(required=False, help_text="What follows the gap, if it is one.")
    reference = CodeField(help_text="The completion that would have been right.")
    tests = CodeField(help_text="Code after it that fails unless it is right.")
    buggy = CodeField(
        required=False,
        label="Wrong completion",
        help_text="The problem counts only while its tests refuse this one; empty asks nothing of it.",
    )


class AdmitForm(forms.Form):
    """An evaluation that asks for the same finds what was admitted; with other limits the suite is admitted again."""

    timeout_seconds = forms.FloatField(min_value=0.5, max_value=120, initial=5, label="CPU seconds per program")
    unproved = forms.BooleanField(
        required=False, label="Take problems without a reference", help_text="Nobody has shown that they can be solved."
    )


class JudgeAgainForm(RowsForm):
    """What may change when programs that are there already are judged once more."""

    suite = RowField(Suite, help_text="Another one where its tests were mended; programs belong to problems by name.")
    timeout_seconds = forms.FloatField(min_value=0.5, max_value=120, label="CPU seconds per program")


DECODE = ("temperature", "top_p", "max_tokens", "seed")  # of worker.specs.DecodeSettings, what an evaluation may change


class EvaluationForm(RowsForm):
    """What to score, on what, and how often. Decode settings that are left empty are the model version's own."""

    model_version = RowField(ModelVersion, required=False)
    baseline = RowField(
        Baseline, required=False, label="Or a baseline", help_text="A model behind an endpoint, in place of a version."
    )
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
    unproved = forms.BooleanField(
        required=False, label="Take problems without a reference", help_text="Nobody has shown that they can be solved."
    )
    temperature = forms.FloatField(required=False, min_value=0, max_value=2)
    top_p = forms.FloatField(required=False, min_value=0.01, max_value=1, label="Top-p")
    max_tokens = forms.IntegerField(required=False, min_value=1, max_value=4096, label="New tokens, at most")
    seed = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1)

    def clean(self) -> dict[str, Any]:
        """Exactly one of the two is to be scored."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        chosen = [name for name in ("model_version", "baseline") if data.get(name)]
        if len(chosen) == 2:
            self.add_error("baseline", "Choose a model version or a baseline, not both.")
        elif not chosen and not {"model_version", "baseline"} & set(self.errors):
            self.add_error("model_version", "Choose a model version or a baseline.")
        return data

    @property
    def asked(self) -> list[forms.BoundField]:
        return [field for field in self if field.name not in DECODE]

    @property
    def decode(self) -> list[forms.BoundField]:
        return [self[name] for name in DECODE]

    @property
    def subject(self) -> ModelVersion | Baseline:
        found: ModelVersion | Baseline = self.cleaned_data["model_version"] or self.cleaned_data["baseline"]
        return found

    def parameters(self) -> dict[str, Any]:
        asked = {name: self.cleaned_data[name] for name in ("samples", "max_problems", "timeout_seconds", "unproved")}
        decode = {name: self.cleaned_data[name] for name in DECODE}
        told = {name: value for name, value in decode.items() if value is not None}
        return asked | ({"decode": told} if told else {})


class ContaminationForm(RowsForm):
    suite = RowField(Suite)
    dataset_version = RowField(
        DatasetVersion,
        label="In the training rows of",
        help_text="Held-out rows are passed over: nothing is trained on them.",
    )
