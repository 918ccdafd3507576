"""/v1/evaluations and what lies below it, for scripts: start one, scores, samples, and a suite's leaderboard. A token opens
them.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from controlplane.access.doors import error, token_view
from controlplane.access.models import ApiToken
from controlplane.access.refusals import Refused
from controlplane.ui.pages import page_of
from eval_app import actions, conditions, contamination, export, leaderboard
from eval_app.forms import EvaluationForm
from eval_app.models import Evaluation, Suite

READ = ("GET",)
A_PAGE = 100


@csrf_exempt
def evaluations(request: HttpRequest) -> HttpResponseBase:
    """GET lists them, POST starts one: each asks for the scope of its own."""
    answer: HttpResponseBase = (_start if request.method == "POST" else _list)(request)
    return answer


@token_view(ApiToken.Scope.READ, methods=READ)
def _list(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """The project's evaluations, newest first; `next` is the `after` of the next page, null on the last."""
    rows = Evaluation.objects.for_list(token.project).filter(archived_at=None)
    page = page_of(rows, request.GET, size=A_PAGE)
    return JsonResponse({"object": "list", "data": [_brief(row) for row in page.rows], "next": page.after})


@token_view(ApiToken.Scope.WRITE, methods=("POST",))
def _start(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """A JSON object with the page's fields: suite and one of model_version and baseline, by name or id; the rest may be
    left out. Answers 201 with the evaluation, which is queued then.
    """
    try:
        asked = json.loads(request.body)
    except ValueError as problem:
        return error(400, f"The body is not JSON: {problem}.")
    known = EvaluationForm.base_fields
    if not isinstance(asked, dict) or not known.keys() >= asked.keys():
        return error(400, f"Send a JSON object with fields of these: {', '.join(known)}.")
    form = EvaluationForm({name: field.initial for name, field in known.items()} | asked, project=token.project)
    if not form.is_valid():
        return error(400, "; ".join(f"{name}: {' '.join(map(str, said))}" for name, said in form.errors.items()))
    inputs = {"subject": form.subject} | {name: form.cleaned_data[name] for name in ("suite", "dataset_version")}
    try:
        made = actions.evaluate_model(project=token.project, by=token.user, **inputs, parameters=form.parameters())
    except Refused as refused:
        return error(400, str(refused))
    return JsonResponse(_brief(made), status=201)


@token_view(ApiToken.Scope.READ, methods=READ)
def evaluation(request: HttpRequest, token: ApiToken, pk: str) -> HttpResponse:
    """One evaluation with its whole score and what it must share with another to be compared."""
    row = Evaluation.objects.for_list(token.project).filter(pk=pk).first()
    if row is None:
        return error(404, f"There is no evaluation {pk}.")
    made_under = conditions.conditions(row.summary) if row.is_ready else None
    found = contamination.as_json(contamination.of_evaluation(row)) if row.is_ready else None
    whole = {"parameters": row.parameters, "score": row.summary, "conditions": made_under, "contamination": found}
    return JsonResponse({**_brief(row), **whole})


@token_view(ApiToken.Scope.READ, methods=READ)
def samples(request: HttpRequest, token: ApiToken, pk: str) -> HttpResponseBase:
    """Every sample as a line of JSON."""
    row = Evaluation.objects.filter(project=token.project, pk=pk).first()
    return export.samples(row, "jsonl") if row else error(404, f"There is no evaluation {pk}.")


@token_view(ApiToken.Scope.READ, methods=READ)
def suite_leaderboard(request: HttpRequest, token: ApiToken, name: str) -> HttpResponse:
    """The tables of a suite, of `?language=` alone if given: scores of one table may be compared, others may not."""
    suite = Suite.objects.filter(project=token.project, name=name).first()
    if suite is None:
        return error(404, f"There is no suite {name}.")
    language = request.GET.get("language", "")
    groups = leaderboard.groups(suite, language)
    contamination.mark(suite, groups, language)
    return JsonResponse({"object": "list", "data": [_group(group) for group in groups]})


def _brief(row: Evaluation) -> dict[str, Any]:
    return {
        "id": row.pk,
        "object": "evaluation",
        "suite": row.suite.name,
        "subject": {"kind": row.subject_kind, "id": str(row.subject.pk), "name": row.subject_name},
        "harness": row.harness or None,
        "judged_from": row.judged_from_id,
        "status": row.status,
        "created": int(row.created_at.timestamp()),
        "pass_at_k": row.summary.get("pass_at_k"),
        "cost": row.summary.get("cost"),
    }


def _group(group: leaderboard.Group) -> dict[str, Any]:
    names = ("value", "low", "high", "tokens", "seconds")
    rows = [
        {
            "evaluation": row.pk,
            "subject": str(row),
            "harness": row.harness or None,
            **{name: getattr(row, name) for name in names},
            "clean": dataclasses.asdict(row.clean) if row.clean else None,
        }
        for row in group.shown
    ]
    differs = [item.name for item in group.differing]
    return {"conditions": conditions.conditions(group.score), "differs_from_first": differs, "rows": rows}
