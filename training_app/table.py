"""The runs table as its address asks for it: search, status, tags, order, columns, and the saved view it begins from.

What the address does not say, the saved view does, and then the defaults. One state, three readers: the rows, the links
that change one thing, and the query string that a view keeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import parse_qsl

from django.db.models import Count, Q, QuerySet
from django.http import QueryDict
from django.utils.http import urlencode

from controlplane.access.models import Project
from controlplane.jobs.models import Status
from controlplane.ui.pages import Key, Page, page_of
from training_app import columns, search
from training_app.models import TrainingRun

MAX_TEXT = 2_000
MAX_COLUMNS = 60


@dataclass(frozen=True)
class Asked:
    """`sort` is a column's key, descending after a minus; `status` is "" for all, and "archived" beside the job's own."""

    q: str = ""
    sort: str = "-created"
    status: str = ""
    tag: tuple[str, ...] = ()
    column: tuple[str, ...] = columns.DEFAULT

    @classmethod
    def of(cls, get: QueryDict, base: Asked | None = None) -> Asked:
        """From a query string; what it does not name is as in `base`. Keys that mean nothing are left out."""
        base = base or cls()
        given = {name: _texts(get.getlist(name)) for name in NAMES if name in get}
        columns_asked = [key for key in given.get("column", ()) if columns.column(key)][:MAX_COLUMNS]
        sort = (given.get("sort") or [base.sort])[-1]
        order = columns.column(sort.removeprefix("-"))
        return cls(
            q=(given.get("q") or [base.q])[-1],
            sort=sort if order and order.order else base.sort,
            status=(given.get("status") or [base.status])[-1],
            tag=tuple(filter(None, given.get("tag", base.tag))),
            # A table has columns: none at all asks for those of the base.
            column=tuple(dict.fromkeys(["name", *columns_asked])) if columns_asked else base.column,
        )

    def query_string(self, base: Asked | None = None) -> str:
        """What `of` reads this state from again; what is as in `base` is left out."""
        base = base or Asked()
        return urlencode(
            [pair for name in NAMES if getattr(self, name) != getattr(base, name) for pair in self._pairs(name)]
        )

    def _pairs(self, name: str) -> list[tuple[str, str]]:
        value = getattr(self, name)
        return [(name, part) for part in (value or ("",) if isinstance(value, tuple) else (value,))]

    def columns(self) -> list[columns.Column]:
        return [found for key in self.column if (found := columns.column(key))]

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.status or self.tag)


NAMES = tuple(one.name for one in fields(Asked))


@dataclass(frozen=True)
class Links:
    """Addresses that change one thing of the state: `base` and `view` are what the address begins from."""

    asked: Asked
    base: Asked
    view: str = ""
    tag_links: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def to(self, **changes: Any) -> str:
        """Always from the first page: a cursor of another order means nothing."""
        view = f"view={self.view}" if self.view else ""
        return "?" + "&".join(filter(None, [view, replace(self.asked, **changes).query_string(self.base)]))

    def hidden(self) -> list[tuple[str, str]]:
        """The state as a form's hidden fields."""
        return parse_qsl(self.to()[1:], keep_blank_values=True)

    def heads(self) -> list[dict[str, Any]]:
        """A heading for each column: what it shows, and the link that orders by it, first upwards and then down."""
        return [{"column": one, **self._order(one)} for one in self.asked.columns()]

    def _order(self, one: columns.Column) -> dict[str, Any]:
        if one.order is None:
            return {"href": None, "order": None}
        now = {one.key: "ascending", f"-{one.key}": "descending"}.get(self.asked.sort)
        return {"order": now, "href": self.to(sort=f"-{one.key}" if now == "ascending" else one.key)}

    def tags(self) -> list[dict[str, str]]:
        """The tags asked for, each with the address without it."""
        asked = self.asked.tag
        return [{"tag": tag, "href": self.to(tag=tuple(other for other in asked if other != tag))} for tag in asked]

    def with_tag(self, tag: str) -> str:
        """Worked out once a page: fifty rows have the same few tags, and writing an address takes 0.1 ms."""
        if tag not in self.tag_links:
            self.tag_links[tag] = self.to(tag=(*(other for other in self.asked.tag if other != tag), tag))
        return self.tag_links[tag]

    def statuses(self, counts: Counter[str]) -> list[dict[str, Any]]:
        """All, each status that some run has, and the archived: with how many, and the address that shows them."""
        names = [
            "",
            *(status for status in columns.STATUSES if counts[status]),
            *(["archived"] if counts["archived"] else []),
        ]
        if self.asked.status not in names:
            names.append(self.asked.status)
        every = sum(counts[status] for status in Status.values)
        return [
            {"name": name, "count": counts[name] if name else every, "href": self.to(status=name)} for name in names
        ]


def filtered(project: Project, asked: Asked) -> QuerySet[TrainingRun]:
    """The project's runs by search and tags, of any status. Raises QueryError, which points at the character."""
    runs = search.matching(TrainingRun.objects.filter(project=project), asked.q)
    return runs.filter(tags__contains=list(asked.tag)) if asked.tag else runs


def counted(runs: QuerySet[TrainingRun]) -> Counter[str]:
    """How many of each status, and of archived ones, which are in no other count. One query."""
    n_open, n_archived = Count("pk", filter=Q(archived_at=None)), Count("pk", filter=Q(archived_at__isnull=False))
    counts: Counter[str] = Counter()
    for status, is_open, is_archived in runs.order_by().values_list("job__status").annotate(a=n_open, b=n_archived):
        counts[status] = is_open
        counts["archived"] += is_archived
    return counts


def page(project: Project, runs: QuerySet[TrainingRun], asked: Asked, cursors: QueryDict) -> Page[TrainingRun]:
    """One page in the order asked for.

    In two queries: ids first, then the rows. Ordering 10,000 runs by a metric with all that a row shows joined on took
    three times as long, since the database carried all of it through the sort.
    """
    if asked.status == "archived":
        runs = runs.filter(archived_at__isnull=False)
    else:
        runs = runs.filter(archived_at=None, **({"job__status": asked.status} if asked.status else {}))
    ids, keys = ordered(runs, asked.sort)
    found = page_of(ids, cursors, keys)
    rows = {run.pk: run for run in TrainingRun.objects.for_table(project).filter(pk__in=[row.pk for row in found.rows])}
    return replace(found, rows=[rows[row.pk] for row in found.rows])


def ordered(runs: QuerySet[TrainingRun], sort: str) -> tuple[QuerySet[TrainingRun], tuple[Key, ...]]:
    """Ids alone, and the keys of the order; runs without the value come last, whichever way it goes."""
    one = columns.column(sort.removeprefix("-"))
    if one is None or one.order is None:
        raise ValueError(f"Nothing is ordered by {sort}")
    down = sort.startswith("-")
    if one.key == "created":  # the index of the list
        return runs.only("created_at"), (Key("created_at", down), Key("id", down))
    return runs.annotate(sort_value=one.order).only("id"), (Key("sort_value", down, nullable=True), Key("id"))


def _texts(values: Iterable[str]) -> list[str]:
    """Without NUL characters, which Postgres refuses in any text."""
    return [value.replace("\0", "").strip()[:MAX_TEXT] for value in values]
