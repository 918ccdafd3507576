"""Which deployment answers a model's name.

    first-model              for staff what is on staff, for everyone else what is on production
    first-model@production   what is on an alias; @staff and @candidate are for staff
    first-model-v3           a version itself, for staff

Staff are the people marked so, and the maintainers of the project.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.access.models import Project, Role, User
from playground_app.models import Deployment
from training_app.models import Alias, Promotion

NEEDED = (
    *("project", "served_name", "created_at", "model_version__number"),
    *("model_version__decode_settings", "model_version__model__name"),
)


class NoRoute(Exception):
    """No live deployment answers that name for this person; the text says why and what is there."""


@dataclass(frozen=True)
class Route:
    """`audience` is the alias that the deployment was reached by; "version" when it was asked for by number."""

    deployment: Deployment
    audience: str
    name: str


def is_staff(user: User, role: Role) -> bool:
    """Whether a person of this role in the project sees what staff see."""
    return user.is_staff or role >= Role.MAINTAINER


def routes(project: Project, *, staff: bool) -> list[Route]:
    """What may be asked for, production first; only what is live."""
    order = {Alias.PRODUCTION: 0, Alias.STAFF: 1, Alias.CANDIDATE: 2}
    current = Promotion.objects.current(project).values_list("alias", "model__name", "to_version")
    live = _live(project)
    found = [
        Route(live[version], alias, f"{model}@{alias}")
        for alias, model, version in sorted(current, key=lambda row: order[Alias(row[0])])
        if version in live and (staff or alias == Alias.PRODUCTION)
    ]
    if not staff:
        return found
    versions = [Route(row, "version", str(row.model_version).replace(" ", "-")) for row in live.values()]
    return found + versions


def route(project: Project, name: str, *, staff: bool) -> Route:
    """Raises NoRoute."""
    known = routes(project, staff=staff)
    by_name = {item.name: item for item in known}
    if name in by_name:
        return by_name[name]
    for alias in (Alias.STAFF, Alias.PRODUCTION):
        if f"{name}@{alias}" in by_name:
            return by_name[f"{name}@{alias}"]
    names = ", ".join(item.name for item in known) or "nothing is deployed for you yet"
    raise NoRoute(f"The model {name!r} has no live deployment for you. Live: {names}.")


def _live(project: Project) -> dict[str, Deployment]:
    """The newest ready deployment of each model version. Every keystroke asks: only what a completion needs is read."""
    rows = Deployment.objects.filter(project=project).ready().select_related("model_version__model").only(*NEEDED)
    rows = rows.order_by("model_version", "-created_at")
    return {row.model_version_id: row for row in rows.distinct("model_version")}
