"""Forms that choose one row of very many: what is offered, what is found while typing, and what is refused."""

from __future__ import annotations

import pytest
from django.urls import reverse

from controlplane.ui.choices import SHOWN
from datasets_app.forms import ShardsForm, TokenizerForm
from datasets_app.models import ShardSet
from eval_app.forms import EvaluationForm
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(project):
    return factories.make_dataset_version(project, "python-code")


def shards_form(project, **given):
    common = {"sequence_length": 256, "units": "functions", "seed": 17}
    return ShardsForm({**common, **given}, project=project)


@pytest.mark.parametrize("typed", ["{0.pk}", "python-code v1", "  python-code v1 "])
def test_a_row_is_chosen_by_its_id_or_its_name(project, version, typed):
    factories.make_dataset_version(project, "python-code", number=11)
    form = shards_form(project, dataset_version=typed.format(version))
    form.is_valid()
    assert form.cleaned_data["dataset_version"] == version


def test_what_is_not_in_the_project_can_be_neither_chosen_nor_found(project, other_project, mallory_client, version):
    for typed in (version.pk, "python-code v1"):
        assert shards_form(other_project, dataset_version=typed).errors["dataset_version"]
    page = reverse("datasets:shards-new", args=[other_project.slug])
    answer = mallory_client.get(page, {"choose": "dataset_version", "dataset_version": "python"})
    assert answer.status_code == 200 and b"python-code" not in answer.content
    assert b"python-code" not in mallory_client.get(page).content


def test_an_unknown_name_is_refused_with_the_nearest_ones(project, version):
    (error,) = shards_form(project, dataset_version="python-code").errors["dataset_version"]
    assert "No dataset version" in error and "Did you mean “python-code v1”?" in error
    (error,) = shards_form(project, dataset_version="\0nothing").errors["dataset_version"]
    assert "Type a part of its name" in error


def test_an_archived_or_unfinished_row_is_not_offered(project, version):
    version.sha256 = None
    version.save()
    assert shards_form(project, dataset_version=version.pk).errors["dataset_version"]


def test_a_choice_that_may_be_empty_cleans_to_none_and_one_that_may_not_is_refused(project):
    form = EvaluationForm({}, project=project)
    form.is_valid()
    assert form.cleaned_data["dataset_version"] is None
    assert form.errors["suite"] == ["This field is required."]


def test_a_link_that_names_an_id_shows_its_name(grace_client, project, version):
    page = reverse("datasets:tokenizer-new", args=[project.slug])
    shown = grace_client.get(page, {"dataset_version": version.pk}).content.decode()
    assert 'value="python-code v1"' in shown and 'list="id_dataset_version_rows"' in shown


def test_a_refused_form_keeps_what_was_typed(project, version):
    form = TokenizerForm({"dataset_version": "python <b>"}, project=project)
    assert 'value="python &lt;b&gt;"' in str(form["dataset_version"])


def test_typing_finds_rows_by_a_part_of_their_names(grace_client, project, version):
    factories.make_dataset_version(project, "rust-code")
    page = reverse("datasets:shards-new", args=[project.slug])
    answer = grace_client.get(page, {"choose": "dataset_version", "dataset_version": "UST-c"})
    assert "rust-code v1" in answer.content.decode() and "python-code" not in answer.content.decode()
    assert "<html" not in answer.content.decode()
    assert grace_client.get(page, {"choose": "dataset_version", "dataset_version": "%"}).content.strip() == b""
    assert grace_client.get(page, {"choose": "seed"}).status_code == 404


def test_only_members_may_look_for_rows(victor_client, project, version):
    page = reverse("datasets:shards-new", args=[project.slug])
    assert victor_client.get(page, {"choose": "dataset_version"}).status_code == 403


def test_shards_of_one_version_and_tokenizer_are_told_apart(project, version):
    tokenizer = factories.make_tokenizer(version)
    made = [factories.make_shard_set(version, tokenizer) for _ in range(2)]
    labels = set(ShardSet.objects.for_choice(project).values_list("label", flat=True))
    assert labels == {f"python-code v1 with python-code-4k · {row.pk}" for row in made}


def test_a_form_carries_the_newest_rows_only_and_asks_once_for_them(grace_client, project, django_assert_num_queries):
    for number in range(SHOWN + 10):
        factories.make_dataset_version(project, number=number + 1)
    page = reverse("datasets:tokenizer-new", args=[project.slug])
    grace_client.get(page)
    with django_assert_num_queries(4):  # session, person, project with role, the newest rows
        shown = grace_client.get(page).content.decode()
    assert shown.count('<option value="python-code') == SHOWN
    assert f"v{SHOWN + 10}" in shown and '"python-code v10"' not in shown
