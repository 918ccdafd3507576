"""Reading the audit trail and the tokens: what changed, line by line. It writes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from controlplane.access.models import ApiToken, AuditEntry, Project, User
from controlplane.ui.pages import Key

ORDER = (Key("id"),)  # entries are only ever added, so ids are in order of time; the index is (project, -id)


@dataclass(frozen=True)
class AuditQuery:
    """What the address asks for: entries of a person, an action, an object (its id or part of its name)."""

    person: str = ""
    action: str = ""
    object: str = ""

    @classmethod
    def of(cls, get: Mapping[str, Any]) -> AuditQuery:
        return cls(*(str(get.get(name, "")).replace("\0", "").strip()[:200] for name in ("person", "action", "object")))


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


def matching(project: Project, query: AuditQuery) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.filter(project=project).select_related("actor", "token")
    if query.person:
        rows = rows.filter(actor__username__iexact=query.person)
    if query.action:
        rows = rows.filter(action=query.action)
    if query.object:
        rows = rows.filter(object_id=query.object) | rows.filter(object_name__icontains=query.object)
    return rows


def lines(entries: Iterable[AuditEntry]) -> list[AuditLine]:
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
