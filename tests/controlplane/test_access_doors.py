"""The doors, tried from outside: sessions, roles, tokens, CSRF, and what each refusal looks like to who is refused."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.http import JsonResponse
from django.test import AsyncClient, Client
from django.urls import path
from django.utils import timezone

from controlplane.access import audit
from controlplane.access.doors import authenticate_token, get_owned, project_view, token_view
from controlplane.access.models import ApiToken, AuditEntry, Membership, Role, User
from tests import factories
from tests.factories import bearer

pytestmark = pytest.mark.django_db


@project_view(Role.MEMBER)
def page(request, project):
    return JsonResponse({"project": project.slug, "role": request.role, "same": request.project == project})


@project_view(Role.MEMBER, methods=("POST",))
async def async_page(request, project, pk):
    return JsonResponse({"project": project.slug, "pk": pk, "user": request.user.username})


@project_view(Role.VIEWER)
def member_row(request, project, pk):
    return JsonResponse({"user": get_owned(Membership.objects.select_related("user"), project, pk).user.username})


@token_view("write")
def write(request, token):
    audit.record(action="write_thing", actor=token.user, project=token.project, obj=token.project)
    return JsonResponse({"user": request.user.username, "project": token.project.slug})


@token_view("complete")
async def complete(request, token):
    return JsonResponse({"user": token.user.username})


@token_view("read", role=Role.ADMIN)
def admins_only(request, token):
    return JsonResponse({})


urlpatterns = [
    path("sign-in/", page, name="sign-in"),
    path("p/<slug:slug>/page", page),
    path("p/<slug:slug>/async/<str:pk>", async_page),
    path("p/<slug:slug>/member/<int:pk>", member_row),
    path("v1/write", write),
    path("v1/complete", complete),
    path("v1/admin", admins_only),
]


@pytest.fixture(autouse=True)
def doors_alone(settings):
    """Nothing but the views above, so that this file tests the doors and no page."""
    settings.ROOT_URLCONF = __name__
    settings.LOGIN_URL = "/sign-in/"


# ---- sessions --------------------------------------------------------------------------------------------------------


def test_a_member_gets_the_project_and_their_role(ada_client):
    assert ada_client.get("/p/demo/page").json() == {"project": "demo", "role": Role.MAINTAINER, "same": True}


def test_the_anonymous_are_sent_to_sign_in_and_back(anonymous, project):
    response = anonymous.get("/p/demo/page?a=1")
    assert response.status_code == 302
    assert response.url == "/sign-in/?next=/p/demo/page%3Fa%3D1"


def test_the_anonymous_learn_nothing_of_which_projects_exist(anonymous, project):
    assert anonymous.get("/p/demo/page").status_code == anonymous.get("/p/none/page").status_code == 302


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_scripts_without_a_session_get_401_as_json(anonymous, project, accept):
    response = anonymous.get("/p/demo/page", headers={"Accept": accept})
    assert response.status_code == 401
    assert response.json()["error"]["message"]


def test_htmx_leaves_for_the_sign_in_page_instead_of_swapping_it_in(anonymous, project):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/p/demo/page"}
    response = anonymous.get("/p/demo/page", headers=headers)
    assert response.status_code == 401
    assert response.headers["HX-Redirect"] == "/sign-in/?next=/p/demo/page"


def test_strangers_cannot_tell_a_project_from_none(mallory_client, project):
    assert mallory_client.get("/p/demo/page").status_code == 404
    assert mallory_client.get("/p/none/page").status_code == 404
    assert mallory_client.get("/p/elsewhere/page").status_code == 200


def test_too_low_a_role_is_told_so(victor_client):
    assert victor_client.get("/p/demo/page").status_code == 403
    as_json = victor_client.get("/p/demo/page", headers={"Accept": "application/json"})
    assert as_json.json()["error"]["message"] == "This is for a member of the project or higher; you are its viewer."


def test_other_methods_are_refused_but_head_comes_with_get(ada_client):
    assert ada_client.post("/p/demo/page").status_code == 405
    assert ada_client.head("/p/demo/page").status_code == 200


def test_rows_of_other_projects_are_not_there(ada_client, grace, mallory):
    assert ada_client.get(f"/p/demo/member/{grace.memberships.get().pk}").json() == {"user": "grace"}
    assert ada_client.get(f"/p/demo/member/{mallory.memberships.get().pk}").status_code == 404


@pytest.fixture
async def no_connection_left(transactional_db):
    """Async requests query in a thread of their own, whose connection would keep the database from being dropped."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.mark.usefixtures("no_connection_left")
async def test_async_views_go_through_the_same_door(ada, victor, mallory):
    client = AsyncClient()
    assert (await client.post("/p/demo/async/7")).status_code == 302
    for person, status in ((ada, 200), (victor, 403), (mallory, 404)):
        await client.aforce_login(person, backend="django.contrib.auth.backends.ModelBackend")
        assert (await client.post("/p/demo/async/7")).status_code == status
    await client.aforce_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    assert (await client.post("/p/demo/async/7")).json() == {"project": "demo", "pk": "7", "user": "ada"}


def test_a_session_does_not_post_without_a_csrf_token(ada):
    strict = factories.signed_in_client(ada, enforce_csrf_checks=True)
    assert strict.post("/p/demo/async/7").status_code == 403


# ---- tokens ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def script() -> Client:
    return Client(enforce_csrf_checks=True)


def test_a_token_writes_without_csrf_and_is_named_in_the_audit_trail(script, project, grace):
    token, secret = factories.token(project, grace)
    assert script.post("/v1/write", headers=bearer(secret)).json() == {"user": "grace", "project": "demo"}
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.actor, entry.token) == ("write_thing", grace, token)
    assert audit.acting_token.get() is None


def test_a_session_opens_no_token_endpoint(ada_client):
    assert ada_client.post("/v1/write").status_code == 401


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {}", "{}"])
def test_anything_but_a_valid_bearer_token_is_401(script, project, grace, value):
    _, secret = factories.token(project, grace)
    response = script.post("/v1/write", headers={"Authorization": value.format(secret)})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert set(response.json()["error"]) == {"message", "type", "code"}


def test_the_hash_is_no_token(script, project, grace):
    token, _ = factories.token(project, grace)
    assert script.post("/v1/write", headers=bearer(token.sha256)).status_code == 401


def test_expired_and_revoked_tokens_and_those_of_people_switched_off_are_401(script, project, grace):
    token, secret = factories.token(project, grace)
    past = timezone.now() - timedelta(seconds=1)
    rows = ApiToken.objects.filter(pk=token.pk)
    for change in ({"expires_at": past}, {"revoked_at": past}):
        kept = rows.values(*change).get()
        rows.update(**change)
        assert script.post("/v1/write", headers=bearer(secret)).status_code == 401
        rows.update(**kept)
    assert script.post("/v1/write", headers=bearer(secret)).status_code == 200
    User.objects.filter(pk=grace.pk).update(is_active=False)
    assert script.post("/v1/write", headers=bearer(secret)).status_code == 401


def test_a_token_does_only_what_its_scopes_say(script, project, grace):
    _, secret = factories.token(project, grace, "read")
    assert script.post("/v1/write", headers=bearer(secret)).status_code == 403


def test_a_token_sinks_with_its_persons_role(script, project, grace):
    _, secret = factories.token(project, grace, "read", "write")
    Membership.objects.filter(user=grace).update(role=Role.VIEWER)
    assert script.post("/v1/write", headers=bearer(secret)).status_code == 403
    Membership.objects.filter(user=grace).delete()
    assert script.post("/v1/write", headers=bearer(secret)).status_code == 403


def test_an_endpoint_may_ask_for_more_than_the_scopes_role(script, project, grace, iris):
    _, low = factories.token(project, grace)
    _, high = factories.token(project, iris)
    assert script.get("/v1/admin", headers=bearer(low)).status_code == 403
    assert script.get("/v1/admin", headers=bearer(high)).status_code == 200


def test_when_a_token_was_used_is_written_at_most_once_a_minute(script, project, grace):
    token, secret = factories.token(project, grace)
    rows = ApiToken.objects.filter(pk=token.pk)
    script.post("/v1/write", headers=bearer(secret))
    first = rows.get().last_used_at
    assert first is not None
    script.post("/v1/write", headers=bearer(secret))
    assert rows.get().last_used_at == first
    rows.update(last_used_at=first - timedelta(minutes=2))
    script.post("/v1/write", headers=bearer(secret))
    assert rows.get().last_used_at > first - timedelta(minutes=2)


@pytest.mark.usefixtures("no_connection_left")
async def test_async_endpoints_take_tokens_too(project, grace):
    _, secret = await sync_to_async(factories.token)(project, grace)
    client = AsyncClient(enforce_csrf_checks=True)
    assert json.loads((await client.post("/v1/complete", headers=bearer(secret))).content) == {"user": "grace"}
    assert (await client.post("/v1/complete")).status_code == 401


def test_authenticate_token_answers_none_for_everything_it_would_not_let_in(rf, project, victor):
    _, secret = factories.token(project, victor, "read")
    asked = rf.get("/", headers=bearer(secret))
    found = authenticate_token(asked, "read")
    assert found is not None
    assert (found.user, found.project) == (victor, project)
    assert authenticate_token(asked, "complete") is None
    assert authenticate_token(rf.get("/"), "read") is None
