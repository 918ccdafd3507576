"""Every write to people, projects, tokens and sign-in links. Who may ask is decided at the door, not here."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from controlplane.access import audit
from controlplane.access.doors import SCOPE_ROLE, role_in, secret_hash
from controlplane.access.models import ApiToken, Membership, Project, Role, SignInLink, User
from controlplane.access.refusals import Refused

FIRST_SLUG, FIRST_NAME = "demo", "First yard"
FIRST_USERNAME = "yard"
LINK_LIFETIME = timedelta(hours=1)
LONGEST_TOKEN_LIFETIME = timedelta(days=366)
TOKEN_MARK = "yard_"  # noqa: S105  # so that secret scanners and people know one when they see it


# ---- projects and members --------------------------------------------------------------------------------------------


@transaction.atomic
def create_project(*, slug: str, name: str, by: User | None) -> Project:
    """A new yard; `by` becomes its admin. Raises Refused if the slug is taken."""
    if Project.objects.filter(slug=slug).exists():
        raise Refused(f"There is a project {slug} already.")
    project = Project.objects.create(slug=slug, name=name)
    if by is not None:
        Membership.objects.create(project=project, user=by, role=Role.ADMIN)
    audit.record(action="create_project", actor=by, project=project, obj=project, after={"slug": slug, "name": name})
    return project


@transaction.atomic
def edit_project(*, project: Project, by: User, name: str, description: str) -> Project:
    """Rename and describe; the address stays, since links and tokens name it."""
    before = {"name": project.name, "description": project.description}
    project.name, project.description = name, description
    project.save(update_fields=["name", "description"])
    after = {"name": name, "description": description}
    audit.record(action="edit_project", actor=by, project=project, obj=project, before=before, after=after)
    return project


def archive_project(*, project: Project, by: User) -> None:
    """Make the project read-only and take it out of the lists. What runs and serves in it is the caller's to end first."""
    _set_archived(project, by, "archive_project", timezone.now())


def restore_project(*, project: Project, by: User) -> None:
    """Open an archived project again, as it was left."""
    _set_archived(project, by, "restore_project", None)


@transaction.atomic
def _set_archived(project: Project, by: User, action: str, at: datetime | None) -> None:
    if not Project.objects.filter(pk=project.pk, archived_at__isnull=at is not None).update(archived_at=at):
        raise Refused(f"{project} is {'not ' if at is None else ''}archived{' already' if at else ''}.")
    before, project.archived_at = project.archived_at, at
    audit.record(
        action=action, actor=by, project=project, obj=project, before={"archived_at": before}, after={"archived_at": at}
    )


def first_project() -> Project:
    """The project that a new yard begins with: the oldest one, made if there is none."""
    with transaction.atomic():
        oldest = Project.objects.open().order_by("created_at", "id").first()
        return oldest or create_project(slug=FIRST_SLUG, name=FIRST_NAME, by=_first_admin())


@transaction.atomic
def add_member(*, project: Project, user: User, role: Role, by: User | None) -> Membership:
    """Let a person into the project. Raises Refused if they are in it."""
    if Membership.objects.filter(project=project, user=user).exists():
        raise Refused(f"{user} is a member already.")
    membership = Membership.objects.create(project=project, user=user, role=role)
    audit.record(action="add_member", actor=by, project=project, obj=user, after={"role": Role(role).label})
    return membership


@transaction.atomic
def change_role(*, membership: Membership, role: Role, by: User | None) -> Membership:
    """Give a member another role. Raises Refused for the last admin: nobody could undo it."""
    _lock_members(membership.project)
    membership.refresh_from_db()
    if role != Role.ADMIN:
        _keep_an_admin(membership)
    before = {"role": Role(membership.role).label}
    membership.role = role
    membership.save(update_fields=["role"])
    after = {"role": Role(role).label}
    project, user = membership.project, membership.user
    audit.record(action="change_role", actor=by, project=project, obj=user, before=before, after=after)
    return membership


@transaction.atomic
def remove_member(*, membership: Membership, by: User | None) -> None:
    """Take a person out of the project and revoke their tokens of it. Raises Refused for the last admin."""
    project, user = membership.project, membership.user
    _lock_members(project)
    _keep_an_admin(membership)
    revoked = live_tokens(project, user).update(revoked_at=timezone.now())
    before = {"role": Role(membership.role).label}
    membership.delete()
    after = {"tokens_revoked": revoked}
    audit.record(action="remove_member", actor=by, project=project, obj=user, before=before, after=after)


def _lock_members(project: Project) -> None:
    """Two admins that demote each other at the same moment must not both succeed: one waits for the other."""
    Project.objects.select_for_update().get(pk=project.pk)


def _keep_an_admin(membership: Membership) -> None:
    others = Membership.objects.filter(project=membership.project, role=Role.ADMIN).exclude(pk=membership.pk)
    if membership.role == Role.ADMIN and not others.exists():
        raise Refused("The project needs an admin: make another member one first.")


@transaction.atomic
def create_user(*, username: str, by: User | None, password: str | None = None, email: str = "") -> User:
    """A new account. Without a password, sign-in links open it. Raises Refused if the name is taken in any case."""
    if User.objects.filter(username__iexact=username).exists():
        raise Refused(f"There is a user {username} already.")
    user = User.objects.create_user(username, email, password)
    audit.record(action="create_user", actor=by, project=None, obj=user, after={"username": username, "email": email})
    return user


@transaction.atomic
def invite_person(*, project: Project, username: str, role: Role, by: User | None, password: str = "") -> Membership:
    """Let a person in by name, with a new account if there is none of that name.

    Raises Refused for a member, and for a password where an account exists: it is not another admin's to set.
    """
    user = User.objects.filter(username__iexact=username).first()
    if user is not None and password:
        raise Refused(f"{user} has an account already: leave the password empty.")
    user = user or create_user(username=username, password=password or None, by=by)
    return add_member(project=project, user=user, role=role, by=by)


@transaction.atomic
def change_password(*, user: User, password: str) -> None:
    """A new password for one's own account; the caller has checked it and who asks.

    Sessions end with the password they began under (Django keeps its hash in each), and so do sign-in links that wait:
    whoever made one of those might be why the password is changed. Tokens are revoked one by one on their page.
    """
    user.set_password(password)
    user.save(update_fields=["password"])
    links = SignInLink.objects.filter(user=user, used_at=None, expires_at__gt=timezone.now())
    ended = links.update(expires_at=timezone.now())
    audit.record(action="change_password", actor=user, project=None, obj=user, after={"sign_in_links_ended": ended})


# ---- tokens ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_token(
    *, project: Project, user: User, name: str, scopes: Iterable[str], expires_at: datetime, by: User | None = None
) -> tuple[ApiToken, str]:
    """A token and its secret, which is kept nowhere.

    Raises Refused for no scope, for one beyond the person's role, and for an end in the past or past a year.
    """
    chosen = sorted({ApiToken.Scope(scope).value for scope in scopes})
    if not chosen:
        raise Refused("Choose what the token may do.")
    role = role_in(user, project)
    beyond = [scope for scope in chosen if role is None or role < SCOPE_ROLE[ApiToken.Scope(scope)]]
    if beyond:
        raise Refused(f"Your role does not reach to {', '.join(beyond)}.")
    if not timezone.now() < expires_at <= timezone.now() + LONGEST_TOKEN_LIFETIME:
        raise Refused("A token ends in the future, within a year.")
    secret = TOKEN_MARK + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        project=project,
        user=user,
        name=name,
        prefix=secret[:10],
        sha256=secret_hash(secret),
        scopes=chosen,
        expires_at=expires_at,
    )
    after = {"scopes": chosen, "expires_at": expires_at, "user": user.username}
    audit.record(action="create_token", actor=by or user, project=project, obj=token, after=after)
    return token, secret


@transaction.atomic
def revoke_token(*, token: ApiToken, by: User | None) -> ApiToken:
    """End a token for good; the next request with it is refused. Raises Refused if it was revoked before."""
    now = timezone.now()
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        raise Refused("This token was revoked before.")
    token.revoked_at = now
    after = {"revoked_at": now}
    audit.record(
        action="revoke_token", actor=by, project=token.project, obj=token, before={"revoked_at": None}, after=after
    )
    return token


def live_tokens(project: Project, user: User) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(project=project, user=user, revoked_at=None)


# ---- sign-in links ---------------------------------------------------------------------------------------------------


@transaction.atomic
def make_sign_in_link(*, username: str = FIRST_USERNAME, by: User | None = None, project: Project | None = None) -> str:
    """The path of a link that signs one person in, once, within an hour.

    For the first admin's name the account and a first project are made if missing; nobody else's is. An account that
    exists keeps its rights as they are. Raises Refused for a name that nobody has.
    """
    user = User.objects.filter(username__iexact=username).first()
    if user is None and username == FIRST_USERNAME:
        user = _first_admin()
    if user is None or not user.is_active:
        raise Refused(f"There is no active user {username}.")
    if username == FIRST_USERNAME:
        first_project()
    secret = secrets.token_urlsafe(32)
    link = SignInLink.objects.create(user=user, sha256=secret_hash(secret), expires_at=timezone.now() + LINK_LIFETIME)
    audit.record(action="make_sign_in_link", actor=by, project=project, obj=link, after={"expires_at": link.expires_at})
    return reverse("access:sign-in-once", kwargs={"token": secret})


@transaction.atomic
def use_sign_in_link(token: str) -> User:
    """The person whom the link signs in; it is used up by this. Raises Refused if it was used, is old or never was."""
    now = timezone.now()
    open_links = SignInLink.objects.filter(sha256=secret_hash(token), used_at=None, expires_at__gt=now)
    if not open_links.filter(user__is_active=True).update(used_at=now):
        raise Refused("This link has been used or is older than an hour. Ask for a new one.")
    link = SignInLink.objects.select_related("user").get(sha256=secret_hash(token))
    audit.record(action="use_sign_in_link", actor=link.user, project=None, obj=link)
    return link.user


def _first_admin() -> User:
    """The account a new yard begins with. It has no password: `up` prints links, and a password may be set later."""
    found = User.objects.filter(username__iexact=FIRST_USERNAME).first()
    if found is not None:
        return found
    try:
        with transaction.atomic():
            user = User.objects.create_superuser(FIRST_USERNAME, "", None)
            audit.record(action="create_user", actor=None, project=None, obj=user, after={"superuser": True})
            return user
    except IntegrityError:  # another process was first
        return User.objects.get(username__iexact=FIRST_USERNAME)
