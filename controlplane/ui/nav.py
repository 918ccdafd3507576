"""The rail: which pages exist, in which order, and which one is on. No counts: they would cost queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import NoReverseMatch, reverse

SECTIONS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("", (("Overview", "pipeline:overview"),)),
    (
        "Data",
        (
            ("Sources", "datasets:source-list"),
            ("Datasets", "datasets:list"),
            ("Tokenizers", "datasets:tokenizer-list"),
            ("Shards", "datasets:shard-set-list"),
            ("Opt-outs", "pipeline:opt-out"),
        ),
    ),
    ("Training", (("Runs", "training:run-list"), ("Models", "training:model-list"))),
    (
        "Evaluation",
        (
            ("Evaluations", "evaluation:list"),
            ("Suites", "evaluation:suite-list"),
            ("Baselines", "evaluation:baseline-list"),
        ),
    ),
    ("Release", (("Deployments", "playground:deployment-list"), ("Playground", "playground:editor"))),
    (
        "Yard",
        (
            ("Pipelines", "pipeline:list"),
            ("Jobs", "jobs:list"),
            ("Workers", "jobs:workers"),
            ("People", "access:people"),
            ("Tokens", "access:tokens"),
            ("Audit", "access:audit"),
            ("Settings", "pipeline:settings"),
            ("Style guide", "ui:styleguide"),
        ),
    ),
)


@dataclass(frozen=True)
class NavItem:
    label: str
    url: str
    here: bool = False


@dataclass(frozen=True)
class NavSection:
    label: str
    items: tuple[NavItem, ...]


def resolve(name: str, slug: str | None) -> str:
    """The address of a page, inside the project when it takes one; "" when it has none here (no project chosen)."""
    for kwargs in ({"slug": slug},) if slug else ():
        try:
            return reverse(name, kwargs=kwargs)
        except NoReverseMatch:
            break
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def here_url(path: str, urls: Iterator[str]) -> str:
    """The longest address that `path` lies under: a run's page lights up Runs, and not Overview above it."""
    return max((url for url in urls if path == url or path.startswith(f"{url.rstrip('/')}/")), key=len, default="")


def sections(path: str, slug: str | None) -> list[NavSection]:
    """The sections of the rail with the pages reachable from here."""
    found = [(label, [(text, resolve(name, slug)) for text, name in items]) for label, items in SECTIONS]
    here = here_url(path, (url for _, items in found for _, url in items if url))
    return [
        NavSection(label, tuple(NavItem(text, url, url == here) for text, url in items if url))
        for label, items in found
        if any(url for _, url in items)
    ]
