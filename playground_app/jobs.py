"""What the queue calls for a deployment. It is ready only when its canary answered; promotions that waited for it apply then."""

from __future__ import annotations

from controlplane.jobs.kinds import JobKind
from controlplane.jobs.models import Job
from datasets_app.jobs import artifact, receive
from datasets_app.models import DatasetVersion
from playground_app.export import publish_rows
from playground_app.models import Deployment
from training_app.models import Model, Promotion
from worker import specs
from worker.manifest import Manifest


def _spec(job: Job) -> specs.DeployModel:
    row = Deployment.objects.select_related("model_version").get(job=job)
    version = row.model_version
    raw = {
        "model": {"uri": version.uri, "sha256": version.sha256},
        "served_name": row.served_name,
        "engine": row.engine,
        "decode": version.decode_settings,
        **row.parameters,
    }
    spec: specs.DeployModel = specs.from_dict("deploy_model", raw)
    return spec


def _on_success(job: Job, manifest: Manifest) -> None:
    from playground_app import actions  # actions submits this kind

    deployment = Deployment.objects.select_related("model_version").get(job=job)
    # A promotion asked for just now either sees this deployment ready or is seen waiting below: both hold the model.
    Model.objects.select_for_update().get(pk=deployment.model_version.model_id)
    receive(deployment, manifest, "engine")
    deployment.state = Deployment.State.READY
    deployment.save(update_fields=["state"])
    waiting = Promotion.objects.filter(to_version=deployment.model_version, applied_at=None)
    for promotion in waiting.select_related("model").order_by("id"):
        actions.apply_promotion(promotion=promotion)


def _on_end(job: Job) -> None:
    """Whatever ended it, nothing is served under this row's name."""
    Deployment.objects.filter(job=job).update(state=Deployment.State.STOPPED)


def _on_reopen(job: Job) -> None:
    """It starts again: a promotion asked for meanwhile waits for this one and begins no second deployment."""
    deployment = Deployment.objects.select_related("model_version").get(job=job)
    Model.objects.select_for_update().get(pk=deployment.model_version.model_id)  # as a promotion does while it looks
    deployment.state = Deployment.State.STARTING
    deployment.save(update_fields=["state"])


deploy_model = JobKind(
    app="playground_app",
    verb="deploy_model",
    queue="cpu",
    spec_for=_spec,
    on_success=_on_success,
    on_end=_on_end,
    on_reopen=_on_reopen,
)


def _feedback_spec(job: Job) -> specs.ExportFeedback:
    version = DatasetVersion.objects.select_related("project").get(job=job)
    base = DatasetVersion.objects.filter(pk=version.recipe.get("base")).first()
    return specs.ExportFeedback(rows=publish_rows(version.project), base=artifact(base) if base else None)


export_feedback = JobKind(
    app="playground_app",
    verb="export_feedback",
    queue="cpu",
    spec_for=_feedback_spec,
    on_success=lambda job, manifest: receive(DatasetVersion.objects.get(job=job), manifest, "dataset"),
)
