"""The recipe editor: drawn from the catalogue, started from a version, refused by step and parameter, hashed."""

from __future__ import annotations

import pytest

from datasets_app import recipes
from datasets_app.models import DatasetVersion
from datasets_app.recipe_form import RecipeForm, initial_of
from tests import factories, stage_rows
from worker import cleaning

NEW = "/projects/demo/datasets/new"


@pytest.fixture
def source(project):
    return factories.make_source(project)


def filled(source, **changes):
    """What a browser sends of the untouched form, with some fields changed."""
    form = RecipeForm(project=source.project, tokens={}, initial=initial_of({"steps": cleaning.with_parameters()}))
    sent = {"name": "code", "sources": [source.pk]}
    for field in form:
        value = field.value()
        if field.name not in sent and value not in (None, False):
            sent[field.name] = "on" if value is True else field.field.prepare_value(value)
    return {name: value for name, value in (sent | changes).items() if value is not None}


def recipe_of(name="code"):
    return DatasetVersion.objects.get(dataset__name=name).recipe


def test_every_step_of_the_catalogue_has_a_switch_its_parameters_and_its_published_source(grace_client, source):
    page = grace_client.get(NEW).content.decode()
    for name in cleaning.CHOSEN:
        step = cleaning.STEPS[name]
        assert f'id="step-{name}"' in page
        assert all(f'name="{name}-{parameter.name}"' in page for parameter in step.parameters)
    assert "Chen et al. 2021 (Codex), section 3.1" in page


def test_an_untouched_form_is_the_usual_recipe(grace_client, source):
    assert grace_client.post(NEW, filled(source)).status_code == 302
    assert recipe_of()["steps"] == cleaning.with_parameters()


def test_only_what_is_not_usual_is_kept_and_an_empty_bound_is_off(grace_client, source):
    changes = {"lines-max_line": "200", "filters-max_lines": "", "redaction-on": None}
    changes |= {"quality-shares": "JSON = 0.2\nYAML = 0.5", f"weight-{source.pk}": "2"}
    assert grace_client.post(NEW, filled(source, **changes)).status_code == 302
    steps = {step["name"]: step["parameters"] for step in recipe_of()["steps"]}
    assert steps["lines"] == {"max_line": 200}
    assert steps["filters"] == {"max_lines": None}
    assert steps["quality"] == {"shares": {"JSON": 0.2, "YAML": 0.5}}
    assert "redaction" not in steps
    assert recipe_of()["mixture"] == {"python-stdlib": 2.0}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lines-max_line": "5"}, "Lines, max line: Ensure this value is greater than or equal to 80."),
        (
            {"size-min_bytes": "2000", "size-max_bytes": "1000"},
            "Step size, parameter min_bytes: 2000 is above max_bytes",
        ),
        ({"quality-shares": "JSON"}, "Quality sampling, shares: “JSON” is not a name, = and a number."),
    ],
)
def test_an_error_names_its_step_and_parameter(grace_client, source, changes, says):
    answer = grace_client.post(NEW, filled(source, **changes))
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not DatasetVersion.objects.exists()


def test_a_check_tells_the_hash_and_which_version_has_the_recipe_and_starts_nothing(grace_client, project):
    one, _ = stage_rows.dataset_versions(project)
    source = one.sources.first()
    same = filled(source, held_out_share="0.1", check="1")
    answer = grace_client.post(NEW, same, headers={"HX-Request": "true"})
    part = answer.content.decode()
    assert "<html" not in part
    assert recipes.digest(one.recipe) in part
    assert f"/datasets/{one.pk}/" in part
    assert DatasetVersion.objects.count() == 2


def test_an_editor_starts_from_a_version_and_from_the_thresholds_of_a_link(grace_client, project):
    _, two = stage_rows.dataset_versions(project)
    form = grace_client.get(NEW, {"start": two.pk, "lines-max_mean_line": "50"}).context["form"]
    assert (form["lines-max_line"].value(), form["lines-max_mean_line"].value()) == (120, "50")
    assert form["name"].value() == "code"
    assert [row.is_chosen for row in form.source_rows()] == [True, True]


def test_a_mixture_is_told_in_shares_and_epochs_where_the_tokens_are_known(grace_client, project):
    one, _ = stage_rows.dataset_versions(project)
    new = factories.make_source(project, "new")
    sources = {source.name: source.pk for source in one.sources.all()}
    weights = {f"weight-{sources['tools']}": "3", f"weight-{sources['web']}": "1"}
    sent = filled(new, sources=[*sources.values(), new.pk], check="1", **weights)
    context = grace_client.post(NEW, sent).context
    assert {row["source"]: row["share"] for row in context["mixture"]} == {"tools": 0.75, "web": 0.25}
    assert context["unknown"] == ["new"]


def test_recipes_differ_line_by_line_under_their_step(project):
    one, two = stage_rows.dataset_versions(project)
    assert recipes.diff(one.recipe, two.recipe) == [
        ("title", "Lines"),
        ("del", "  max_line: 1000"),
        ("ins", "  max_line: 120"),
    ]
    assert recipes.digest(one.recipe) != recipes.digest(two.recipe)
    assert recipes.digest({**one.recipe, "steps": cleaning.with_parameters()}) == recipes.digest(one.recipe)


def test_a_viewer_does_not_edit_recipes(victor_client, project):
    assert victor_client.get(NEW).status_code == 403
