"""What the writes to people, projects, tokens and links promise, and that each leaves its row in the audit trail."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from controlplane.access import actions
from controlplane.access.doors import role_in
from controlplane.access.models import ApiToken, AuditEntry, Membership, Project, Role, SignInLink, User
from controlplane.access.refusals import Refused
from tests import factories

pytestmark = pytest.mark.django_db


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("id")


def in_a_day():
    return timezone.now() + timedelta(days=1)


# ---- roles -----------------------------------------------------------------------------------------------------------


def test_each_role_includes_those_below_it(project, ada):
    assert Role.ADMIN > role_in(ada, project) >= Role.MAINTAINER > Role.VIEWER


def test_a_superuser_is_admin_of_every_project(project, other_project, root):
    assert role_in(root, project) == role_in(root, other_project) == Role.ADMIN


def test_an_account_that_is_switched_off_is_nobody(project, ada, root):
    ada.is_active = root.is_active = False
    assert role_in(ada, project) is None
    assert role_in(root, project) is None


# ---- projects and members --------------------------------------------------------------------------------------------


def test_who_makes_a_project_is_its_admin(root):
    made = actions.create_project(slug="new-yard", name="New yard", by=root)
    assert Membership.objects.get(project=made).role == Role.ADMIN
    entry = last_entry()
    assert (entry.action, entry.actor, entry.project) == ("create_project", root, made)
    assert entry.after == {"slug": "new-yard", "name": "New yard"}


def test_a_slug_is_given_once(project):
    with pytest.raises(Refused, match="already"):
        actions.create_project(slug=project.slug, name="Again", by=None)


def test_membership_changes_are_audited_with_before_and_after(project, iris, mallory):
    membership = actions.add_member(project=project, user=mallory, role=Role.VIEWER, by=iris)
    assert (last_entry().action, last_entry().after) == ("add_member", {"role": "viewer"})
    actions.change_role(membership=membership, role=Role.MEMBER, by=iris)
    assert (last_entry().before, last_entry().after) == ({"role": "viewer"}, {"role": "member"})
    actions.remove_member(membership=membership, by=iris)
    assert (last_entry().action, last_entry().before) == ("remove_member", {"role": "member"})
    assert last_entry().object_name == "mallory"
    assert role_in(mallory, project) is None


def test_a_member_is_not_added_twice(project, iris, ada):
    with pytest.raises(Refused, match="already"):
        actions.add_member(project=project, user=ada, role=Role.ADMIN, by=iris)
    assert role_in(ada, project) == Role.MAINTAINER


def test_the_last_admin_stays(project, iris):
    membership = Membership.objects.get(user=iris)
    with pytest.raises(Refused, match="needs an admin"):
        actions.change_role(membership=membership, role=Role.VIEWER, by=iris)
    with pytest.raises(Refused, match="needs an admin"):
        actions.remove_member(membership=membership, by=iris)
    assert role_in(iris, project) == Role.ADMIN


def test_who_leaves_a_project_leaves_their_tokens_of_it(project, iris, grace):
    token, _ = factories.token(project, grace)
    actions.remove_member(membership=Membership.objects.get(user=grace), by=iris)
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert last_entry().after == {"tokens_revoked": 1}


def test_names_are_taken_whatever_their_case(ada):
    with pytest.raises(Refused, match="already"):
        actions.create_user(username="ADA", by=None)


def test_inviting_a_new_name_makes_the_account_and_a_known_one_joins(project, iris, mallory):
    membership = actions.invite_person(
        project=project, username="hedy", role=Role.MEMBER, by=iris, password="a-good-long-one"
    )
    assert membership.user.check_password("a-good-long-one")
    assert actions.invite_person(project=project, username="Mallory", role=Role.VIEWER, by=iris).user == mallory


def test_an_invitation_never_sets_the_password_of_someone_who_has_an_account(project, iris, mallory):
    with pytest.raises(Refused, match="has an account"):
        actions.invite_person(project=project, username="mallory", role=Role.VIEWER, by=iris, password="mine-now-123")
    mallory.refresh_from_db()
    assert mallory.check_password(factories.PASSWORD)


# ---- tokens ----------------------------------------------------------------------------------------------------------


def test_a_tokens_secret_is_kept_nowhere(project, grace):
    token, secret = factories.token(project, grace)
    kept = str(ApiToken.objects.filter(pk=token.pk).values().get()) + str(AuditEntry.objects.values())
    assert secret not in kept
    assert secret.startswith(token.prefix)
    assert last_entry().action == "create_token"
    assert last_entry().after["scopes"] == ["complete", "read", "write"]


def test_a_token_never_goes_beyond_its_persons_role(project, victor, mallory):
    actions.create_token(project=project, user=victor, name="ok", scopes=["read"], expires_at=in_a_day())
    for person, scope in ((victor, "write"), (victor, "complete"), (mallory, "read")):
        with pytest.raises(Refused, match="does not reach"):
            actions.create_token(project=project, user=person, name="x", scopes=[scope], expires_at=in_a_day())


@pytest.mark.parametrize("days", [-1, 400])
def test_a_token_ends_in_the_future_and_within_a_year(project, grace, days):
    ends = timezone.now() + timedelta(days=days)
    with pytest.raises(Refused, match="within a year"):
        actions.create_token(project=project, user=grace, name="x", scopes=["read"], expires_at=ends)


def test_revoking_is_for_good_and_audited(project, grace):
    token, _ = factories.token(project, grace)
    actions.revoke_token(token=token, by=grace)
    assert last_entry().action == "revoke_token"
    with pytest.raises(Refused, match="before"):
        actions.revoke_token(token=token, by=grace)


# ---- sign-in links ---------------------------------------------------------------------------------------------------


def secret_of(path: str) -> str:
    return path.rsplit("/", 1)[1]


def test_the_first_link_makes_the_first_admin_and_the_first_project(db):
    path = actions.make_sign_in_link()
    assert path.startswith("/sign-in/once/")
    user = User.objects.get()
    assert user.username == "yard"
    assert user.is_superuser
    assert not user.has_usable_password()
    assert actions.first_project() == Project.objects.get(slug="demo", name="First yard")
    actions.make_sign_in_link()
    assert User.objects.count() == Project.objects.count() == 1


def test_a_link_signs_in_once(grace):
    secret = secret_of(actions.make_sign_in_link(username="grace"))
    assert not SignInLink.objects.filter(sha256=secret).exists()
    assert actions.use_sign_in_link(secret) == grace
    assert (last_entry().action, last_entry().actor) == ("use_sign_in_link", grace)
    with pytest.raises(Refused, match="has been used"):
        actions.use_sign_in_link(secret)


def test_a_link_ends_after_an_hour(grace):
    secret = secret_of(actions.make_sign_in_link(username="grace"))
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(Refused, match="older than an hour"):
        actions.use_sign_in_link(secret)


def test_a_link_raises_nobodys_rights_and_makes_no_account_but_the_first(grace):
    actions.make_sign_in_link(username="grace")
    grace.refresh_from_db()
    assert not grace.is_superuser
    with pytest.raises(Refused, match="no active user"):
        actions.make_sign_in_link(username="nobody")


def test_a_link_of_someone_switched_off_does_not_open(grace):
    secret = secret_of(actions.make_sign_in_link(username="grace"))
    User.objects.filter(pk=grace.pk).update(is_active=False)
    with pytest.raises(Refused):
        actions.use_sign_in_link(secret)
