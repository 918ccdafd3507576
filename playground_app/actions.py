"""Every write to deployments, promotions, completions and feedback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max, Q
from django.urls import reverse
from django.utils import timezone

from controlplane.access import audit
from controlplane.access.models import Project, User
from controlplane.access.refusals import Refused
from controlplane.jobs.actions import submit_job
from datasets_app.models import Dataset, DatasetVersion
from playground_app import gate, jobs, triton
from playground_app.export import accepted
from playground_app.models import Completion, Deployment, Feedback
from training_app.models import Alias, Model, ModelVersion, Promotion

LOADED = (Deployment.State.READY, Deployment.State.LOST)  # what Triton holds, or may hold


@transaction.atomic
def deploy_model(
    *,
    project: Project,
    by: User | None,
    model_version: ModelVersion,
    engine: str = "openvino",
    parameters: Mapping[str, Any] | None = None,
) -> Deployment:
    """Start loading a version on Triton. It has no audience until an alias names its version."""
    deployment = Deployment(
        project=project,
        created_by=by,
        model_version=model_version,
        engine=engine,
        parameters=dict(parameters or {}),
    )
    deployment.served_name = f"{model_version.model.name}-v{model_version.number}-{deployment.pk}"
    deployment.job = submit_job(
        kind=jobs.deploy_model,
        project=project,
        created_by=by,
        title=f"{model_version} on {engine}",
        url=reverse("playground:deployment", args=[project.slug, deployment.pk]),
        priority=10,  # somebody waits for it; a training may have queued before
    )
    deployment.save()
    audit.record(action="deploy_model", actor=by, project=project, obj=deployment, after={"engine": engine})
    return deployment


def stop_deployment(*, deployment: Deployment, by: User) -> None:
    """Unload a deployment, unless an audience still reaches its version."""
    aliases = aliases_of(deployment.model_version)
    if aliases and not _others_serving(deployment).exists():
        raise Refused(f"{deployment.model_version} is on {' and '.join(aliases)}: promote another version first.")
    if deployment.state not in LOADED:
        raise Refused(f"This deployment is {deployment.get_state_display()}; there is nothing to stop.")
    _unload(deployment, by)


def unload_all(*, project: Project, by: User) -> None:
    """Stop all of a project's deployments, those that an audience reaches too: the project is being closed."""
    for deployment in Deployment.objects.filter(project=project, state__in=LOADED):
        _unload(deployment, by)


def _unload(deployment: Deployment, by: User) -> None:
    before = {"state": deployment.state}
    try:
        triton.undeploy(deployment.served_name)
    except triton.Unreachable:
        if deployment.state != Deployment.State.LOST:
            raise Refused("Triton does not answer, so nothing was unloaded. Look at the workers page.") from None
    with transaction.atomic():
        Deployment.objects.filter(pk=deployment.pk).update(state=Deployment.State.STOPPED)
        after = {"state": Deployment.State.STOPPED}
        audit.record(
            action="stop_deployment", actor=by, project=deployment.project, obj=deployment, before=before, after=after
        )


@transaction.atomic
def promote_model(
    *, version: ModelVersion, alias: str, by: User | None, reason: str, override: bool = False, rollback: bool = False
) -> Promotion:
    """Move an alias to `version`, through the gate. Without a ready deployment it is deployed first, and moves then.

    A failed rule refuses, unless `override` is set: the rules as they stood are kept either way. A rollback goes to a
    version that stood there before, so it does not pass the gate again.
    """
    if not reason.strip():
        raise Refused("Say why: the reason is what the next person reads.")
    Model.objects.select_for_update().get(pk=version.model_id)  # one promotion of a model at a time
    current = gate.standing(version.model, alias)
    if current == version:
        raise Refused(f"{version} is on {alias} already.")
    rules = gate.check(version) if alias != Alias.CANDIDATE and not rollback else []
    failed = [rule for rule in rules if not rule.passed]
    if failed and not override:
        raise Refused("The gate is closed: " + " ".join(rule.detail for rule in failed))
    promotion = Promotion.objects.create(
        model=version.model,
        alias=alias,
        from_version=current,
        to_version=version,
        reason=reason.strip(),
        gate=gate.as_json(rules),
        is_override=bool(failed),
        is_rollback=rollback,
        requested_by=by,
    )
    audit.record(
        action="roll_back_model" if rollback else "promote_model",
        actor=by,
        project=version.project,
        obj=version,
        before={alias: str(current) if current else None},
        after={alias: str(version), "gate": promotion.gate, "override": promotion.is_override},
        reason=promotion.reason,
    )
    if alias == Alias.CANDIDATE or version.deployments.filter(state=Deployment.State.READY).exists():
        apply_promotion(promotion=promotion)
        promotion.refresh_from_db()
    elif not version.deployments.filter(state=Deployment.State.STARTING).exists():
        deploy_model(project=version.project, by=by, model_version=version)
    return promotion


@transaction.atomic
def apply_promotion(*, promotion: Promotion) -> None:
    """From now on the alias names the new version. A newer promotion of the same alias makes a waiting one void.

    What the alias named until now is written down here and not when it was asked for: a rollback goes there.
    """
    Model.objects.select_for_update().get(pk=promotion.model_id)
    newer = Promotion.objects.filter(
        model=promotion.model, alias=promotion.alias, id__gt=promotion.pk, applied_at__isnull=False
    )
    if not newer.exists():
        before = gate.standing(promotion.model, promotion.alias)
        waiting = Promotion.objects.filter(pk=promotion.pk, applied_at=None)
        waiting.update(applied_at=timezone.now(), from_version=before)


def roll_back(*, model: Model, alias: str, by: User, reason: str) -> Promotion:
    """Return an alias to the version it named before."""
    newest = (
        Promotion.objects.filter(model=model, alias=alias, applied_at__isnull=False)
        .select_related("from_version__model")
        .order_by("-applied_at", "-id")
        .first()
    )
    if newest is None or newest.from_version is None:
        raise Refused(f"Nothing was on {alias} before; there is nothing to roll back to.")
    return promote_model(version=newest.from_version, alias=alias, by=by, reason=reason, rollback=True)


def aliases_of(version: ModelVersion) -> list[str]:
    """The aliases that name this version now."""
    return [alias for alias in Alias.values if gate.standing(version.model, alias) == version]


def record_completion(*, completion: Completion) -> Completion:
    """Keep a request as it stands, first while it runs and again when it has ended: feedback joins on its id."""
    ending = ["text", "finish_reason", "n_prompt_tokens", "n_tokens", "first_token_ms", "total_ms"]
    Completion.objects.bulk_create([completion], update_conflicts=True, unique_fields=["id"], update_fields=ending)
    return completion


@transaction.atomic
def record_feedback(*, project: Project, completion_id: str, kind: str, elapsed_ms: int | None) -> None:
    """A view, an accept or a dismissal. Saying the same twice changes nothing."""
    completion = Completion.objects.filter(project=project, pk=completion_id).first()
    if completion is None:
        raise Refused(f"There is no completion {completion_id}.")
    Feedback.objects.get_or_create(completion=completion, kind=kind, defaults={"elapsed_ms": elapsed_ms})


@transaction.atomic
def export_feedback(
    *, project: Project, by: User | None, name: str, base: DatasetVersion | None = None
) -> DatasetVersion:
    """Close the loop: what people accepted becomes the next version of the dataset `name`, on top of `base` if given."""
    if not accepted(project).exists():
        raise Refused("Nobody has accepted a completion yet, so there is nothing to export.")
    dataset, _ = Dataset.objects.select_for_update().get_or_create(
        project=project, name=name, defaults={"created_by": by}
    )
    last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
    recipe = {"feedback": True, "base": base.pk if base else None}
    version = DatasetVersion(project=project, created_by=by, dataset=dataset, number=last + 1, recipe=recipe)
    url = reverse("datasets:version", args=[project.slug, version.pk])
    version.job = submit_job(kind=jobs.export_feedback, project=project, created_by=by, title=str(version), url=url)
    version.save()
    version.sources.set(base.sources.all() if base else [])
    audit.record(action="export_feedback", actor=by, project=project, obj=version, after=recipe)
    return version


def _others_serving(deployment: Deployment) -> Any:
    same = Q(model_version=deployment.model_version, state=Deployment.State.READY)
    return Deployment.objects.filter(same).exclude(pk=deployment.pk)
