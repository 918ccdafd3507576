"""One's own account: the password and what ends with it; the projects that one may switch to."""

from __future__ import annotations

import pytest
from django.test import Client

from controlplane.access import actions
from controlplane.access.models import AuditEntry, Role
from tests import factories

pytestmark = pytest.mark.django_db
NEW = "a-better-horse-battery"


def change(client: Client, old: str = factories.PASSWORD, new: str = NEW, again: str = NEW):
    return client.post("/account/", {"old_password": old, "new_password1": new, "new_password2": again})


def is_signed_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


def test_a_new_password_ends_other_browsers_and_waiting_links_and_not_this_one(grace, grace_client, anonymous):
    other = factories.signed_in_client(grace)
    link = actions.make_sign_in_link(username="grace")
    assert change(grace_client).status_code == 302
    assert is_signed_in(grace_client)
    assert not is_signed_in(other)
    assert anonymous.post(link).status_code == 410
    assert anonymous.post("/sign-in/", {"username": "grace", "password": NEW}).status_code == 302
    entry = AuditEntry.objects.get(action="change_password")
    assert (entry.actor, entry.object_name, entry.after) == (grace, "grace", {"sign_in_links_ended": 1})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"old": "wrong"}, "entered incorrectly"),
        ({"again": "another-battery"}, "didn’t match"),
        ({"new": "short", "again": "short"}, "too short"),
        ({"new": "password1", "again": "password1"}, "too common"),
    ],
)
def test_a_password_is_refused_as_django_refuses_it(grace, grace_client, asked, said):
    answer = change(grace_client, **asked)
    assert (answer.status_code, said in answer.content.decode()) == (422, True)
    grace.refresh_from_db()
    assert grace.check_password(factories.PASSWORD)


def test_who_came_by_link_sets_a_first_password_without_an_old_one(project, anonymous):
    person = actions.create_user(username="linus", by=None)
    client = factories.signed_in_client(person)
    assert "old_password" not in client.get("/account/").content.decode()
    assert client.post("/account/", {"new_password1": NEW, "new_password2": NEW}).status_code == 302
    assert anonymous.post("/sign-in/", {"username": "linus", "password": NEW}).status_code == 302


def switcher(client: Client, words: str = ""):
    answer = client.get("/projects/", {"q": words}, headers={"Accept": "application/json"})
    return [(row["name"], row["kind"]) for row in answer.json()]


def test_the_switcher_lists_ones_own_open_projects(grace, grace_client, mallory, root_client):
    second = factories.project(slug="second", name="Second")
    actions.add_member(project=second, user=grace, role=Role.ADMIN, by=None)
    assert switcher(grace_client) == [("First yard", "member"), ("Second", "admin")]
    assert switcher(grace_client, "SEC\0") == [("Second", "admin")]
    assert [name for name, _ in switcher(root_client)] == ["Elsewhere", "First yard", "Second"]
    actions.archive_project(project=second, by=grace)
    assert switcher(grace_client) == [("First yard", "member")]


def test_the_page_of_projects_works_without_a_script(grace_client, mallory):
    page = grace_client.get("/projects/").content.decode()
    assert 'href="/projects/demo/"' in page
    assert "Elsewhere" not in page
    assert 'href="/projects/"' in grace_client.get("/projects/demo/").content.decode()


# ---- archived projects -----------------------------------------------------------------------------------------------


def test_in_an_archived_project_pages_open_and_writes_are_refused(project, iris, iris_client, ada_client):
    actions.archive_project(project=project, by=iris)
    page = ada_client.get("/projects/demo/runs/")
    assert (page.status_code, "was archived" in page.content.decode()) == (200, True)
    refused = iris_client.post("/projects/demo/people/add", {"username": "new", "role": 20})
    assert refused.status_code == 403
    assert "archived and read-only" in refused.content.decode()


def test_in_an_archived_project_tokens_only_read(project, ada, iris):
    from controlplane.access.doors import authenticate_token

    _, secret = factories.token(project, ada)
    actions.archive_project(project=project, by=iris)

    class Asking:
        headers = factories.bearer(secret)

    allowed = {scope: authenticate_token(Asking(), scope) is not None for scope in ("read", "write", "complete")}
    assert allowed == {"read": True, "write": False, "complete": False}


def test_maintainers_restore_and_members_do_not(project, iris, grace_client, ada_client):
    actions.archive_project(project=project, by=iris)
    assert "First yard" in ada_client.get("/projects/").content.decode()
    assert "Restore" not in grace_client.get("/projects/").content.decode()
    assert grace_client.post("/projects/demo/settings/restore").status_code == 403
    assert ada_client.post("/projects/demo/settings/restore").status_code == 302
    project.refresh_from_db()
    assert project.archived_at is None
    assert AuditEntry.objects.get(action="restore_project").before["archived_at"]
