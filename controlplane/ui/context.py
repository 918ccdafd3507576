"""What every page knows: the project it lies in and the rail. It never queries; the view has loaded what is here."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from controlplane.ui.nav import sections


def page(request: HttpRequest) -> dict[str, Any]:
    """`project` is what the view's door put on the request, and None on pages outside a project."""
    project = getattr(request, "project", None)
    slug = project.slug if project else None
    # Lazy: partials that answer htmx draw no rail, and reversing its fourteen names is then not paid for.
    return {"project": project, "nav_sections": SimpleLazyObject(lambda: sections(request.path, slug))}
