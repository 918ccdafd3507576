"""Aliases move through the gate, onto what is deployed; and back again."""

from __future__ import annotations

import pytest

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from controlplane.jobs import transitions
from controlplane.jobs.actions import retry_job
from controlplane.jobs.models import Status
from playground_app import actions, gate, jobs
from tests import factories
from training_app.models import Promotion


@pytest.fixture
def shards(project):
    version = factories.make_dataset_version(project)
    return factories.make_shard_set(version, factories.make_tokenizer(version))


@pytest.fixture
def make_version(shards):
    """`make_version(2, pass_at_1=0.4)` is v2; with pass_at_1 None it has no evaluation."""

    def make(number, pass_at_1=0.4, bits_per_byte=0.93, state="ready", isolation="bubblewrap"):
        version = factories.make_model_version(factories.make_training_run(shards, name=f"run-{number}"), number)
        if pass_at_1 is not None:
            factories.make_evaluation(version, None, pass_at_1, bits_per_byte, isolation)
        if state:
            factories.make_deployment(version, state)
        return version

    return make


def promote(version, by=None, alias="staff", reason="It reads better.", **more):
    return actions.promote_model(version=version, alias=alias, by=by, reason=reason, **more)


def standing(version, alias="staff"):
    found = gate.standing(version.model, alias)
    return found.number if found else None


def succeed(deployment):
    factories.succeed(deployment.job, factories.manifest("deploy_model", "engine"))


def test_the_gate_is_closed_until_a_version_is_evaluated(make_version):
    version = make_version(1, pass_at_1=None)
    with pytest.raises(Refused, match=r"The gate is closed: No finished evaluation: evaluate this version first\."):
        promote(version)
    assert standing(version) is None
    assert not Promotion.objects.exists()


def test_a_candidate_needs_no_gate_and_no_deployment(make_version):
    version = make_version(1, pass_at_1=None, state="")
    promote(version, alias="candidate")
    assert standing(version, "candidate") == 1
    assert not version.deployments.exists()


def test_an_evaluated_and_deployed_version_stands_at_once(make_version, ada):
    version = make_version(1)
    promotion = promote(version, by=ada)
    promotion.refresh_from_db()
    assert promotion.applied_at is not None
    assert [rule["passed"] for rule in promotion.gate] == [True, True, True]
    entry = AuditEntry.objects.get(action="promote_model")
    assert (entry.actor, entry.reason) == (ada, "It reads better.")


def test_a_reason_is_asked_for_and_the_same_twice_is_refused(make_version):
    version = make_version(1)
    with pytest.raises(Refused, match="Say why"):
        promote(version, reason="  ")
    promote(version)
    with pytest.raises(Refused, match="is on staff already"):
        promote(version)


def test_without_a_deployment_one_is_started_and_the_alias_moves_when_it_is_ready(make_version):
    version = make_version(1, state="")
    promotion = promote(version)
    assert (promotion.applied_at, standing(version)) == (None, None)
    deployment = version.deployments.get()
    assert (deployment.state, deployment.job.kind, deployment.job.status) == ("starting", "deploy_model", "queued")
    succeed(deployment)
    deployment.refresh_from_db()
    assert (deployment.state, standing(version)) == ("ready", 1)


def test_a_deployment_under_way_is_not_started_twice(make_version):
    version = make_version(1, state="")
    promote(version)
    promote(version, alias="production")
    assert version.deployments.count() == 1
    succeed(version.deployments.get())
    assert (standing(version), standing(version, "production")) == (1, 1)


def test_a_failed_deployment_moves_nothing_and_serves_nothing(make_version):
    version = make_version(1, state="")
    promote(version)
    job = transitions.claim("cpu", "worker", "here")
    assert transitions.end(job, Status.FAILED, code="serving:app:canary-failed", message="It answered nothing.")
    assert (version.deployments.get().state, standing(version)) == ("stopped", None)


def test_a_retried_deployment_starts_again_and_promotions_wait_for_it(make_version, ada):
    version = make_version(1, state="")
    promote(version)
    job = transitions.claim("cpu", "worker", "here")
    transitions.end(job, Status.FAILED, code="serving:app:canary-failed", message="It answered nothing.")
    retry_job(job=job, by=ada)
    deployment = version.deployments.get()
    assert deployment.state == "starting"
    promote(version, alias="production")
    assert version.deployments.count() == 1
    succeed(deployment)
    assert (standing(version), standing(version, "production")) == (1, 1)


@pytest.mark.parametrize(
    ("pass_at_1", "bits", "closed"),
    [
        (0.39, 0.93, None),
        (0.381, 0.949, None),
        (0.37, 0.93, r"pass@1 37.0% against 40.0%"),
        (0.45, 0.96, r"0.960 bits per byte against 0.930"),
    ],
)
def test_what_is_worse_than_production_beyond_the_margin_is_refused(make_version, pass_at_1, bits, closed):
    factories.make_promotion(make_version(1, 0.4, 0.93), "production")
    version = make_version(2, pass_at_1, bits)
    if closed is None:
        promote(version)
        assert standing(version) == 2
    else:
        with pytest.raises(Refused, match=closed):
            promote(version)


def test_scores_that_do_not_compare_are_refused(make_version):
    factories.make_promotion(make_version(1), "production")
    with pytest.raises(Refused, match="has no evaluation that compares"):
        promote(make_version(2, isolation="unsafe"))


def test_a_tokenizer_that_is_not_the_trained_one_closes_the_gate(make_version):
    version = make_version(1)
    version.tokenizer = factories.make_tokenizer(factories.make_dataset_version(version.project, "other"), "other")
    version.save()
    with pytest.raises(Refused, match="Registered with tokenizer"):
        promote(version)


def test_an_override_goes_through_and_is_recorded(make_version):
    version = make_version(1, pass_at_1=None)
    promotion = promote(version, override=True)
    assert promotion.is_override
    assert AuditEntry.objects.get(action="promote_model").after["override"] is True
    assert not promote(make_version(2), override=True).is_override  # the gate was open


def test_rolling_back_returns_to_the_version_before_without_the_gate(make_version, ada):
    old, new = make_version(1, pass_at_1=0.1), make_version(2, pass_at_1=0.9)
    promote(old, alias="production")
    promote(new, alias="production")
    promotion = actions.roll_back(model=new.model, alias="production", by=ada, reason="It loops.")
    assert promotion.is_rollback
    assert standing(new, "production") == 1


def test_there_is_nothing_to_roll_back_to_at_first(make_version, ada):
    version = make_version(1)
    promote(version)
    for alias in ("staff", "production"):
        with pytest.raises(Refused, match="nothing to roll back to"):
            actions.roll_back(model=version.model, alias=alias, by=ada, reason="why not")


def test_a_newer_promotion_makes_a_waiting_one_void(make_version):
    slow, quick = make_version(1, state=""), make_version(2)
    promote(slow)
    promote(quick)
    succeed(slow.deployments.get())
    assert standing(slow) == 2
    assert Promotion.objects.get(to_version=slow).applied_at is None


def test_a_rollback_goes_to_what_stood_when_it_was_moved_away(make_version, ada):
    """Not to what stood when the newer promotion was asked for: another one was applied in between."""
    first, slow, between = make_version(1), make_version(2, state=""), make_version(3, state="")
    promote(first)
    promote(between)
    promote(slow)
    succeed(between.deployments.get())
    succeed(slow.deployments.get())
    assert standing(first) == 2
    actions.roll_back(model=first.model, alias="staff", by=ada, reason="back")
    assert standing(first) == 3


def test_a_deployment_that_an_alias_reaches_is_not_stopped(make_version, ada, settings):
    version = make_version(1)
    promote(version)
    deployment = version.deployments.get()
    with pytest.raises(Refused, match="completer v1 is on staff: promote another version first"):
        actions.stop_deployment(deployment=deployment, by=ada)
    factories.make_deployment(version)
    settings.TRITON_URL = "127.0.0.1:1"
    with pytest.raises(Refused, match="Triton does not answer"):  # the other one serves it; but no Triton is here
        actions.stop_deployment(deployment=deployment, by=ada)


def test_stopping_unloads_the_model_from_triton(served, ada):
    Promotion.objects.all().delete()
    actions.stop_deployment(deployment=served.staff, by=ada)
    served.staff.refresh_from_db()
    loaded = {name: model.loaded for name, model in served.triton.models.items()}
    assert (served.staff.state, loaded) == ("stopped", {"served-1": True, "served-2": False})


def test_what_is_lost_is_stopped_without_triton_and_what_has_stopped_is_not(make_version, ada, settings):
    settings.TRITON_URL = "127.0.0.1:1"
    lost = factories.make_deployment(make_version(1, state=""), "lost")
    actions.stop_deployment(deployment=lost, by=ada)
    lost.refresh_from_db()
    assert lost.state == "stopped"
    with pytest.raises(Refused, match="there is nothing to stop"):
        actions.stop_deployment(deployment=lost, by=ada)


def test_a_deploy_spec_serves_the_version_as_it_was_registered(make_version):
    version = make_version(1, state="")
    deployment = actions.deploy_model(project=version.project, by=None, model_version=version)
    spec = jobs.deploy_model.spec_for(deployment.job)
    assert (spec.served_name, spec.model.sha256) == (deployment.served_name, version.sha256)
    assert spec.decode.repetition_penalty == 1.1


def test_promotion_by_page_says_where_the_version_is_and_rolls_back(make_version, ada_client):
    old, new = make_version(1), make_version(2)
    for version in (old, new):
        page = f"/projects/demo/models/{version.pk}/promote"
        answer = ada_client.post(page, {"alias": "production", "reason": "better"}, follow=True)
        assert f"{version} is on production." in answer.content.decode()
    page = f"/projects/demo/registry/{new.model_id}/roll-back/production"
    assert "Say why" in ada_client.post(page, {"reason": ""}, follow=True).content.decode()
    answer = ada_client.post(page, {"reason": "it loops"}, follow=True)
    assert "production is back on completer v1." in answer.content.decode()


def test_a_closed_gate_is_said_on_the_page(make_version, ada_client):
    version = make_version(1, pass_at_1=None)
    answer = ada_client.post(f"/projects/demo/models/{version.pk}/promote", {"alias": "staff", "reason": "now"})
    assert answer.status_code == 422
    assert "The gate is closed: No finished evaluation" in answer.content.decode()


def test_a_member_may_not_promote_roll_back_or_stop(make_version, grace_client):
    version = make_version(1)
    for path in (
        f"models/{version.pk}/promote",
        f"registry/{version.model_id}/roll-back/staff",
        f"deployments/{version.deployments.get().pk}/stop",
    ):
        assert grace_client.post(f"/projects/demo/{path}", {"alias": "staff", "reason": "x"}).status_code == 403
