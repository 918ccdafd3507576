"""GET /v1/evaluations and what lies below it, for scripts: scores, samples, and a suite's leaderboard. A token opens them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from controlplane.access.doors import error, token_view
from controlplane.access.models import ApiToken
from controlplane.ui.pages import page_of
from eval_app import conditions, export, leaderboard
from eval_app.models import Evaluation, Suite

READ = ("GET",)
A_PAGE = 100


@token_view(ApiToken.Scope.READ, methods=READ)
def evaluations(request: HttpRequest, token: ApiToken) -> HttpResponse:
    """The project's evaluations, newest first; `next` is the `after` of the next page, null on the last."""
    rows = Evaluation.objects.for_list(token.project).filter(archived_at=None)
    page = page_of(rows, request.GET, size=A_PAGE)
    return JsonResponse({"object": "list", "data": [_brief(row) for row in page.rows], "next": page.after})


@token_view(ApiToken.Scope.READ, methods=READ)
def evaluation(request: HttpRequest, token: ApiToken, pk: str) -> HttpResponse:
    """One evaluation with its whole score and what it must share with another to be compared."""
    row = Evaluation.objects.for_list(token.project).filter(pk=pk).first()
    if row is None:
        return error(404, f"There is no evaluation {pk}.")
    made_under = conditions.conditions(row.summary) if row.is_ready else None
    return JsonResponse({**_brief(row), "parameters": row.parameters, "score": row.summary, "conditions": made_under})


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
    groups = leaderboard.groups(suite, request.GET.get("language", ""))
    return JsonResponse({"object": "list", "data": [_group(group) for group in groups]})


def _brief(row: Evaluation) -> dict[str, Any]:
    return {
        "id": row.pk,
        "object": "evaluation",
        "suite": row.suite.name,
        "model_version": str(row.model_version),
        "status": row.job.status,
        "created": int(row.created_at.timestamp()),
        "pass_at_k": row.summary.get("pass_at_k"),
    }


def _group(group: leaderboard.Group) -> dict[str, Any]:
    names = ("value", "low", "high", "tokens", "seconds")
    rows = [
        {"evaluation": row.pk, "model_version": str(row), **{name: getattr(row, name) for name in names}}
        for row in group.shown
    ]
    differs = [item.name for item in group.differing]
    return {"conditions": conditions.conditions(group.score), "differs_from_first": differs, "rows": rows}
