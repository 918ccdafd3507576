"""Keyset pages: every row once, in order, whatever arrives while somebody turns them."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import BadRequest

from controlplane.jobs.models import Job
from controlplane.ui.pages import NEWEST, Key, page_of
from tests import factories

pytestmark = pytest.mark.django_db
AT = datetime(2026, 1, 1, tzinfo=UTC)
BY_TOTAL = (Key("progress_total", descending=False, nullable=True), Key("id"))


def jobs(project, count, **more):
    """Two of each moment, a microsecond apart: neither ties nor what milliseconds cannot tell may cost a row."""
    return [
        factories.job(project, "count", title=str(n), created_at=AT + timedelta(microseconds=n // 2), **more)
        for n in range(count)
    ]


def walk(keys=NEWEST, size=4, direction="after", start=None):
    """The pages from the first one on, or from a cursor."""
    pages = [page_of(Job.objects.all(), {direction: start} if start else {}, keys, size)]
    while cursor := getattr(pages[-1], direction):
        pages.append(page_of(Job.objects.all(), {direction: cursor}, keys, size))
    return pages


def ids(pages):
    return [row.pk for page in pages for row in page.rows]


def test_the_pages_together_are_the_list(project):
    jobs(project, 11)
    pages = walk()
    assert [len(page.rows) for page in pages] == [4, 4, 3]
    assert ids(pages) == list(Job.objects.order_by("-created_at", "-id").values_list("pk", flat=True))
    assert pages[0].before is None


def test_rows_that_arrive_between_pages_hide_and_repeat_none(project):
    before = {job.pk for job in jobs(project, 10)}
    first = page_of(Job.objects.all(), {}, size=4)
    for n in range(3):
        factories.job(project, "count", title=f"late {n}")
    second = walk(start=first.after)
    seen = ids([first, *second])
    assert len(seen) == len(set(seen)) and set(seen) == before


def test_the_way_back_shows_the_same_pages_and_ends_at_the_first(project):
    jobs(project, 12)
    there = walk()
    back = page_of(Job.objects.all(), {"before": there[2].before}, size=4)
    assert back == there[1]
    factories.job(project, "count", title="arrived meanwhile")
    newer = page_of(Job.objects.all(), {"before": there[1].before}, size=4)
    assert newer.rows == there[0].rows
    assert page_of(Job.objects.all(), {"before": newer.before}, size=4) == page_of(Job.objects.all(), {}, size=4)


@pytest.mark.parametrize("descending", [True, False])
def test_rows_without_a_value_come_last_in_both_orders(project, descending):
    for n in range(9):
        factories.job(project, "count", progress_total=None if n % 3 == 0 else n % 4)
    keys = (Key("progress_total", descending, nullable=True), Key("id"))
    pages = walk(keys, size=2)
    totals = [row.progress_total for page in pages for row in page.rows]
    known = [total for total in totals if total is not None]
    assert totals == sorted(known, reverse=descending) + [None] * 3
    assert len(set(ids(pages))) == 9
    back = [page_of(Job.objects.all(), {"before": page.before}, keys, 2) for page in pages[1:]]
    assert back == pages[:-1]


def test_a_page_beyond_the_last_row_is_the_first(project):
    first, second = walk(size=2) if jobs(project, 4) else ()
    Job.objects.filter(pk__in=ids([second])).delete()
    assert page_of(Job.objects.all(), {"after": first.after}, size=2).rows == first.rows


def cursor(text):
    return urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "damaged",
    [
        "x,y",
        "é",
        cursor("7"),
        cursor('["2026-01-01"]'),
        cursor('["no moment","3f0e5a5e-0000-4000-8000-000000000000"]'),
        cursor('["2026-01-01T00:00:00+00:00","no id"]'),
        cursor('[null,"3f0e5a5e-0000-4000-8000-000000000000"]'),
        cursor("[" * 1400),
        "A" * 5000,
    ],
)
def test_a_cursor_that_nobody_gave_out_is_a_bad_request(project, damaged):
    for direction in ("after", "before"):
        with pytest.raises(BadRequest):
            page_of(Job.objects.all(), {direction: damaged})


def test_a_cursor_of_text_may_hold_no_nul(project):
    with pytest.raises(BadRequest):
        page_of(Job.objects.all(), {"after": cursor('["a\\u0000b"]')}, (Key("title"),))


def test_annotations_order_as_fields_do(project):
    from django.db.models.functions import Length

    jobs(project, 12)
    rows = Job.objects.annotate(width=Length("title"))
    keys = (Key("width"), Key("id"))
    first = page_of(rows, {}, keys, 5)
    second = page_of(rows, {"after": first.after}, keys, 5)
    assert [row.width for row in (*first.rows, *second.rows)] == [2, 2] + [1] * 8
