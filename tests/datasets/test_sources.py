"""Sources: of which kind, what a look at one shows, and what is known of it once it was read."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from controlplane.jobs.models import Job
from datasets_app import actions, jobs
from datasets_app.models import Source, SourcePreview
from tests import factories
from worker import sources, specs

PAGE = "/projects/demo/sources/"
QUERIES = 5  # of the list, whatever its length
PARQUET = {"kind": "parquet", "name": "stack", "location": "s3://corpora/stack/*.parquet", "license": "MIT"}
TABLE = {
    "columns": [["src", "string"], ["where", "string"]],
    "mapping": {"path": "where"},
    "schema": "",
    "problem": "The source stack has no column content",
}
ROW = {
    "path": "<b>a.py",
    "size_bytes": 6,
    "language": "Python",
    "license": "MIT",
    "repository": "ada/tool",
    "author": None,
}


def end_preview(preview, summary):
    receipt = factories.manifest("ingest_dataset", "dataset", summary=summary)
    factories.succeed(preview.job, replace(receipt, outputs={}))


def read(version, name, snapshot, finished_at):
    told = {"read": {name: {"snapshot": snapshot, "files": 3, "bytes": 4096}}}
    receipt = factories.manifest("ingest_dataset", "dataset", summary=told)
    factories.succeed(version.job, replace(receipt, finished_at=finished_at))


def test_every_kind_is_explained_and_has_a_form_that_takes_its_example(project, grace_client):
    page = grace_client.get(f"{PAGE}add").content.decode()
    for kind in sources.KINDS:
        assert kind.title in page
        assert kind.example in grace_client.get(f"{PAGE}add?kind={kind.name}").content.decode()
        form = {"kind": kind.name, "name": kind.name, "location": kind.example, "license": "MIT", "add": "1"}
        answer = grace_client.post(f"{PAGE}add", form)
        assert answer.status_code == 302, answer.context["form"].errors
    assert set(Source.objects.values_list("kind", flat=True)) == set(sources.BY_NAME)


def test_options_and_columns_travel_into_the_spec(project, grace, grace_client):
    form = {**PARQUET, "column_content": "src", "column_license": "-", "exclude": "test, docs/*", "is_held_out": "on"}
    assert grace_client.post(f"{PAGE}add", form).status_code == 302
    form = {"kind": "delta", "name": "lake", "location": "/srv/lake", "license": "unknown", "option_version": "7"}
    assert grace_client.post(f"{PAGE}add", form).status_code == 302
    chosen = list(Source.objects.all())
    version = actions.ingest_dataset(project=project, by=grace, name="code", sources=chosen, recipe={})
    lake, stack = jobs.ingest_dataset.spec_for(version.job).sources
    assert (lake.kind, lake.options) == ("delta", {"version": 7})
    assert (stack.kind, stack.license, stack.held_out, stack.exclude) == ("parquet", "MIT", True, ("test", "docs/*"))
    assert stack.options == {"columns": {"content": "src", "license": ""}}
    plain = specs.to_dict(specs.IngestDataset((lake, stack)))
    assert specs.from_dict("ingest_dataset", plain).sources == (lake, stack)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"location": "stack/x.parquet"}, "absolute path"),
        ({"location": "http://inside.example/x.parquet"}, "not read"),
        ({"location": "s3://key:secret@corpora/x"}, "leave credentials out"),
        ({"kind": "git", "location": "s3://corpora/x"}, "read from disk"),
        ({"kind": "zip-drive"}, ""),
    ],
)
def test_what_a_kind_does_not_allow_is_said_at_the_form(project, grace_client, changes, words):
    answer = grace_client.post(f"{PAGE}add", {**PARQUET, **changes})
    assert answer.status_code == 422
    assert words.casefold() in answer.content.decode().casefold()
    assert not Source.objects.exists()


def test_an_action_refuses_it_as_well(project, grace):
    with pytest.raises(Refused, match="no option revision"):
        actions.add_source(project=project, by=grace, name="s", location="/srv", options={"revision": "main"})


def test_a_look_is_a_job_before_all_others_and_saves_no_source(project, grace_client):
    answer = grace_client.post(f"{PAGE}add", {**PARQUET, "preview": "1"})
    preview = SourcePreview.objects.get()
    assert answer.url == f"{PAGE}previews/{preview.pk}/"
    assert (preview.job.kind, preview.job.url, preview.job.priority > 0) == ("ingest_dataset", answer.url, True)
    spec = jobs.ingest_dataset.spec_for(preview.job)
    assert (spec.preview_rows, spec.sources[0].location) == (jobs.PREVIEW_ROWS, PARQUET["location"])
    page = grace_client.get(answer.url).content.decode()
    assert 'hx-trigger="every 1s"' in page and "waiting for a worker" in page
    assert not Source.objects.exists()
    assert AuditEntry.objects.filter(action="preview_source").exists()


def test_what_was_seen_is_shown_escaped_with_columns_to_choose_from(project, grace, grace_client):
    asked = {**PARQUET, "options": {"columns": {"author": ""}}}
    preview = actions.preview_source(project=project, by=grace, **asked)
    row = {**ROW, "problem": "no-content", "detail": "null", "excerpt": "x < 1"}
    end_preview(preview, {"rows": [row], "table": TABLE, "is_whole": True})
    page = grace_client.get(f"{PAGE}previews/{preview.pk}/")
    text = page.content.decode()
    assert "&lt;b&gt;a.py" in text and "x &lt; 1" in text and "no column content" in text
    assert "hx-trigger" not in text.partition('id="seen"')[2].partition(">")[0]
    chosen = {field.name: field.initial for field in page.context["form"].column_fields}
    assert (chosen["column_path"], chosen["column_author"], chosen["column_content"]) == ("where", "-", None)


def test_a_look_that_was_refused_says_why_and_keeps_what_was_mapped(project, grace, grace_client):
    preview = actions.preview_source(project=project, by=grace, **PARQUET, options={"columns": {"content": "src"}})
    said = {"failure_code": "data:user:source-missing", "failure_message": "The source is not there."}
    Job.objects.filter(pk=preview.job.pk).update(status="failed", finished_at=timezone.now(), **said)
    page = grace_client.get(f"{PAGE}previews/{preview.pk}/").content.decode()
    assert "The source is not there." in page
    assert '<input type="hidden" name="column_content" value="src" form="source">' in page


def test_what_a_version_read_is_kept_with_the_source(project, grace, grace_client):
    source = factories.make_source(project, "my-lib")
    versions = [
        actions.ingest_dataset(project=project, by=grace, name="code", sources=[source], recipe={}) for _ in range(2)
    ]
    now = time.time()
    read(versions[1], "my-lib", "b" * 64, now)
    read(versions[0], "my-lib", "a" * 64, now - 60)  # found in an older receipt: not what the source is now
    source.refresh_from_db()
    assert (source.snapshot, source.n_files, source.n_bytes) == ("b" * 64, 3, 4096)
    assert source.read_at.timestamp() == pytest.approx(now)
    page = grace_client.get(f"{PAGE}{source.pk}/")
    assert [version.snapshot[0] for version in page.context["page"].rows] == ["b", "a"]
    assert page.content.decode().count("as last read") == 1


def test_the_lists_queries_do_not_grow_with_its_rows(project, grace_client, django_assert_num_queries):
    factories.make_source(project, "first")
    with django_assert_num_queries(QUERIES):
        grace_client.get(PAGE)
    for number in range(9):
        factories.make_source(project, f"s{number}")
    with django_assert_num_queries(QUERIES):
        grace_client.get(PAGE)


def test_the_database_knows_the_kinds_and_what_was_read(project):
    source = factories.make_source(project)
    for change in ({"kind": "zip-drive"}, {"snapshot": "a" * 64}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Source.objects.filter(pk=source.pk).update(**change)


def test_credentials_of_sources_reach_the_stage_that_reads_them_and_no_other(project, grace, monkeypatch):
    from controlplane.jobs.preparation import environment

    for name in ("HF_TOKEN", "DATABRICKS_TOKEN", "UNITY_CATALOG_TOKEN"):
        monkeypatch.setenv(name, "let-me-in")
    version = actions.ingest_dataset(
        project=project, by=grace, name="code", sources=[factories.make_source(project)], recipe={}
    )
    tokenizer = factories.make_tokenizer(factories.make_dataset_version(project))
    assert environment(version.job)["HF_TOKEN"] == environment(version.job)["DATABRICKS_TOKEN"] == "let-me-in"
    assert not {"HF_TOKEN", "DATABRICKS_TOKEN", "UNITY_CATALOG_TOKEN"} & set(environment(tokenizer.job))


def test_the_stage_is_told_which_places_it_may_show(project, grace, settings):
    from controlplane.jobs.preparation import environment

    settings.SOURCE_ROOTS, settings.STORAGE_URL = ["/srv/code", "/srv/corpora"], "file:///srv/yard/storage"
    asked = {**PARQUET, "options": {}}
    told = environment(actions.preview_source(project=project, by=grace, **asked).job)
    assert (told["SOURCE_ROOTS"], told["SOURCE_SHOWN"]) == ("/srv/code,/srv/corpora", "/srv/yard/storage")
    assert told["SOURCE_KEPT_OUT"] == str(settings.STATE_DIR)


# ---- changing one --------------------------------------------------------------------------------------------------------


@pytest.fixture
def stack(project, grace):
    """A source that was read, with a version made of it."""
    source = actions.add_source(project=project, by=grace, **PARQUET, options={"columns": {"content": "src"}})
    version = actions.ingest_dataset(project=project, by=grace, name="code", sources=[source], recipe={})
    read(version, "stack", "a" * 64, time.time())
    source.refresh_from_db()
    return source


def edit(client, source, **changes):
    form = {"kind": source.kind, "location": source.location, "license": "MIT", "column_content": "src", **changes}
    return client.post(f"{PAGE}{source.pk}/edit", form)


def test_a_source_is_edited_and_what_was_made_of_it_stays(grace_client, stack):
    page = grace_client.get(f"{PAGE}{stack.pk}/edit")
    assert "1 version of 1 dataset was made of this source: its rows stay as they are" in page.content.decode()
    assert page.context["form"].initial["column_content"] == "src"
    summary = stack.dataset_versions.get().summary
    answer = edit(grace_client, stack, location="s3://corpora/newer/*.parquet", name="other", exclude="test")
    assert answer.url == f"{PAGE}{stack.pk}/"
    stack.refresh_from_db()
    assert (stack.name, stack.location, stack.exclude) == ("stack", "s3://corpora/newer/*.parquet", ["test"])
    assert (stack.read_at, stack.snapshot, stack.n_files) == (None, "", None)  # what is there now nobody has read
    assert stack.dataset_versions.get().summary == summary
    entry = AuditEntry.objects.get(action="edit_source")
    assert (entry.before["location"], entry.after["exclude"]) == (PARQUET["location"], ["test"])
    assert "license" not in entry.after


def test_words_about_a_source_leave_what_is_known_of_its_state(grace_client, stack):
    assert edit(grace_client, stack, origin="release 2").status_code == 302
    stack.refresh_from_db()
    assert (stack.origin, stack.snapshot) == ("release 2", "a" * 64)


def test_a_source_can_become_one_of_another_kind(grace_client, stack):
    page = grace_client.get(f"{PAGE}{stack.pk}/edit?kind=delta").content.decode()
    assert "so far of kind Parquet" in page and "option_version" in page
    assert edit(grace_client, stack, kind="delta", location="/srv/lake", option_version="7").status_code == 302
    stack.refresh_from_db()
    assert (stack.kind, stack.options) == ("delta", {"version": 7, "columns": {"content": "src"}})


def test_what_the_kind_does_not_allow_is_said_at_the_edit_form_too(grace_client, stack):
    answer = edit(grace_client, stack, location="http://inside.example/x.parquet")
    assert answer.status_code == 422 and "not read" in answer.content.decode()


def test_a_source_that_a_running_job_reads_is_neither_changed_nor_archived(project, grace, grace_client, stack):
    actions.ingest_dataset(project=project, by=grace, name="code", sources=[stack], recipe={})
    answer = edit(grace_client, stack, location="s3://corpora/newer/*.parquet")
    assert answer.status_code == 422 and "code v2 is being made of it" in answer.content.decode()
    with pytest.raises(Refused, match="code v2 is being made of it"):
        actions.archive_source(source=stack, by=grace)


def test_an_archived_source_is_offered_no_longer_and_comes_back(grace_client, stack):
    page = grace_client.get(f"{PAGE}{stack.pk}/").content.decode()
    assert "1 version of 1 dataset was made of it and stays as it is." in page
    archive = f"{PAGE}{stack.pk}/archive"
    grace_client.post(archive, {"confirm": "not its name"})
    assert Source.objects.get().archived_at is None
    assert grace_client.post(archive, {"confirm": "stack"}).url == PAGE
    assert grace_client.get(PAGE).context["page"].rows == []
    assert grace_client.get(f"{PAGE}?shown=archived").context["page"].rows == [stack]
    assert "stack" not in grace_client.get("/projects/demo/datasets/new").content.decode()
    assert "Restore" in grace_client.get(f"{PAGE}{stack.pk}/").content.decode()
    assert grace_client.post(f"{PAGE}{stack.pk}/restore").status_code == 302
    assert grace_client.get(PAGE).context["page"].rows == [stack]
    assert list(
        AuditEntry.objects.filter(action__endswith="_source").order_by("at").values_list("action", flat=True)
    ) == [
        "add_source",
        "archive_source",
        "restore_source",
    ]


def test_a_viewer_sees_no_button_to_change_a_source(victor_client, stack):
    page = victor_client.get(f"{PAGE}{stack.pk}/").content.decode()
    assert "Archive" not in page and "Edit" not in page
