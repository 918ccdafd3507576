"""The audit trail: every action writes who did what to which object, in its own transaction. Rows are only ever added.

Whether a token acted for the person is not for each action to pass along: the door of the API sets `acting_token` for
the request it lets in.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from controlplane.access.models import ApiToken, AuditEntry, Project, User

acting_token: ContextVar[ApiToken | None] = ContextVar("acting_token", default=None)
JSON = DjangoJSONEncoder()


def record(
    *,
    action: str,
    actor: User | None,
    project: Project | None,
    obj: models.Model,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str = "",
) -> AuditEntry:
    """One entry; call it inside the transaction of the write it describes.

    `before` and `after` may hold what JSON has, and times, decimals and UUIDs; of `obj` its kind, id and name are kept.
    """
    return AuditEntry.objects.create(
        project=project,
        actor=actor,
        token=acting_token.get(),
        action=action,
        object_type=obj._meta.model_name or "",
        object_id=str(obj.pk),
        object_name=str(obj)[:200],
        before=plain(before),
        after=plain(after),
        reason=reason,
    )


def plain(values: dict[str, Any] | None) -> Any:
    """`values` with times and the like as JSON writes them."""
    return None if values is None else json.loads(JSON.encode(values))
