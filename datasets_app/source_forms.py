"""The form of a source: its fields are those of its kind (worker.sources), so it is drawn from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from datasets_app.models import SourceSettings
from worker import sources

OPTION, COLUMN = "option_", "column_"
LEFT_OUT = "-"  # a role that no column has, where one would be recognised
NAME_STAYS = "It stays: it is a part of the id of every row that was read from it."


class SourceForm(forms.Form):
    """`of_kind` decides the rest. `columns`: (name, type) of the table that a preview saw, to choose from."""

    kind = forms.ChoiceField(
        choices=[(kind.name, kind.title) for kind in sources.KINDS], required=False, widget=forms.HiddenInput
    )
    name = forms.SlugField(max_length=80, help_text="Letters, digits, dashes; unique in the project.")
    location = forms.CharField(max_length=500)
    license = forms.CharField(
        max_length=80,
        initial="unknown",
        help_text="An SPDX expression, or unknown. What the source says of a single file goes before it.",
    )
    origin = forms.CharField(
        max_length=300, required=False, help_text="Where it came from, for people: an address, a release, a contract."
    )
    exclude = forms.CharField(
        required=False,
        max_length=2_000,
        label="Leave out",
        help_text="Patterns of names or paths, separated by commas: <code>test, docs/*, *.min.js</code>",
    )
    is_held_out = forms.BooleanField(required=False, label="Held out", help_text="Measure on it, never train on it.")

    def __init__(
        self,
        *args: Any,
        kind: sources.Kind,
        columns: Sequence[Sequence[str]] = (),
        of: SourceSettings | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.of_kind = kind
        if of is not None:  # a row's name is a part of its rows' ids
            self.fields["name"] = forms.CharField(disabled=True, initial=of.name, help_text=NAME_STAYS)
        self.fields["kind"].initial = kind.name
        self.fields["location"].help_text = f"{kind.location} For example <code>{kind.example}</code>"
        for option in kind.options:
            self.fields[OPTION + option.name] = _option_field(option)
        for role in sources.ROLES if kind.has_columns else ():
            self.fields[COLUMN + role] = _column_field(role, columns)

    @classmethod
    def to_edit(cls, row: SourceSettings, kind: sources.Kind) -> SourceForm:
        """Filled with what a row has, as far as that means something to `kind`."""
        return cls(kind=kind, of=row, initial=cls._initial(row))

    @classmethod
    def of(
        cls, row: SourceSettings, columns: Sequence[Sequence[str]] = (), mapping: Mapping[str, str] | None = None
    ) -> SourceForm:
        """Filled with what a row has; roles that nobody mapped show what was recognised."""
        return cls(kind=sources.BY_NAME[row.kind], columns=columns, initial=cls._initial(row, mapping))

    @staticmethod
    def _initial(row: SourceSettings, mapping: Mapping[str, str] | None = None) -> dict[str, Any]:
        asked = row.options.get("columns", {})
        roles = {**(mapping or {}), **{role: name or LEFT_OUT for role, name in asked.items()}}
        initial = {name: getattr(row, name) for name in ("name", "location", "license", "origin", "is_held_out")}
        initial |= {"exclude": ", ".join(row.exclude)}
        initial |= {OPTION + name: value for name, value in row.options.items() if name != "columns"}
        return initial | {COLUMN + role: name for role, name in roles.items()}

    def clean_location(self) -> str:
        location: str = self.cleaned_data["location"]
        return location.rstrip("/") or "/"

    def clean_exclude(self) -> list[str]:
        return [pattern.strip() for pattern in self.cleaned_data["exclude"].split(",") if pattern.strip()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "location" in cleaned and (
            found := sources.problem(self.of_kind.name, cleaned["location"], self.options(cleaned))
        ):
            self.add_error("location", f"{found[:1].upper()}{found[1:]}.")
        return cleaned

    def options(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """What was given, as SourceSpec.options; a column named "-" is one that is left out."""
        given = {option.name: cleaned.get(OPTION + option.name) for option in self.of_kind.options}
        options = {name: value for name, value in given.items() if value not in {None, ""}}
        columns = {role: cleaned.get(COLUMN + role) for role in sources.ROLES}
        mapped = {role: "" if name == LEFT_OUT else name for role, name in columns.items() if name}
        return options | ({"columns": mapped} if mapped else {})

    def asked(self) -> dict[str, Any]:
        """What actions.add_source and actions.preview_source take."""
        names = ("name", "location", "license", "origin", "exclude", "is_held_out")
        return {name: self.cleaned_data[name] for name in names} | {
            "kind": self.of_kind.name,
            "options": self.options(self.cleaned_data),
        }

    @property
    def settings(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if not field.name.startswith(COLUMN)]

    @property
    def column_fields(self) -> list[forms.BoundField]:
        return [field for field in self.visible_fields() if field.name.startswith(COLUMN)]


def _option_field(option: sources.Option) -> forms.Field:
    common: dict[str, Any] = {
        "required": False,
        "label": option.title,
        "help_text": option.help,
        "initial": option.default,
    }
    if option.type == "integer":
        return forms.IntegerField(min_value=option.minimum, max_value=2**62, **common)
    return forms.CharField(max_length=300, **common)


def _column_field(role: str, columns: Sequence[Sequence[str]]) -> forms.Field:
    """Before a preview a name to type; after it one to choose, of those that the table has."""
    about: dict[str, Any] = {"required": False, "label": role.capitalize()}
    if not columns:
        return forms.CharField(
            max_length=200, help_text="Empty: recognised by name." if role == "content" else "", **about
        )
    names = [(name, f"{name} · {kind}") for name, kind in columns]
    return forms.ChoiceField(choices=[("", "none recognised"), (LEFT_OUT, "none"), *names], **about)
