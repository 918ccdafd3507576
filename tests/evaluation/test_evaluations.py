"""Evaluations: what is asked of the stage, how samples become rows, and which scores may be compared."""

from __future__ import annotations

import json

import pytest

from controlplane.access.refusals import Refused
from eval_app import actions, jobs
from eval_app.models import Suite
from tests import factories


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


def sample(task_id, outcome, **more):
    raw = {"task_id": task_id, "sample": 0, "outcome": outcome, "prompt": "x = [1", "completion": "]", "seconds": 0.1}
    return {**raw, "truncated": False, "stdout": "", "stderr": "", **more}


def evaluate(chain, **parameters):
    suite = actions.built_in_suite(project=chain.run.project, by=None, name="starter-python")
    asked = {"subject": chain.version, "suite": suite, "dataset_version": chain.dataset_version}
    return actions.evaluate_model(project=chain.run.project, by=None, parameters=parameters, **asked)


def test_a_spec_carries_the_versions_own_decode_settings(chain):
    spec = jobs.evaluate_model.spec_for(evaluate(chain, samples=2, ks=[1]).job)
    assert spec.decode.repetition_penalty == chain.version.decode_settings["repetition_penalty"]
    assert (spec.model.sha256, spec.dataset.sha256) == (chain.version.sha256, chain.dataset_version.sha256)
    assert (spec.samples, spec.ks, spec.suite.location) == (2, (1,), "starter-python")


def test_every_sample_becomes_a_row_that_can_be_read(chain, tmp_path, grace_client):
    hostile = sample("b", "failed", stdout="<script>alert(1)</script>\0", stderr="y" * 9000, truncated=True)
    lines = [json.dumps(row) for row in (sample("a", "passed"), hostile)]
    (tmp_path / "samples.jsonl").write_text("\n".join(lines))
    evaluation = evaluate(chain, samples=1)
    receipt = factories.manifest("evaluate_model", "evaluation", tmp_path.as_uri(), chain.evaluation.summary, samples=2)
    factories.succeed(evaluation.job, receipt)
    evaluation.refresh_from_db()
    assert evaluation.is_ready
    rows = list(evaluation.samples.order_by("task_id"))
    assert [(row.task_id, row.outcome, row.is_truncated) for row in rows] == [
        ("a", "passed", False),
        ("b", "failed", True),
    ]
    assert (len(rows[1].output), "\0" in rows[1].output) == (4000, False)
    page = grace_client.get(f"/projects/demo/evaluations/{evaluation.pk}/", {"outcome": "failed"})
    assert [row.task_id for row in page.context["page"].rows] == ["b"]


def test_scores_compare_only_under_equal_conditions(chain):
    other = factories.make_evaluation(chain.version, isolation="unsafe")
    assert chain.evaluation.is_comparable_with(factories.make_evaluation(chain.version, pass_at_1=0.1))
    assert chain.evaluation.differences(other) == ["isolation"]


def test_bits_per_byte_are_told_by_split(chain):
    assert chain.evaluation.bits_by_split() == {"held_out": 0.93, "held_out_source": 1.03}


def test_a_suites_name_is_taken_once(project):
    actions.built_in_suite(project=project, by=None, name="human-eval")
    with pytest.raises(Refused, match="human-eval already"):
        actions.add_suite(project=project, by=None, name="human-eval", location="/x.jsonl")


def test_built_in_suites_are_made_once(project):
    actions.add_built_in_suites(project=project)
    actions.add_built_in_suites(project=project)
    assert sorted(Suite.objects.values_list("name", flat=True)) == ["human-eval", "starter", "starter-python"]


def test_a_suite_is_added_by_its_absolute_path(project, grace_client):
    page = "/projects/demo/suites/add"
    assert grace_client.post(page, {"name": "ours", "location": "ours.jsonl"}).status_code == 422
    assert grace_client.post(page, {"name": "ours", "location": "/srv/ours.jsonl"}).status_code == 302


def test_an_evaluation_is_started_from_the_page(chain, grace_client):
    form = {"model_version": chain.version.pk, "suite": factories.make_suite(chain.run.project).pk, "samples": 1}
    answer = grace_client.post("/projects/demo/evaluations/new", {**form, "timeout_seconds": 5})
    assert answer.status_code == 302
    assert grace_client.get(answer.url).status_code == 200
