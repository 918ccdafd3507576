"""Which deployment answers a model's name.

    first-model              for staff what is on staff, for everyone else what is on production
    first-model@production   what is on an alias; @staff and @candidate are for staff
    first-model-v3           a version itself, for staff

Staff are the people marked so, and the maintainers of the project.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.access.doors import role_in
from controlplane.access.models import Project, Role, User
from playground_app.models import Deployment
from training_app.models import Alias, Promotion


class NoRoute(Exception):
    """No live deployment answers that name for this person; the text says why and what is there."""


@dataclass(frozen=True)
class Route:
    """`audience` is the alias that the deployment was reached by; "version" when it was asked for by number."""

    deployment: Deployment
    audience: str
    name: str


def is_staff(user: User, project: Project) -> bool:
    role = role_in(user, project)
    return user.is_staff or (role is not None and role >= Role.MAINTAINER)


def routes(project: Project, user: User) -> list[Route]:
    """What the person may ask for, production first; only what is live."""
    staff = is_staff(user, project)
    order = {Alias.PRODUCTION: 0, Alias.STAFF: 1, Alias.CANDIDATE: 2}
    current = [row for row in Promotion.objects.current(project) if staff or row.alias == Alias.PRODUCTION]
    live = _live(project)
    found = [
        Route(live[row.to_version_id], row.alias, f"{row.model.name}@{row.alias}")
        for row in sorted(current, key=lambda row: order[Alias(row.alias)])
        if row.to_version_id in live
    ]
    if not staff:
        return found
    versions = [Route(row, "version", str(row.model_version).replace(" ", "-")) for row in live.values()]
    return found + versions


def route(project: Project, user: User, name: str) -> Route:
    """Raises NoRoute."""
    known = routes(project, user)
    by_name = {item.name: item for item in known}
    if name in by_name:
        return by_name[name]
    for alias in (Alias.STAFF, Alias.PRODUCTION):
        if f"{name}@{alias}" in by_name:
            return by_name[f"{name}@{alias}"]
    names = ", ".join(item.name for item in known) or "nothing is deployed for you yet"
    raise NoRoute(f"The model {name!r} has no live deployment for you. Live: {names}.")


def _live(project: Project) -> dict[str, Deployment]:
    """The newest ready deployment of each model version."""
    rows = Deployment.objects.for_list(project).ready().order_by("model_version", "-created_at")
    return {row.model_version_id: row for row in rows.distinct("model_version")}
