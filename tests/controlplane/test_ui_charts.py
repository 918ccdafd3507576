"""Figures are plain JSON, keep every point, and say their names where the curves end."""

import json

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from plotly import graph_objects

from controlplane.ui import charts
from controlplane.ui.guide import figures


def line(*series, **options):
    return charts.line_chart(series, x_title="step", y_title="loss", **options)


def end_notes(figure):
    return [note for note in figure["layout"]["annotations"] if note.get("name", "").startswith("hue:")]


def test_every_figure_is_json_without_nan_or_a_default_template():
    made = figures() | {"gap": line(charts.Series("a", [1, 2, 3], [1.0, float("nan"), 3.0]))}
    for figure in made.values():
        text = json.dumps(figure, cls=DjangoJSONEncoder, allow_nan=False)
        assert "template" not in json.loads(text)["layout"]
        assert figure["layout"]["meta"]["label"]


def test_plotly_itself_finds_nothing_wrong_with_a_figure():
    marked = line(charts.Series("a", [1, 2], [9.0, 1.0]), log_y=True, marks=[charts.Mark(1, 9.0, "spike")])
    many = line(*(charts.Series(str(n), [0, 1], [n, n]) for n in range(9)))
    wide = charts.bar_chart({"a": 1.0, "b": None}, x_title="name", y_title="bytes", horizontal=True, log_y=True)
    for figure in [*figures().values(), marked, many, wide]:
        graph_objects.Figure(figure)  # raises ValueError for what plotly.js would not know


def test_a_spike_stays_in_the_curve():
    values = [2.0] * 30_000
    values[12_345] = 99.0
    figure = line(charts.Series("loss", list(range(30_000)), values))
    assert list(figure["data"][0]["y"]) == values


def test_few_curves_are_named_at_their_end_and_many_by_a_legend():
    series = [charts.Series(f"run-{n}", [0, 1], [n, n + 1]) for n in range(8)]
    few, many = line(*series[:3]), line(*series)
    assert [note["text"] for note in end_notes(few)] == ["run-0 1", "run-1 2", "run-2 3"]
    assert few["layout"]["showlegend"] is False
    assert many["layout"]["showlegend"] is True
    assert not end_notes(many)


def test_labels_of_curves_that_end_together_do_not_cover_each_other():
    assert charts.spread([100.0, 101.0, 30.0]) == [100.0, 114.0, 30.0]


def test_a_log_axis_takes_labels_and_marks_in_powers_of_ten():
    figure = line(charts.Series("a", [1, 2], [1000.0, 100.0]), log_y=True, marks=[charts.Mark(1, 1000.0, "spike")])
    assert figure["layout"]["yaxis"]["type"] == "log"
    assert end_notes(figure)[0]["y"] == pytest.approx(2)
    assert next(note for note in figure["layout"]["annotations"] if note.get("name") == "mark")["y"] == pytest.approx(3)


def test_names_that_people_gave_are_no_markup():
    figure = line(charts.Series("<b>x</b>", [1, 2], [1.0, 2.0]))
    assert figure["data"][0]["name"] == "&lt;b&gt;x&lt;/b&gt;"


def test_a_curve_with_nothing_measured_is_drawn_empty():
    assert not end_notes(line(charts.Series("a", [1, 2], [None, None])))
    assert not end_notes(line(charts.Series("a", [], [])))


def test_no_two_of_24_curves_look_alike():
    assert len({(style["color"], style["dash"]) for style in map(charts.line_style, range(24))}) == 24


def test_the_histogram_counts_every_positive_value_once():
    values = [1, 10, 100, 1000, 1000, 0, -5, float("nan")]
    figure = charts.histogram_chart(values, x_title="bytes", bins=3)
    assert list(figure["data"][0]["y"]) == [1, 1, 3]
    assert charts.histogram_chart([], x_title="bytes")["data"] is not None
    assert sum(charts.histogram_chart([5, 5], x_title="bytes")["data"][0]["y"]) == 2


def test_the_funnel_says_counts_and_shares():
    figure = charts.funnel_chart([("read", 200), ("kept", 50)])
    assert list(figure["data"][0]["text"]) == ["200 · 100.0%", "50 · 25.0%"]
