"""POST /v1/completions and GET /v1/models, as OpenAI's clients speak them; a token opens them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from django.http import HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse

from controlplane.access.doors import MemberRequest, token_view
from controlplane.access.models import ApiToken, Role
from playground_app import completions, triton
from playground_app.completions import BadRequest, Body, error_body
from playground_app.models import new_completion_id
from playground_app.routing import NoRoute, is_staff, route, routes
from playground_app.streaming import Answer, briefly, merged


@token_view(ApiToken.Scope.COMPLETE, methods=("GET",))
def models(request: MemberRequest, token: ApiToken) -> HttpResponse:
    """The names that this token's person may ask for."""
    found = routes(token.project, staff=is_staff(token.user, request.role))
    rows = [
        {
            "id": item.name,
            "object": "model",
            "created": int(item.deployment.created_at.timestamp()),
            "owned_by": token.project.slug,
        }
        for item in found
    ]
    return JsonResponse({"object": "list", "data": rows})


@token_view(ApiToken.Scope.COMPLETE, methods=("POST",))
async def create_completion(request: MemberRequest, token: ApiToken) -> HttpResponseBase:
    try:
        body = completions.parse(request.body)
        answers = await briefly(_answers, body, token, request.role)
    except BadRequest as error:
        return JsonResponse(error.body(), status=400)
    except NoRoute as error:
        return JsonResponse(error_body(str(error), "invalid_request_error", "model", "model_not_found"), status=404)
    if body.stream:
        return event_stream(parts(body, answers))
    return await _whole(body, answers)


def event_stream(events: AsyncIterator[str]) -> StreamingHttpResponse:
    """Server-sent events that no proxy holds back."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(events, content_type="text/event-stream", headers=headers)


async def parts(body: Body, answers: list[Answer]) -> AsyncIterator[str]:
    """The events of a streamed answer; an error after the first byte is an event too, as the status has gone out."""
    completion_id, created = answers[0].id, int(time.time())
    begun: set[int] = set()
    try:
        async for index, chunk in merged(answers):
            part = completions.stream_part(completion_id, created, body, index, chunk, begins=index not in begun)
            begun.add(index)
            yield completions.sse(part)
    except triton.TritonError as error:
        yield completions.sse(error_body(str(error), "server_error"))
        return
    if body.include_usage:
        choices = [answer.choice for answer in answers]
        yield completions.sse(completions.usage_part(completion_id, created, body, choices))
    yield completions.SSE_DONE


async def _whole(body: Body, answers: list[Answer]) -> HttpResponse:
    try:
        async for _ in merged(answers):
            pass
    except triton.Unreachable as error:
        return JsonResponse(error_body(str(error), "server_error"), status=503)
    except triton.TritonError as error:
        return JsonResponse(error_body(str(error), "server_error"), status=502)
    choices = [answer.choice for answer in answers]
    return JsonResponse(completions.response(answers[0].id, int(time.time()), body, choices))


def _answers(body: Body, token: ApiToken, role: Role) -> list[Answer]:
    """One answer a choice; the first carries the response's id, the others that id and their index."""
    found = route(token.project, body.model, staff=is_staff(token.user, role))
    completion_id = new_completion_id()
    answers = []
    for index, request in enumerate(body.requests):
        answer = Answer(found, request, token.user, "api", id=f"{completion_id}-{index}" if index else completion_id)
        answer.choice.index = index
        answers.append(answer)
    return answers
