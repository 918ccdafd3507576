"""Numbers and times read as people write them, and tags make safe markup of them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.template import Context, Template
from django.test import RequestFactory

from controlplane.ui import formats
from controlplane.ui.lineage import KINDS, LineageStep, strip
from controlplane.ui.names import ADJECTIVES, NOUNS, friendly_name


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def render(source, **context):
    request = context.pop("request", RequestFactory().get("/"))
    return Template("{% load ui %}" + source).render(Context({"request": request, **context}))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.42, "420 ms"),
        (0.9999, "1.0 s"),
        (8.21, "8.2 s"),
        (9.97, "10 s"),
        (59.6, "1 min 00 s"),
        (192, "3 min 12 s"),
        (542, "9 min 02 s"),
        (3_720, "1 h 02 min"),
        (187_000, "2 d 03 h"),
        (timedelta(minutes=3, seconds=12), "3 min 12 s"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds, text):
    assert plain(formats.duration(seconds)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[
            (None, "–"),
            (float("nan"), "–"),
            (0, "0"),
            (1284, "1,284"),
            (9999, "9,999"),
            (10_000, "10 k"),
            (999_950, "1 M"),
        ],
        *[(1_200_000, "1.2 M"), (4_163_000, "4.16 M"), (3.28412, "3.284"), (-12_345, "-12.3 k"), (1234.56, "1,234.6")],
    ],
)
def test_a_number_keeps_what_matters_of_it(value, text):
    assert plain(formats.number(value)) == text


def test_sizes_tokens_and_ratios_carry_their_units():
    assert plain(formats.byte_size(16_700_000)) == "16.7 MB"
    assert plain(formats.byte_size(12)) == "12 B"
    assert plain(formats.token_count(1)) == "1 token"
    assert plain(formats.token_count(3_210_000)) == "3.21 M tokens"
    assert plain(formats.percent(0.4151)) == "41.5 %"


def test_a_time_is_relative_both_ways():
    now = datetime(2026, 3, 4, 12, tzinfo=UTC)
    assert formats.relative(now, now) == "just now"
    assert plain(formats.relative(now - timedelta(minutes=3), now)) == "3 min ago"
    assert plain(formats.relative(now + timedelta(hours=2, minutes=1), now)) == "in 2 h"


def test_since_tells_the_exact_moment_on_hover():
    html = render("{{ at|since }}", at=datetime(2020, 3, 4, 12, tzinfo=UTC))
    assert 'datetime="2020-03-04T12:00:00+00:00"' in html
    assert 'title="2020-03-04 12:00:00 UTC"' in html


def test_a_formatter_is_a_filter_and_a_tag():
    assert render("{{ 192|duration }}") == render("{% duration 192 %}")


def test_a_badge_has_word_and_shape_and_an_unknown_state_is_refused():
    assert render("{% status_badge 'crashed' %}") == '<span class="status crashed">crashed</span>'
    assert render("{{ 'sandbox_failed'|status_badge }}") == '<span class="status crashed">sandbox failed</span>'
    assert "not yet" in render("{% status_badge None %}")
    with pytest.raises(ValueError, match="No badge"):
        render("{% status_badge 'weird' %}")


def test_every_state_of_a_row_has_a_badge():
    from controlplane.jobs.models import Status
    from eval_app.models import SampleResult
    from playground_app.models import Deployment

    for state in [*Status.values, *Deployment.State.values, *SampleResult.Outcome.values]:
        assert 'class="status' in render("{% status_badge state %}", state=state)


def test_a_hash_is_short_to_see_and_whole_to_copy():
    html = render("{{ sha|short_hash }}", sha="sha256:9c41e0b7aa52c0de")
    assert ">9c41e0b7<" in html
    assert 'data-copy="sha256:9c41e0b7aa52c0de"' in html


def test_what_is_copied_cannot_become_markup():
    assert '"><script>' not in render("{% copy_button text %}", text='"><script>')


def test_a_sort_link_turns_round_and_drops_the_cursor():
    first = render("{% sort_link 'loss' 'Loss' %}", request=RequestFactory().get("/?q=a&after=xyz"))
    again = render("{% sort_link 'loss' 'Loss' %}", request=RequestFactory().get("/?sort=loss"))
    assert 'href="?q=a&amp;sort=loss"' in first
    assert 'href="?sort=-loss"' in again
    assert 'data-order="ascending"' in again


def test_the_strip_has_eight_kinds_and_says_what_is_missing():
    steps = strip({"run": LineageStep("run", "brave-heron-12", "/r/", here=True)})
    assert [step.kind for step in steps] == list(KINDS)
    html = render("{% lineage steps %}", steps=steps)
    assert html.count("not yet") == 7 * 2  # text and hover
    assert 'aria-current="page"' in html
    with pytest.raises(ValueError, match="teapot"):
        strip({"teapot": LineageStep("teapot", "x")})


def test_friendly_names_are_stable_and_end_in_their_number():
    assert len(set(ADJECTIVES)) == len(ADJECTIVES) >= 60
    assert len(set(NOUNS)) == len(NOUNS) >= 60
    names = [friendly_name(number) for number in range(200)]
    assert names[12].endswith("-12")
    assert names == [friendly_name(number) for number in range(200)]
    assert len({name.rsplit("-", 1)[0] for name in names}) > 180
    with pytest.raises(ValueError, match="negative"):
        friendly_name(-1)
