"""A form field for one row of very many: type a part of its name and choose, or give its whole name or its id.

The page carries the newest rows only. While somebody types, the form's own address answers ?choose=FIELD with the rows
whose names contain the text (`asked`, first in the form's view). Search, newest rows and check all read one query set,
which the form narrowed to its project: what is not offered cannot be chosen. Without JavaScript it is a text field with
the browser's own list of the newest; choice.js draws the list itself.

A model takes part with `objects.for_choice(project)`: what may be chosen, newest first, each row annotated with
`label`, the name that people see and type, which is unique in the project.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from controlplane.ui import formats

SHOWN = 50  # rows of a list that one still reads; beyond it one types
LONGEST = 200  # characters of a name that is looked for
SUGGESTED = 3


@dataclass(frozen=True)
class Option:
    """A row as a list offers it."""

    label: str
    made: str  # how long ago


class RowInput(forms.TextInput):
    """A text input with a list of the newest rows, read when it is drawn: a form that is only checked reads none."""

    template_name = "ui/row_input.html"
    options: Callable[[], list[Option]]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["widget"] |= {"options": self.options(), "list": f"{context['widget']['attrs'].get('id', name)}_rows"}
        return context


class RowField(forms.Field):
    """Cleans to a row of `rows`, which `RowsForm` sets; None when not required and left empty."""

    widget = RowInput

    def __init__(self, model: type[Model], **options: Any) -> None:
        super().__init__(**options)
        self.model = model
        self.rows: QuerySet[Any] = model._default_manager.none()

    def options(self, text: str = "") -> list[Option]:
        """The newest rows whose names contain `text`, at most SHOWN."""
        found = self.rows.filter(label__icontains=_plain(text)) if text else self.rows
        now = timezone.now()
        rows = found.values_list("label", "created_at")[:SHOWN]
        return [Option(label, formats.relative(created_at, now)) for label, created_at in rows]

    def prepare_value(self, value: Any) -> Any:
        """An id, as links and actions give it, is shown as its row's name."""
        return (self._named(str(value)) or [value])[0] if value else value

    def _named(self, text: str) -> list[str]:
        return list(self.rows.filter(pk=_plain(text)).values_list("label", flat=True))

    def to_python(self, value: Any) -> Any:
        text = _plain(str(value or ""))
        if not text:
            return None
        found = {row.pk: row for row in self.rows.filter(Q(pk=text) | Q(label=text))[:2]}
        if not found:
            raise ValidationError(self._refusal(text), code="invalid_choice")
        return found.get(text) or found.popitem()[1]

    def _refusal(self, text: str) -> str:
        near = [f"“{option.label}”" for option in self.options(text)[:SUGGESTED]]
        noun = self.model._meta.verbose_name
        return f"No {noun} that can be chosen is called “{text}”. " + (
            f"Did you mean {' or '.join(near)}?" if near else "Type a part of its name and choose from the list."
        )


class RowsForm(forms.Form):
    """A form whose RowFields offer the rows of one project."""

    def __init__(self, *args: Any, project: Model, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            if isinstance(field, RowField):
                manager: Any = field.model._default_manager
                field.rows, field.widget.options = manager.for_choice(project), field.options


def asked(request: HttpRequest, form: forms.BaseForm) -> HttpResponse | None:
    """The list that ?choose=FIELD asks for while somebody types into that field; None for any other request."""
    name = request.GET.get("choose")
    if name is None or request.method == "POST":
        return None
    field = form.fields.get(name)
    if not isinstance(field, RowField):
        raise Http404(f"No choice is called {name}")
    return render(request, "ui/row_options.html", {"options": field.options(request.GET.get(name, "").strip())})


def _plain(text: str) -> str:
    """Without NUL characters, which Postgres refuses in any text."""
    return text.replace("\0", "").strip()[:LONGEST]
