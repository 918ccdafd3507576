"""The recipe editor's form, drawn from worker.cleaning's catalogue: a switch a step and a field a parameter.

Fields are named `step-on` and `step-parameter`. A parameter that is not sent, or is left empty, is the usual one, but
where it may be off: there an empty field means off. The form knows no step by name; what it cannot know of a recipe as
a whole, worker.cleaning.problems says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms import BoundField

from controlplane.access.models import Project
from controlplane.ui.choices import RowField, RowsForm
from datasets_app import recipes
from datasets_app.models import DatasetVersion, Source
from worker import cleaning
from worker.cleaning import Parameter, Step

PLACES = {
    cleaning.FILES: "Before reading: by name, size and licence",
    cleaning.CONTENT: "Each file by itself",
    cleaning.DATASET: "All files together",
}


class NamesField(forms.Field):
    """A list of texts, separated by commas or lines."""

    widget = forms.Textarea(attrs={"rows": 2})

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> list[str]:
        parts = str(value or "").replace("\n", ",").split(",")
        return [part.strip() for part in parts if part.strip()]


class SharesField(forms.Field):
    """`name = number`, one a line."""

    widget = forms.Textarea(attrs={"rows": 2, "placeholder": "JSON = 0.2"})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name} = {share}" for name, share in value.items()) if isinstance(value, Mapping) else value

    def to_python(self, value: Any) -> dict[str, float]:
        return dict(self._pair(line) for line in str(value or "").splitlines() if line.strip())

    def _pair(self, line: str) -> tuple[str, float]:
        name, _, share = line.rpartition("=")
        try:
            return name.strip(), float(share)
        except ValueError as error:
            raise forms.ValidationError(f"“{line.strip()}” is not a name, = and a number.") from error


def _number(parameter: Parameter) -> forms.Field:
    low, high = parameter.minimum, parameter.maximum
    if parameter.type == "number":
        return forms.FloatField(required=False, min_value=low, max_value=high)
    whole = [None if bound is None else int(bound) for bound in (low, high)]
    return forms.IntegerField(required=False, min_value=whole[0], max_value=whole[1])


def _names(parameter: Parameter) -> forms.Field:
    if parameter.choices:
        choices = [(name, name) for name in parameter.choices]
        return forms.MultipleChoiceField(required=False, choices=choices, widget=forms.CheckboxSelectMultiple)
    return NamesField(required=False)


FIELDS: Mapping[str, Callable[[Parameter], forms.Field]] = {
    "integer": _number,
    "number": _number,
    "boolean": lambda parameter: forms.BooleanField(required=False),
    "choice": lambda parameter: forms.ChoiceField(required=False, choices=[(c, c) for c in parameter.choices]),
    "names": _names,
    "shares": lambda parameter: SharesField(required=False),
}


@dataclass(frozen=True)
class StepFields:
    """A step as the page draws it. `on` is None where the step is part of every recipe."""

    step: Step
    on: BoundField | None
    parameters: list[BoundField]
    changed: str

    @property
    def has_errors(self) -> bool:
        return any(field.errors for field in self.parameters)


@dataclass(frozen=True)
class SourceRow:
    """A source with its box, its weight and, where a version read it, its training tokens."""

    source: Source
    is_chosen: bool
    weight: BoundField
    tokens: int | None


class StartForm(RowsForm):
    """Which version's recipe to start from."""

    start = RowField(DatasetVersion, required=False, label="Start from the recipe of")


class RecipeForm(forms.Form):
    """cleaned_data: name, sources and what `recipe` makes of the rest."""

    name = forms.SlugField(max_length=80, label="Dataset", help_text="A known name makes its next version.")
    sources = forms.ModelMultipleChoiceField(Source.objects.none(), widget=forms.CheckboxSelectMultiple)
    held_out_share = forms.FloatField(min_value=0, max_value=0.5, initial=0.01, label="Held-out share of files")
    max_total_bytes = forms.IntegerField(
        required=False, min_value=10_000, label="At most, bytes", help_text="A seeded sample of files; empty takes all."
    )
    seed = forms.IntegerField(min_value=0, initial=17)

    def __init__(self, *args: Any, project: Project, tokens: Mapping[str, int], **options: Any) -> None:
        super().__init__(*args, **options)
        self.tokens = tokens
        field = self.fields["sources"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = Source.objects.filter(project=project, archived_at=None).order_by("is_held_out", "name")
        self.known_sources = list(field.queryset)
        for source in self.known_sources:
            self.fields[f"weight-{source.pk}"] = forms.FloatField(required=False, min_value=0, label=source.name)
        for name in cleaning.CHOSEN:
            self._add(cleaning.STEPS[name])

    def _add(self, step: Step) -> None:
        if not step.required:
            self.fields[f"{step.name}-on"] = forms.BooleanField(required=False, initial=True, label=step.title)
        for parameter in step.parameters:
            field = FIELDS[parameter.type](parameter)
            field.label = parameter.name.replace("_", " ") + (f", {parameter.unit}" if parameter.unit else "")
            usual = recipes.shown(parameter.default)
            field.help_text = f"{parameter.help} Usual: {usual}." + (" Empty: off." if parameter.optional else "")
            field.initial = parameter.default
            self.fields[f"{step.name}-{parameter.name}"] = field

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for problem in cleaning.problems([(s["name"], s["parameters"]) for s in self.recipe()["steps"]]):
            self.add_error(None, problem)
        return cleaned

    # ---- what it makes -----------------------------------------------------------------------------------------------

    def recipe(self) -> dict[str, Any]:
        """worker.specs.IngestRecipe as JSON, each step with the parameters that are not the usual ones."""
        data = self.cleaned_data
        steps = [
            {"name": name, "parameters": self._changed(cleaning.STEPS[name])}
            for name in cleaning.CHOSEN
            if cleaning.STEPS[name].required or data.get(f"{name}-on")
        ]
        others = {name: data.get(name) for name in ("held_out_share", "max_total_bytes", "seed")}
        return {"steps": steps, **others, "mixture": self._weights()}

    def _changed(self, step: Step) -> dict[str, Any]:
        values = {p.name: self._value(step, p) for p in step.parameters}
        return {p.name: values[p.name] for p in step.parameters if not _equal(values[p.name], p.default)}

    def _value(self, step: Step, parameter: Parameter) -> Any:
        """As sent; the usual one where nothing was, or where a field that holds an error has no value."""
        name = f"{step.name}-{parameter.name}"
        is_box = isinstance(self.fields[name], forms.BooleanField | forms.MultipleChoiceField)
        if name not in self.cleaned_data or (name not in self.data and not is_box):
            return parameter.default
        value = self.cleaned_data[name]
        return parameter.default if value in (None, "") and not parameter.optional else value

    def _weights(self) -> dict[str, float]:
        chosen = {source.pk for source in self.cleaned_data.get("sources", ())}
        found = {s.name: self.cleaned_data.get(f"weight-{s.pk}") for s in self.known_sources if s.pk in chosen}
        return {name: weight for name, weight in found.items() if weight is not None}

    def mixture(self) -> list[dict[str, Any]]:
        """Each chosen training source's share and epochs, where some version counted its tokens; see `unknown`."""
        counted = {s.name: self.tokens[s.name] for s in self._trained_on() if s.name in self.tokens}
        return [{"source": name, **row} for name, row in recipes.mixture(self._weights(), counted).items()]

    def unknown(self) -> list[str]:
        """Chosen training sources whose tokens no version has counted yet."""
        return [source.name for source in self._trained_on() if source.name not in self.tokens]

    def _trained_on(self) -> list[Source]:
        return [source for source in self.cleaned_data.get("sources", ()) if not source.is_held_out]

    # ---- how it is drawn ---------------------------------------------------------------------------------------------

    def places(self) -> Iterator[tuple[str, list[StepFields]]]:
        for place, title in PLACES.items():
            steps = [cleaning.STEPS[name] for name in cleaning.CHOSEN if cleaning.STEPS[name].place == place]
            yield title, [self._drawn(step) for step in steps]

    def _drawn(self, step: Step) -> StepFields:
        fields = [self[f"{step.name}-{parameter.name}"] for parameter in step.parameters]
        unusual = [p for p, f in zip(step.parameters, fields, strict=True) if not _equal(f.initial, p.default)]
        changed = ", ".join(f"{p.name} {recipes.shown(self[f'{step.name}-{p.name}'].initial)}" for p in unusual)
        return StepFields(step, None if step.required else self[f"{step.name}-on"], fields, changed)

    def source_rows(self) -> list[SourceRow]:
        chosen = {str(getattr(value, "pk", value)) for value in self["sources"].value() or ()}
        return [
            SourceRow(s, s.pk in chosen, self[f"weight-{s.pk}"], self.tokens.get(s.name)) for s in self.known_sources
        ]

    def problems(self) -> list[tuple[str, str]]:
        """(field's id, sentence) of every error, a parameter's with its step."""
        return [
            (self[name].id_for_label if name in self.fields else "", f"{self._place(name)}{error}")
            for name, errors in self.errors.items()
            for error in errors
        ]

    def _place(self, name: str) -> str:
        step, dash, parameter = name.partition("-")
        if dash and step in cleaning.STEPS:
            return f"{cleaning.STEPS[step].title}, {parameter.replace('_', ' ')}: "
        return "" if name == "__all__" else f"{self.fields[name].label or name}: "


def initial_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as the form's initial values."""
    steps = {step["name"]: step.get("parameters", {}) for step in recipe.get("steps", [])}
    initial: dict[str, Any] = {
        name: recipe[name] for name in ("held_out_share", "max_total_bytes", "seed") if name in recipe
    }
    for name in cleaning.CHOSEN:
        initial[f"{name}-on"] = name in steps
        for parameter, value in cleaning.completed(name, steps.get(name, {})).items():
            initial[f"{name}-{parameter}"] = value
    return initial


def _equal(one: Any, other: Any) -> bool:
    as_list = [list(value) if isinstance(value, list | tuple) else value for value in (one, other)]
    return bool(as_list[0] == as_list[1])
