"""A step opens to its samples and rows, and a row to the steps that saw it."""

from __future__ import annotations

import duckdb
import pytest

from controlplane.jobs.relay import job_dir
from tests import factories, stage_rows


@pytest.fixture
def run(project):
    version = stage_rows.version(project)
    return stage_rows.run(stage_rows.shards(version, stage_rows.tokenizer(version)))


def step_of(client, run, number):
    return client.get(f"/projects/demo/runs/{run.pk}/steps/{number}")


def test_a_step_shows_its_samples_worst_first_with_their_documents(run, grace_client):
    answer = step_of(grace_client, run, 3)
    step = answer.context["step"]
    assert [row.loss for row in step.seen] == [3.375, 3.25, 3.125, 3.0]
    assert (step.total, step.epoch) == (4, 1)
    assert all(row.pieces for row in step.seen)
    page = answer.content.decode()
    assert "highest loss first" in page
    assert f"/samples/train/{step.seen[0].sample}" in page and "pkg/module_" in page


def test_steps_of_the_second_epoch_say_so(run, grace_client):
    n_samples = run.shard_set.summary["meta"]["n_samples"]["train"]
    assert n_samples < 12 * 4, "the made-up run is shorter than an epoch"
    assert step_of(grace_client, run, 12).context["step"].epoch == 1 + 11 * 4 // n_samples


def test_the_form_opens_a_step_and_a_bad_number_leads_back(run, grace_client):
    page = f"/projects/demo/runs/{run.pk}"
    assert grace_client.get(f"{page}/step", {"step": "7"}).url == f"{page}/steps/7"
    for text in ("", "0", "-1", "seven", "9" * 40):
        assert grace_client.get(f"{page}/step", {"step": text}).url == f"{page}/"
    assert f'action="{page}/step"' in grace_client.get(f"{page}/").content.decode()


@pytest.mark.parametrize("number", [13, 0, 10**17])
def test_a_step_that_never_was_is_not_found(run, grace_client, number):
    assert step_of(grace_client, run, number).status_code == 404


def test_a_running_job_shows_what_it_has_written_so_far(run, grace_client, settings, tmp_path):
    settings.JOBS_DIR = tmp_path
    run.summary = {}
    run.save()
    assert "no step yet" in step_of(grace_client, run, 2).content.decode()
    folder = job_dir(run.job) / "work" / "batches"
    folder.mkdir(parents=True)
    # As runs wrote before losses were recorded.
    sql = "SELECT 2 AS step, [5, 6]::BIGINT[] AS sample_ids"
    duckdb.sql(f"COPY ({sql}) TO '{folder / '000000001-000000002.parquet'}' (FORMAT parquet)")
    answer = step_of(grace_client, run, 2)
    assert [(row.sample, row.loss) for row in answer.context["step"].seen] == [(5, None), (6, None)]
    assert "recorded no losses" in answer.content.decode()


def test_a_document_names_the_samples_and_steps_that_saw_it(run, grace_client):
    piece = step_of(grace_client, run, 3).context["step"].seen[0].pieces[0]
    url = f"/projects/demo/datasets/{run.shard_set.dataset_version_id}/rows/{piece['document']}/seen"
    answer = grace_client.get(url)
    (packed,) = answer.context["packed"]
    assert packed.splits["train"].total >= 1
    assert 3 in packed.runs[0].steps
    assert packed.runs[0].total == len(packed.runs[0].steps)
    part = grace_client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert part.strip().startswith('<section class="card" id="seen"') and "/steps/3" in part


def test_the_rows_page_asks_for_who_saw_it(run, grace_client):
    piece = step_of(grace_client, run, 1).context["step"].seen[0].pieces[0]
    url = f"/projects/demo/datasets/{run.shard_set.dataset_version_id}/rows/{piece['document']}"
    assert f'hx-get="{url}/seen"' in grace_client.get(url).content.decode()


def test_a_run_whose_record_has_gone_is_said_so_and_the_others_are_shown(run, grace_client):
    piece = step_of(grace_client, run, 3).context["step"].seen[0].pieces[0]
    lost = stage_rows.run(run.shard_set, "calm-otter-2")
    lost.summary = {"batches": {"uri": "file:///nowhere/batches", "sha256": "0" * 64}}
    lost.save()
    url = f"/projects/demo/datasets/{run.shard_set.dataset_version_id}/rows/{piece['document']}/seen"
    (packed,) = grace_client.get(url).context["packed"]
    found = {saw.run.name: (saw.total > 0, bool(saw.problem)) for saw in packed.runs}
    assert found == {"brave-heron-1": (True, False), "calm-otter-2": (False, True)}
    assert step_of(grace_client, lost, 3).status_code == 503


def test_a_run_keeps_where_its_record_is(project):
    version = stage_rows.version(project)
    waiting = stage_rows.run(stage_rows.shards(version, stage_rows.tokenizer(version)))
    from training_app import jobs

    manifest = factories.manifest("train_model", "model", parameters=10)
    jobs.train_model.on_success(waiting.job, manifest)
    waiting.refresh_from_db()
    assert waiting.summary["batches"]["uri"] == manifest.outputs["batches"].uri
