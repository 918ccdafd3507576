"""The pages of access, used as people use them: signing in and out, letting in, tokens, the audit trail."""

from __future__ import annotations

import re

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from controlplane.access import actions, audit
from controlplane.access.models import ApiToken, AuditEntry, Membership, Role, SignInLink, User
from tests import factories

pytestmark = pytest.mark.django_db


def page_url(name: str, **more: object) -> str:
    return reverse(f"access:{name}", kwargs={"slug": "demo", **more})


def text(response) -> str:
    return response.content.decode()


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


# ---- signing in ------------------------------------------------------------------------------------------------------


def sign_in(client: Client, username: str, password: str, **more: str):
    return client.post("/sign-in/", {"username": username, "password": password, **more})


def test_a_name_and_password_sign_in_and_lead_back(anonymous, ada):
    response = sign_in(anonymous, "ada", factories.PASSWORD, next="/projects/demo/people/")
    assert (response.status_code, response.url) == (302, "/projects/demo/people/")
    assert is_signed_in(anonymous)


def test_signing_in_never_leads_to_another_site(anonymous, ada):
    assert sign_in(anonymous, "ada", factories.PASSWORD, next="https://evil.example/").url == "/"


def test_wrong_unknown_and_switched_off_are_told_the_same(anonymous, ada, grace):
    User.objects.filter(pk=grace.pk).update(is_active=False)
    answers = [
        sign_in(anonymous, name, password)
        for name, password in (("ada", "wrong"), ("nobody", "wrong"), ("grace", factories.PASSWORD))
    ]
    assert all("do not go together" in text(answer) for answer in answers)
    assert not is_signed_in(anonymous)


def test_after_eight_wrong_passwords_the_right_one_is_refused_too(anonymous, ada, grace):
    statuses = [sign_in(anonymous, "ada", "wrong").status_code for _ in range(8)]
    assert statuses[:7] == [200] * 7
    refused = sign_in(anonymous, "ada", factories.PASSWORD)
    assert refused.status_code == 429
    assert "Too many tries" in text(refused)
    assert not is_signed_in(anonymous)
    assert sign_in(anonymous, "grace", factories.PASSWORD).status_code == 302


def test_signing_out_is_a_post(ada_client):
    assert ada_client.get("/sign-out/").status_code == 405
    assert is_signed_in(ada_client)
    assert ada_client.post("/sign-out/").url == "/sign-in/"
    assert not is_signed_in(ada_client)


def test_opening_a_link_does_not_use_it_and_pressing_its_button_does(anonymous, grace):
    path = actions.make_sign_in_link(username="grace")
    for _ in range(2):
        assert "<button" in text(anonymous.get(path))
    assert not is_signed_in(anonymous)
    assert anonymous.post(path).status_code == 302
    assert anonymous.session["_auth_user_id"] == str(grace.pk)
    again = Client().post(path)
    assert again.status_code == 410
    assert "no longer works" in text(again)


def test_forms_without_a_csrf_token_are_refused(ada, grace):
    strict = factories.signed_in_client(ada, enforce_csrf_checks=True)
    path = actions.make_sign_in_link(username="grace")
    for url in ("/sign-out/", path, "/sign-in/", page_url("create-token")):
        assert strict.post(url).status_code == 403
    assert SignInLink.objects.get().used_at is None


def test_the_command_prints_a_link_and_makes_no_account(grace, capsys):
    call_command("sign_in_link", "grace", url="https://yard.example/")
    assert re.fullmatch(r"https://yard\.example/sign-in/once/[\w-]{43}\n", capsys.readouterr().out)
    with pytest.raises(CommandError, match="no active user"):
        call_command("sign_in_link", "nobody")


# ---- people ----------------------------------------------------------------------------------------------------------


def test_members_see_who_is_in_and_cannot_change_it(grace_client, ada):
    seen = text(grace_client.get(page_url("people")))
    assert "ada" in seen
    assert "maintainer" in seen
    assert page_url("add-person") not in seen


def test_an_admin_lets_someone_in_changes_their_role_and_removes_them(iris_client, project):
    iris_client.post(page_url("add-person"), {"username": "hedy", "role": Role.VIEWER})
    member = Membership.objects.get(user__username="hedy")
    iris_client.post(page_url("change-role", pk=member.pk), {"role": Role.MAINTAINER})
    member.refresh_from_db()
    assert member.role == Role.MAINTAINER
    iris_client.post(page_url("remove-person", pk=member.pk))
    assert not Membership.objects.filter(pk=member.pk).exists()
    assert User.objects.filter(username="hedy").exists()


def test_what_is_wrong_with_a_form_is_said_on_it(iris_client, ada):
    twice = iris_client.post(page_url("add-person"), {"username": "ada", "role": Role.VIEWER})
    assert twice.status_code == 422
    assert "member already" in text(twice)
    weak = iris_client.post(page_url("add-person"), {"username": "new", "role": Role.VIEWER, "password": "1234"})
    assert weak.status_code == 422
    assert not User.objects.filter(username="new").exists()


def test_an_admin_makes_a_link_for_a_member_that_is_shown_once(iris_client, grace):
    member = Membership.objects.get(user=grace)
    shown = iris_client.post(page_url("make-link", pk=member.pk))
    path = re.search(r"http://testserver(/sign-in/once/[\w-]+)", text(shown))[1]
    assert path not in text(iris_client.get(page_url("people")))
    assert "no-store" in shown.headers["Cache-Control"]
    other = Client()
    other.post(path)
    assert other.session["_auth_user_id"] == str(grace.pk)


@pytest.mark.parametrize("who", ["root", "mallory"])
def test_an_admin_makes_no_link_into_rights_that_are_not_theirs(request, iris_client, project, who):
    person = request.getfixturevalue(who)
    member = Membership.objects.create(project=project, user=person, role=Role.VIEWER)
    assert iris_client.post(page_url("make-link", pk=member.pk)).status_code == 403
    assert not SignInLink.objects.exists()


def test_only_a_superuser_makes_projects(root_client, iris_client):
    sent = {"name": "New yard", "slug": "new-yard"}
    assert iris_client.post(reverse("access:new-project"), sent).status_code == 403
    assert root_client.get(reverse("access:new-project")).status_code == 200
    assert root_client.post(reverse("access:new-project"), sent).url == "/projects/new-yard/people/"
    assert root_client.post(reverse("access:new-project"), sent).status_code == 422


# ---- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_revoked_on_its_page(grace_client, grace):
    sent = {"name": "my editor", "scopes": ["read", "complete"], "days": 30}
    shown = text(grace_client.post(page_url("create-token"), sent))
    secret = re.search(r"yard_[\w-]{43}", shown)[0]
    token = ApiToken.objects.get(user=grace)
    later = text(grace_client.get(page_url("tokens")))
    assert "my editor" in later
    assert secret not in later
    assert grace_client.post(page_url("revoke-token", pk=token.pk)).status_code == 302
    assert "revoked" in text(grace_client.get(page_url("tokens")))


def test_a_viewers_token_only_reads(victor_client):
    refused = victor_client.post(page_url("create-token"), {"name": "x", "scopes": ["write"], "days": 7})
    assert refused.status_code == 422
    assert "does not reach" in text(refused)
    assert victor_client.post(page_url("create-token"), {"name": "x", "scopes": ["read"], "days": 7}).status_code == 200


def test_tokens_are_seen_and_revoked_by_their_person_and_by_admins_alone(
    ada_client, iris_client, mallory_client, project, grace, mallory
):
    token, _ = factories.token(project, grace, name="of grace")
    assert "of grace" not in text(ada_client.get(page_url("tokens")))
    assert ada_client.post(page_url("revoke-token", pk=token.pk)).status_code == 404
    assert mallory_client.post(f"/projects/elsewhere/tokens/{token.pk}/revoke").status_code == 404
    assert "of grace" in text(iris_client.get(page_url("tokens")))
    assert iris_client.post(page_url("revoke-token", pk=token.pk)).status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is not None


# ---- the audit trail -------------------------------------------------------------------------------------------------


def write_entries(project, actor, n: int, **more):
    for index in range(n):
        audit.record(action="note_thing", actor=actor, project=project, obj=project, after={"n": index}, **more)


def test_the_trail_shows_what_changed_and_why(ada_client, ada, project, other_project):
    change = {"before": {"alias": "staff", "same": 1}, "after": {"alias": "production", "same": 1}}
    audit.record(action="promote_model", actor=ada, project=project, obj=project, reason="Better pass@1.", **change)
    audit.record(action="secret_thing", actor=ada, project=other_project, obj=other_project)
    seen = text(ada_client.get(page_url("audit")))
    assert "<del>alias: staff</del><ins>alias: production</ins>" in seen
    assert "same: 1" not in seen
    assert "Better pass@1." in seen
    assert "secret_thing" not in seen


def test_pages_of_the_trail_go_there_and_back(ada_client, ada, project):
    write_entries(project, ada, 120)
    first = ada_client.get(page_url("audit")).context["page"]
    second = ada_client.get(page_url("audit"), {"after": first.after}).context["page"]
    third = ada_client.get(page_url("audit"), {"after": second.after}).context["page"]
    back = ada_client.get(page_url("audit"), {"before": third.before}).context["page"]
    ids = [[entry.pk for entry in page.rows] for page in (first, second, third, back)]
    assert [len(page) for page in ids] == [50, 50, 20, 50]
    assert ids[0] + ids[1] + ids[2] == sorted(ids[0] + ids[1] + ids[2], reverse=True)
    assert ids[3] == ids[1]
    assert (first.before, third.after) == (None, None)


def test_the_trail_is_filtered_by_person_action_and_object(ada_client, ada, grace, project):
    write_entries(project, ada, 1)
    audit.record(action="other_thing", actor=grace, project=project, obj=grace)
    for query, names in (
        ({"person": "grace"}, ["other_thing"]),
        ({"action": "note_thing"}, ["note_thing"]),
        ({"object": "grace"}, ["other_thing"]),
        ({"object": str(project.pk), "person": "ada"}, ["note_thing"]),
    ):
        lines = ada_client.get(page_url("audit"), query).context["lines"]
        assert [line.entry.action for line in lines] == names, query


def test_a_damaged_page_of_the_trail_is_a_bad_request_and_a_nul_finds_nothing(ada_client, project, ada):
    assert ada_client.get(page_url("audit"), {"after": "drop table"}).status_code == 400
    assert ada_client.get(page_url("audit"), {"object": "\0"}).status_code == 200


@pytest.mark.parametrize(("name", "make"), [("audit", "entries"), ("people", "members"), ("tokens", "tokens")])
def test_list_pages_ask_the_same_number_of_queries_however_long(
    iris_client, iris, project, name, make, django_assert_max_num_queries
):
    def more(n: int, start: int) -> None:
        for index in range(start, start + n):
            if make == "members":
                factories.user(f"person{index}", project)
            elif make == "tokens":
                factories.token(project, iris)
        write_entries(project, iris, n if make == "entries" else 0)

    more(2, 0)
    with django_assert_max_num_queries(8) as few:
        iris_client.get(page_url(name))
    more(20, 2)
    with django_assert_max_num_queries(8) as many:
        iris_client.get(page_url(name))
    assert len(many) == len(few)


def test_audit_rows_are_written_in_the_transaction_of_what_they_tell(project, iris, ada, monkeypatch):
    def break_off(**_: object) -> None:
        raise RuntimeError("the trail cannot be written")

    monkeypatch.setattr(audit, "record", break_off)
    with pytest.raises(RuntimeError):
        actions.change_role(membership=Membership.objects.get(user=ada), role=Role.VIEWER, by=iris)
    assert Membership.objects.get(user=ada).role == Role.MAINTAINER
    assert not AuditEntry.objects.exists()
