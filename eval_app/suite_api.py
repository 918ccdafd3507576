"""/v1/suites, for scripts: the project's suites, a suite's admission, a file put up as a suite, and a suite admitted."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from controlplane.access.doors import error, token_view
from controlplane.access.models import ApiToken
from controlplane.access.refusals import Refused
from eval_app import actions
from eval_app.forms import AdmitForm, SuiteUploadForm
from eval_app.models import Suite, SuiteAdmission


@token_view(ApiToken.Scope.READ, methods=("GET",))
def suites(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """Those that are not archived, by name."""
    rows = Suite.objects.filter(project=token.project, archived_at=None).order_by("name")
    return JsonResponse({"object": "list", "data": [_suite(row) for row in rows]})


@token_view(ApiToken.Scope.WRITE, methods=("POST",))
def upload(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """A multipart form as the page sends it: name, file (.jsonl or .jsonl.gz), and a description if wanted."""
    form = SuiteUploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return error(400, _said(form))
    file = form.cleaned_data.pop("file")
    try:
        made = actions.upload_suite(
            project=token.project, by=token.user, file_name=file.name, content=file.read(), **form.cleaned_data
        )
    except Refused as refused:
        return error(400, str(refused))
    return JsonResponse(_suite(made), status=201)


@token_view(ApiToken.Scope.READ, methods=("GET",))
def admission(request: HttpRequest, token: ApiToken, name: str) -> HttpResponse:
    """The suite's newest admission: its job's status and, once it is done, what counts by language and what does not."""
    suite = Suite.objects.filter(project=token.project, name=name).first()
    newest = SuiteAdmission.objects.of_suite(suite).first() if suite else None
    if newest is None:
        return error(404, f"There is no suite {name} that was ever admitted.")
    return JsonResponse(_admission(newest))


@token_view(ApiToken.Scope.WRITE, methods=("POST",))
def admit(request: HttpRequest, token: ApiToken, name: str) -> HttpResponse:
    """Begin to admit it; timeout_seconds and unproved may be given, as the page's form has them."""
    suite = Suite.objects.filter(project=token.project, name=name, archived_at=None).first()
    if suite is None:
        return error(404, f"There is no suite {name}.")
    form = AdmitForm({"timeout_seconds": AdmitForm.base_fields["timeout_seconds"].initial, **request.POST.dict()})
    if not form.is_valid():
        return error(400, _said(form))
    try:
        made = actions.admit_suite(project=token.project, by=token.user, suite=suite, parameters=form.cleaned_data)
    except Refused as refused:
        return error(400, str(refused))
    return JsonResponse(_admission(made), status=202)


def _suite(row: Suite) -> dict[str, Any]:
    newest = SuiteAdmission.objects.newest_ready(row)
    counts = {"problems": newest.counts["problems"], "admitted": newest.counts["admitted"]} if newest else None
    return {"object": "suite", "name": row.name, "description": row.description, "admission": counts}


def _admission(row: SuiteAdmission) -> dict[str, Any]:
    told = {name: row.summary.get(name) for name in ("version", "languages", "excluded", "state")}
    return {"object": "admission", "id": row.pk, "suite": row.suite.name, "status": row.job.status, **told}


def _said(form: Any) -> str:
    return "; ".join(f"{name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items())
