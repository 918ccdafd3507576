"""What people give to have another harness's scores here: its files, and what was scored."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import F

from controlplane.access.models import Project
from controlplane.ui.choices import RowField, RowsForm
from eval_app.models import Suite
from eval_app.uploads import MOST_BYTES
from training_app.models import ModelVersion

MOST_FILES = 30


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Cleans to a list of uploaded files, at least one."""

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        files = data if isinstance(data, list | tuple) and data else [None]
        found = [super(FilesField, self).clean(file, initial) for file in files]
        if len(found) > MOST_FILES or sum(file.size for file in found) > MOST_BYTES:
            raise forms.ValidationError(f"At most {MOST_FILES} files of {MOST_BYTES / 1e6:.0f} MB together are taken.")
        return found


class ImportForm(RowsForm):
    results = FilesField(
        label="Files",
        widget=FilesInput(attrs={"accept": ".json,.jsonl"}),
        help_text="lm-eval: results_….json, with samples_….jsonl if there are any. bigcode: evaluation_results.json, "
        "with generations_….json if there are any. Choose them together.",
    )
    model_version = RowField(ModelVersion, required=False)
    baseline = forms.CharField(
        required=False, max_length=80, label="Or a baseline", help_text="One that is there, or a new name."
    )
    suite = RowField(
        Suite,
        required=False,
        help_text="On whose leaderboard the scores stand, apart from ours. Empty: a suite named like the task.",
    )

    def __init__(self, *args: Any, project: Project, **options: Any) -> None:
        super().__init__(*args, project=project, **options)
        every = Suite.objects.filter(project=project, archived_at=None).annotate(label=F("name"))
        field = self.fields["suite"]
        assert isinstance(field, RowField)
        field.rows = every.order_by("name")  # those too that nothing can be judged on

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if bool(data.get("model_version")) == bool(data.get("baseline")) and "model_version" not in self.errors:
            self.add_error("baseline", "Say what was scored: a model version or a baseline, one of the two.")
        return data

    def asked(self) -> dict[str, Any]:
        """As actions.import_results takes it."""
        contents = {file.name: file.read() for file in self.cleaned_data["results"]}
        return {name: self.cleaned_data[name] for name in ("model_version", "baseline", "suite")} | {"files": contents}
