"""Reading the audit trail and the tokens: a page by keyset, what changed line by line. It writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from controlplane.access.models import ApiToken, AuditEntry, Project, User

PAGE_SIZE = 50


@dataclass(frozen=True)
class AuditQuery:
    """What the address asks for: entries of a person, an action, an object (its id or part of its name), from where."""

    person: str = ""
    action: str = ""
    object: str = ""
    after: int | None = None
    before: int | None = None

    @classmethod
    def of(cls, get: Mapping[str, Any]) -> AuditQuery:
        """From a query string; cursors that are no number are as good as none."""
        words = {name: str(get.get(name, "")).strip()[:200] for name in ("person", "action", "object")}
        cursors = {name: _cursor(str(get.get(name, ""))) for name in ("after", "before")}
        return cls(words["person"], words["action"], words["object"], cursors["after"], cursors["before"])


def _cursor(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None  # below 2**63


@dataclass(frozen=True)
class Change:
    """One field of an entry; None on a side where it was not."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class AuditLine:
    entry: AuditEntry
    changes: list[Change]


@dataclass(frozen=True)
class AuditPage:
    """Newest first. `after` and `before` are the cursors of the older and newer page, None at the ends."""

    lines: list[AuditLine]
    after: int | None
    before: int | None


def page(project: Project, query: AuditQuery) -> AuditPage:
    """Two queries however many entries there are: ids are the keyset, the index is (project, -id)."""
    rows = AuditEntry.objects.filter(project=project).select_related("actor", "token")
    if query.person:
        rows = rows.filter(actor__username__iexact=query.person)
    if query.action:
        rows = rows.filter(action=query.action)
    if query.object:
        rows = rows.filter(object_id=query.object) | rows.filter(object_name__icontains=query.object)
    if query.before is not None:
        return _newer_page(list(rows.filter(id__gt=query.before).order_by("id")[: PAGE_SIZE + 1]))
    if query.after is not None:
        rows = rows.filter(id__lt=query.after)
    found = list(rows.order_by("-id")[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    older = shown[-1].pk if len(found) > PAGE_SIZE else None
    return AuditPage(_lines(shown), older, shown[0].pk if shown and query.after is not None else None)


def _newer_page(found: list[AuditEntry]) -> AuditPage:
    """`found` is oldest first, one more than shown if there are still newer ones."""
    shown = found[:PAGE_SIZE][::-1]
    newer = shown[0].pk if len(found) > PAGE_SIZE else None
    return AuditPage(_lines(shown), shown[-1].pk if shown else None, newer)


def _lines(entries: Iterable[AuditEntry]) -> list[AuditLine]:
    return [AuditLine(entry, changes(entry.before, entry.after)) for entry in entries]


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Change]:
    """The fields that differ, in the order in which they were recorded."""
    old, new = before or {}, after or {}
    fields = dict.fromkeys([*old, *new])
    return [Change(name, _text(old, name), _text(new, name)) for name in fields if old.get(name) != new.get(name)]


def _text(values: Mapping[str, Any], name: str) -> str | None:
    if name not in values:
        return None
    value = values[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def choices(project: Project) -> dict[str, list[str]]:
    """The names for the filters: members and everyone who left, and the actions seen in this project."""
    rows = AuditEntry.objects.filter(project=project)
    people = User.objects.filter(pk__in=rows.exclude(actor=None).values("actor"))
    return {
        "people": list(people.order_by("username").values_list("username", flat=True)),
        "actions": list(rows.order_by("action").values_list("action", flat=True).distinct()),
    }


@dataclass(frozen=True)
class TokenLine:
    token: ApiToken
    state: str  # live, revoked or expired

    @property
    def shape(self) -> str:
        """The mark of the state, of those that parts.css draws."""
        return {"live": "ready", "revoked": "stopped", "expired": "archived"}[self.state]


def with_state(tokens: Iterable[ApiToken]) -> list[TokenLine]:
    now = timezone.now()
    return [TokenLine(token, _state(token, now)) for token in tokens]


def _state(token: ApiToken, now: Any) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "live" if token.expires_at > now else "expired"
