"""Pages of deployments, promotion and the playground."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui import choices
from controlplane.ui.pages import page_of
from eval_app.actions import add_problem
from eval_app.forms import ProblemForm
from eval_app.problem_views import problem_added
from playground_app import actions, completions, figures, gate
from playground_app.api import event_stream, parts
from playground_app.completions import BadRequest, error_body
from playground_app.export import accepted
from playground_app.forms import ExportForm, FeedbackForm, PromoteForm, ReasonForm
from playground_app.models import Completion, Deployment
from playground_app.routing import NoRoute, is_staff, route, routes
from playground_app.streaming import Answer, briefly
from training_app.models import Model, ModelVersion

EXAMPLE = '''class Inventory:
    def __init__(self, items):
        self.items = items

    def count(self, name):
        """How many items are called name?"""
        return'''


@project_view(Role.VIEWER)
def deployment_list(request: MemberRequest, project: Project) -> HttpResponse:
    page = page_of(Deployment.objects.for_list(project).filter(archived_at=None), request.GET)
    template = "playground/deployment_list.html" + ("#rows" if request.htmx else "")
    return render(request, template, {"page": page})


@project_view(Role.VIEWER)
def deployment_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    deployment = get_owned(Deployment.objects.for_list(project), project, pk)
    context = {
        "deployment": deployment,
        "aliases": actions.aliases_of(deployment.model_version),
        "feel": figures.feel(deployment),
        "completions": deployment.completions.select_related("user").order_by("-at")[:30],
    }
    return render(request, "playground/deployment.html", context)


@project_view(Role.MAINTAINER, methods=("POST",))
def deployment_stop(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    deployment = get_owned(Deployment.objects.for_list(project), project, pk)
    try:
        actions.stop_deployment(deployment=deployment, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("playground:deployment", project.slug, pk)


@project_view(Role.VIEWER)
def completion_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    completion = get_owned(Completion.objects.select_related("deployment__model_version__model", "user"), project, pk)
    return render(
        request, "playground/completion.html", {"completion": completion, "feedback": completion.feedback.all()}
    )


@project_view(Role.MEMBER, methods=("GET", "POST"))
def problem_new(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """Make a bad completion a problem of the project's own suite."""
    completion = get_owned(Completion.objects.select_related("deployment"), project, pk)
    initial = {"suite": "from-the-playground", "language": completion.language or "python", "buggy": completion.text}
    initial |= {name: getattr(completion, name) for name in ("prompt", "suffix")}
    form = ProblemForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            problem = add_problem(project=project, by=request.user, from_completion=pk, **form.cleaned_data)
            return problem_added(request, problem)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"form": form, "completion": completion}
    return render(request, "playground/problem_new.html", context, status=422 if form.errors else 200)


@project_view(Role.MAINTAINER, methods=("GET", "POST"))
def promote(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    version = get_owned(ModelVersion.objects.for_list(project), project, pk)
    form = PromoteForm(request.POST or None, initial={"alias": request.GET.get("alias", "staff")})
    if request.method == "POST" and form.is_valid():
        try:
            promotion = actions.promote_model(version=version, by=request.user, **form.cleaned_data)
            state = "is on" if promotion.applied_at else "goes, once its deployment is ready, to"
            messages.success(request, f"{version} {state} {promotion.alias}.")
            return redirect("training:model-version", project.slug, pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"version": version, "form": form, "rules": gate.check(version), "changes": figures.changes(version)}
    return render(request, "playground/promote.html", context, status=422 if form.errors else 200)


@project_view(Role.MAINTAINER, methods=("POST",))
def roll_back(request: MemberRequest, project: Project, pk: str, alias: str) -> HttpResponse:
    model = get_owned(Model, project, pk)
    form = ReasonForm(request.POST)
    try:
        if not form.is_valid():
            raise Refused("Say why: the reason is what the next person reads.")
        promotion = actions.roll_back(model=model, alias=alias, by=request.user, reason=form.cleaned_data["reason"])
        messages.success(request, f"{alias} is back on {promotion.to_version}.")
        return redirect("training:model-version", project.slug, promotion.to_version_id)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("playground:deployment-list", project.slug)


@project_view(Role.MEMBER)
def editor(request: MemberRequest, project: Project) -> HttpResponse:
    found = routes(project, staff=is_staff(request.user, request.role))
    chosen = next((item for item in found if item.name == request.GET.get("model")), found[0] if found else None)
    context = {
        "routes": found,
        "chosen": chosen,
        "example": EXAMPLE,
        "feel": figures.feel(chosen.deployment) if chosen else None,
        "decode": chosen.deployment.model_version.decode_settings if chosen else {},
    }
    return render(request, "playground/editor.html", context)


@project_view(Role.MEMBER, methods=("POST",))
async def complete(request: MemberRequest, project: Project) -> HttpResponseBase:
    """What the editor asks: a /v1/completions body with `language` beside it; always streamed."""
    try:
        raw = completions.json_object(request.body)
        language = str(raw.pop("language", ""))
        body = completions.read({**raw, "stream": True, "stream_options": {"include_usage": True}})
        staff = is_staff(request.user, request.role)
        found = await briefly(route, project, body.model, staff=staff)
    except BadRequest as error:
        return JsonResponse(error.body(), status=400)
    except NoRoute as error:
        return JsonResponse(error_body(str(error), "invalid_request_error"), status=404)
    return event_stream(parts(body, [Answer(found, body.requests[0], request.user, "playground", language)]))


@project_view(Role.MEMBER, methods=("POST",))
def feedback(request: MemberRequest, project: Project) -> HttpResponse:
    form = FeedbackForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    try:
        actions.record_feedback(project=project, **form.cleaned_data)
    except Refused as refused:
        return JsonResponse({"error": str(refused)}, status=404)
    return HttpResponse(status=204)


@project_view(Role.MEMBER, methods=("GET", "POST"))
def export(request: MemberRequest, project: Project) -> HttpResponse:
    form = ExportForm(request.POST or None, project=project)
    if rows := choices.asked(request, form):
        return rows
    if request.method == "POST" and form.is_valid():
        try:
            version = actions.export_feedback(project=project, by=request.user, **form.cleaned_data)
            return redirect("datasets:version", project.slug, version.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"form": form, "n_accepted": accepted(project).count()}
    return render(request, "playground/export.html", context, status=422 if form.errors else 200)
