"""The template tags of the face. Formatters work as filters and as tags: `{{ n|tokens }}`, `{% tokens n %}`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django import template
from django.forms import BaseForm
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from controlplane.ui import formats, nav
from controlplane.ui.lineage import LineageStep

register = template.Library()

# The states of jobs, deployments, verdicts and workers, by the look they share: a shape of its own in parts.css, since
# colour alone tells a colour-blind reader nothing.
LOOKS = {
    state: look
    for look, states in {
        "queued": "queued waiting",
        "running": "running",
        "succeeded": "succeeded done passed",
        "failed": "failed error timeout memory output disk",
        "crashed": "crashed sandbox_failed",
        "cancelled": "cancelled archived revoked expired skipped",
        "starting": "starting building",
        "ready": "ready idle active",
        "draining": "draining busy",
        "stopped": "stopped",
        "lost": "lost silent",
    }.items()
    for state in states.split()
}


def formatter(name: str) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    """Register a formatter as filter and as tag. Django hands a name that leads nowhere on as "": that is no value."""

    def both(function: Callable[[Any], str]) -> Callable[[Any], str]:
        @wraps(function)
        def filled(value: Any) -> str:
            return function(None if value == "" else value)

        register.filter(name, filled)
        register.simple_tag(filled, name=name)
        return function

    return both


@formatter("duration")
def duration(value: float | timedelta | None) -> str:
    return formats.duration(value)


@formatter("number")
def number(value: float | None) -> str:
    return formats.number(value)


@formatter("bytes")
def byte_size(value: float | None) -> str:
    return formats.byte_size(value)


@formatter("tokens")
def tokens(value: float | None) -> str:
    return formats.token_count(value)


@formatter("percent")
def percent(ratio: float | None) -> str:
    return formats.percent(ratio)


@formatter("since")
def since(at: datetime | None) -> str:
    """A `<time>` that reads "3 min ago" and tells the exact moment on hover."""
    if at is None:
        return formats.NONE
    exact = timezone.localtime(at).strftime("%Y-%m-%d %H:%M:%S %Z")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, formats.relative(at, timezone.now())
    )


@formatter("status_badge")
def status_badge(state: str | None) -> str:
    """Word, shape and colour of a job's status or a deployment's state. Raises ValueError for a word without a look."""
    if not state:
        return format_html('<span class="status none">{}</span>', "not yet")
    look = LOOKS.get(str(state))
    if look is None:
        raise ValueError(f"No badge for the state {state!r}; add it to LOOKS.")
    return format_html('<span class="status {}">{}</span>', look, str(state).replace("_", " "))


@formatter("copy_button")
def copy_button(text: str) -> SafeString:
    return format_html(
        '<button class="copy" type="button" data-copy="{}" aria-label="Copy {}" title="Copy"></button>', text, text
    )


@formatter("short_hash")
def short_hash(value: str | None) -> str:
    """The first eight characters of an id or hash, whole on hover, with a button that copies all of it."""
    if not value:
        return formats.NONE
    short = str(value).removeprefix("sha256:")[:8]
    return format_html('<span class="hash"><code title="{}">{}</code>{}</span>', value, short, copy_button(str(value)))


@register.simple_tag(takes_context=True)
def nav_url(context: Context, name: str) -> str:
    """The address of a page by URL name, in the current project where it takes one; "" when it has none here."""
    project = context.get("project")
    return nav.resolve(name, project.slug if project else None)


@register.inclusion_tag("ui/lineage.html", takes_context=True)
def lineage(context: Context, steps: Sequence[LineageStep] | None = None) -> dict[str, Any]:
    """The eight-step strip from `steps` (see `controlplane.ui.lineage.strip`), or from the context's `lineage`."""
    return {"steps": context.get("lineage") if steps is None else steps}


@register.inclusion_tag("ui/sort.html", takes_context=True)
def sort_link(context: Context, key: str, label: str, parameter: str = "sort") -> dict[str, Any]:
    """A column's heading as a link: first ascending, then descending; what else the query string says stays.

    Pages go back to the first one, as a cursor of another order means nothing.
    """
    query = context["request"].GET.copy()
    now = query.get(parameter, "")
    query[parameter] = f"-{key}" if now == key else key
    for cursor in ("after", "before", "page"):
        query.pop(cursor, None)
    order = {key: "ascending", f"-{key}": "descending"}.get(now)
    return {"label": label, "href": f"?{query.urlencode()}", "order": order}


@register.inclusion_tag("ui/fields.html")
def fields(form: BaseForm) -> dict[str, Any]:
    """All fields of a form, with its errors first; the `<form>`, the token and the buttons are the page's."""
    return {"form": form}


@register.filter
def is_checkbox(field: Any) -> bool:
    return getattr(field.field.widget, "input_type", "") == "checkbox" and not hasattr(field.field.widget, "choices")


@register.filter
def metric(values: Mapping[str, Any], name: str) -> Any:
    """A value by a name that a template cannot spell: {{ run.metrics|metric:"loss/train" }}; None if absent."""
    return values.get(name)


@register.filter
def pretty_json(value: Any) -> str:
    return json.dumps(value, indent=2, default=str)
