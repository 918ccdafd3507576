"""Keyset pages: the next page begins after the last row seen, so the 200th costs what the first does.

A row that arrives while somebody turns pages repeats none and hides none. A cursor is the values of the list's order at
a row; the last key of every order is unique. What a list shows is its query set's business; nothing is counted here.

    page = page_of(Job.objects.for_list(project), request.GET)          # newest first
    page = page_of(runs, request.GET, (Key("loss", nullable=True), Key("id")))

`page` in the context is what `ui/pager.html` draws.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import BadRequest, ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F, Field, Model, OrderBy, Q, QuerySet

Row = TypeVar("Row", bound=Model)
SIZE = 50  # about a screen and a half; a row costs half a millisecond to draw
MAX_CURSOR = 2_000  # characters: names that lists are ordered by have at most 200


@dataclass(frozen=True)
class Key:
    """One part of an order: a field or annotation. A nullable one has its nulls last, whichever way it goes."""

    name: str
    descending: bool = True
    nullable: bool = False

    def order(self, backwards: bool) -> OrderBy:
        nulls = {"nulls_first" if backwards else "nulls_last": True} if self.nullable else {}
        return OrderBy(F(self.name), descending=self.descending is not backwards, **nulls)

    def same(self, value: Any) -> Q:
        return Q(**{f"{self.name}__isnull": True}) if value is None else Q(**{self.name: value})

    def past(self, value: Any, backwards: bool) -> Q | None:
        """Rows that this key alone puts after (or, backwards, before) `value`; None when there can be none."""
        null = Q(**{f"{self.name}__isnull": True})
        if value is None:
            return ~null if backwards else None
        lookup = "lt" if self.descending is not backwards else "gt"
        beyond = Q(**{f"{self.name}__{lookup}": value})
        return beyond | null if self.nullable and not backwards else beyond


NEWEST = (Key("created_at"), Key("id"))


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Some rows in the list's order. `after` and `before` are the cursors of the next and the page before, if any."""

    rows: list[Row]
    after: str | None = None
    before: str | None = None


def page_of(rows: QuerySet[Row], asked: Mapping[str, Any], keys: Sequence[Key] = NEWEST, size: int = SIZE) -> Page[Row]:
    """The page that a query string asks for by `after` or `before`; without either, or beyond an end, the first.

    Raises BadRequest for a cursor that nobody gave out.
    """
    before, after = str(asked.get("before", "")), str(asked.get("after", ""))
    if before:
        found = _read(rows, keys, _decode(rows, keys, before), size, backwards=True)[::-1]
        if len(found) > size:
            shown = found[1:]
            return Page(shown, _encode(keys, shown[-1]), _encode(keys, shown[0]))
    elif after:
        found = _read(rows, keys, _decode(rows, keys, after), size)
        if found:
            return Page(found[:size], _next(keys, found, size), _encode(keys, found[0]))
    found = _read(rows, keys, None, size)
    return Page(found[:size], _next(keys, found, size))


def _read(
    rows: QuerySet[Row], keys: Sequence[Key], values: Sequence[Any] | None, size: int, backwards: bool = False
) -> list[Row]:
    """One row more than is shown: it tells whether there is a next page."""
    if values is not None:
        rows = rows.filter(_beyond(keys, values, backwards))
    return list(rows.order_by(*(key.order(backwards) for key in keys))[: size + 1])


def _beyond(keys: Sequence[Key], values: Sequence[Any], backwards: bool) -> Q:
    """What (a, b) < (x, y) means, key by key; the first key is bound by itself too, or no index would be entered there."""
    found, same = Q(pk__in=[]), Q()
    for key, value in zip(keys, values, strict=True):
        past = key.past(value, backwards)
        if past is not None:
            found |= same & past
        same &= key.same(value)
    first = keys[0].past(values[0], backwards)
    return found if first is None else (first | keys[0].same(values[0])) & found


def _next(keys: Sequence[Key], found: Sequence[Model], size: int) -> str | None:
    return _encode(keys, found[size - 1]) if len(found) > size else None


def _encode(keys: Sequence[Key], row: Model) -> str:
    text = json.dumps([getattr(row, key.name) for key in keys], cls=_Exact, separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


class _Exact(DjangoJSONEncoder):
    """Django's own cuts moments to milliseconds, and rows of one millisecond would be lost between pages."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)


def _decode(rows: QuerySet[Row], keys: Sequence[Key], cursor: str) -> list[Any]:
    """The cursor's values as the fields read them. BadRequest unless it is one of this order."""
    try:
        values = json.loads(urlsafe_b64decode(cursor[:MAX_CURSOR] + "=" * (-len(cursor) % 4)))
        if len(values) != len(keys):
            raise ValueError("not a cursor of this order")
        return [_value(rows, key, value) for key, value in zip(keys, values, strict=True)]
    except (ValueError, TypeError, RecursionError, ValidationError) as error:
        raise BadRequest("This page's address is damaged.") from error


def _value(rows: QuerySet[Row], key: Key, value: Any) -> Any:
    if value is None and not key.nullable:
        raise ValueError(f"{key.name} is never empty")
    made = _field(rows, key.name).to_python(value)
    if isinstance(made, str) and "\0" in made:
        raise ValueError("Postgres refuses NUL in any text")
    return made


def _field(rows: QuerySet[Row], name: str) -> Field[Any, Any]:
    annotation = rows.query.annotations.get(name)
    field: Field[Any, Any] = rows.model._meta.get_field(name) if annotation is None else annotation.output_field  # type: ignore[assignment]
    return field
