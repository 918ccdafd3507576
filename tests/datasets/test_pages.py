"""The data pages: forms that start work, and rows read out of a dataset's files."""

from __future__ import annotations

import pytest

from datasets_app.models import DatasetVersion, ShardSet, Source, Tokenizer
from tests import factories
from tests.pipeline.parquet import write_dataset


@pytest.fixture
def version(project, tmp_path):
    return factories.make_dataset_version(project, uri=write_dataset(tmp_path))


def rows(client, version, **query):
    page = client.get(f"/projects/demo/datasets/{version.pk}/rows", query)
    return [row["id"] for row in page.context["page"].rows]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["doc-1", "doc-2", "doc-3"]),
        ({"path": "LIB/"}, ["doc-2"]),
        ({"content": "def "}, ["doc-1", "doc-2"]),
        ({"language": "Python", "split": "held_out"}, ["doc-2"]),
        ({"content": "%"}, []),
        ({"path": "' OR 1=1 --"}, []),
        ({"after": "doc-2"}, ["doc-3"]),
    ],
)
def test_rows_are_found_by_path_content_language_and_split(version, grace_client, query, found):
    assert rows(grace_client, version, **query) == found


def test_a_row_shows_its_content_escaped(version, grace_client):
    page = grace_client.get(f"/projects/demo/datasets/{version.pk}/rows/doc-2").content.decode()
    assert "def second():" in page
    assert "Lib/&lt;b&gt;.py" in page and "Lib/<b>" not in page


def test_a_row_or_reason_that_is_not_there_is_not_found(version, grace_client):
    for path in ("rows/doc-7", "dropped/too-long"):
        assert grace_client.get(f"/projects/demo/datasets/{version.pk}/{path}").status_code == 404


def test_files_that_have_gone_are_said_so(project, grace_client):
    version = factories.make_dataset_version(project, uri="file:///nowhere/at-all")
    answer = grace_client.get(f"/projects/demo/datasets/{version.pk}/rows")
    assert answer.status_code == 503
    assert "cannot be read" in answer.content.decode()
    for path in ("rows/doc-1", "dropped/duplicate"):
        assert grace_client.get(f"/projects/demo/datasets/{version.pk}/{path}").status_code == 503


def test_a_source_is_added_by_an_absolute_path(project, grace_client):
    form = {"name": "ours", "location": "/srv/ours/", "license": "MIT"}
    assert grace_client.post("/projects/demo/sources/add", {**form, "location": "ours"}).status_code == 422
    assert grace_client.post("/projects/demo/sources/add", form).status_code == 302
    assert Source.objects.get().location == "/srv/ours"
    answer = grace_client.post("/projects/demo/sources/add", form)
    assert (answer.status_code, "ours already" in answer.content.decode()) == (422, True)


def test_data_tokenizer_and_shards_are_started_from_their_pages(version, project, grace_client):
    ingest = {"name": "code", "sources": [factories.make_source(project).pk], "seed": 1}
    ingest |= {"language-languages": "Python, C", "lines-on": "on", "lines-max_line": 400}
    answer = grace_client.post("/projects/demo/datasets/new", {**ingest, "held_out_share": 0.02})
    assert answer.status_code == 302, answer.context["form"].errors
    steps = {
        step["name"]: step["parameters"] for step in DatasetVersion.objects.get(dataset__name="code").recipe["steps"]
    }
    assert (steps["language"]["languages"], steps["lines"]["max_line"]) == (["Python", "C"], 400)
    assert "redaction" not in steps  # its box was not ticked

    sizes = {"vocabulary_size": 512, "sample_bytes": 100_000, "reserved_tokens": 4, "seed": 1}
    form = {"name": "small", "dataset_version": version.pk, **sizes}
    assert grace_client.post("/projects/demo/tokenizers/new", form).status_code == 302
    assert Tokenizer.objects.get(name="small").parameters == sizes | {"pre_tokenizer": "gpt2", "special_tokens": []}

    ready = factories.make_tokenizer(version)
    form = {"dataset_version": version.pk, "tokenizer": ready.pk, "sequence_length": 64, "units": "documents"}
    assert grace_client.post("/projects/demo/shards/new", {**form, "seed": 1}).status_code == 302
    assert ShardSet.objects.get().parameters["sequence_length"] == 64


def test_what_a_form_started_is_a_spec_that_the_stage_takes(version, project, grace_client):
    from datasets_app import jobs

    test_data_tokenizer_and_shards_are_started_from_their_pages(version, project, grace_client)
    assert jobs.ingest_dataset.spec_for(DatasetVersion.objects.get(dataset__name="code").job)
    assert jobs.train_tokenizer.spec_for(Tokenizer.objects.get(name="small").job).reserved_tokens == 4
    assert jobs.build_shards.spec_for(ShardSet.objects.get().job).units == "documents"


def test_another_projects_rows_cannot_be_chosen(version, other_project, mallory_client):
    form = {"name": "mine", "dataset_version": version.pk, "vocabulary_size": 512, "sample_bytes": 100_000}
    answer = mallory_client.post("/projects/elsewhere/tokenizers/new", {**form, "reserved_tokens": 4, "seed": 1})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["dataset_version"])


def test_a_viewer_looks_but_does_not_start(version, victor_client):
    assert victor_client.get(f"/projects/demo/datasets/{version.pk}/rows").status_code == 200
    for page in ("datasets/new", "tokenizers/new", "shards/new", "sources/add"):
        assert victor_client.post(f"/projects/demo/{page}", {}).status_code == 403
