"""Signing in and out, people, tokens and the audit trail."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.views import LoginView
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from controlplane.access import actions, trail
from controlplane.access.doors import MemberRequest, get_owned, project_view, signed_in, wants_json
from controlplane.access.forms import PersonForm, ProjectForm, RoleForm, SignInForm, TokenForm, password_form
from controlplane.access.models import ApiToken, Membership, Project, Role, User
from controlplane.access.refusals import Refused
from controlplane.ui.pages import page_of

MOST_LISTED = 40  # as many as the palette shows

# ---- signing in ------------------------------------------------------------------------------------------------------


class SignIn(LoginView):
    """Name and password. Tries are counted by django-axes, which answers 429 after too many."""

    template_name = "access/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_once(request: HttpRequest, token: str) -> HttpResponse:
    """A button, not a sign-in at once: chats and mail scanners open links before the person does, and would burn it."""
    if request.method != "POST":
        return render(request, "access/sign_in_once.html")
    try:
        user = actions.use_sign_in_link(token)
    except Refused as refused:
        return render(request, "access/sign_in_once.html", {"refused": refused}, status=410)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect(settings.LOGIN_REDIRECT_URL)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect(settings.LOGIN_URL)


@sensitive_post_parameters()
@never_cache
@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: MemberRequest) -> HttpResponse:
    """One's own account: the password, and where one is a member. The sessions of other browsers end with the old one."""
    form = password_form(request.user, request.POST or None)
    if form.is_valid():
        actions.change_password(user=request.user, password=form.cleaned_data["new_password1"])
        update_session_auth_hash(request, request.user)
        messages.success(request, "Your password is changed. Other browsers are signed out.")
        return redirect("access:account")
    mine = _with_role(Project.objects.visible_to(request.user).open())
    return render(request, "access/account.html", {"form": form, "projects": mine}, status=422 if form.errors else 200)


# ---- projects --------------------------------------------------------------------------------------------------------


@signed_in
@require_safe
def projects(request: MemberRequest) -> HttpResponse:
    """All that the person is in; as JSON, with `q`, what the switcher lists."""
    mine = Project.objects.visible_to(request.user)
    if wants_json(request):
        words = request.GET.get("q", "").replace("\0", "").strip()
        found = mine.open().filter(Q(name__icontains=words) | Q(slug__icontains=words))[:MOST_LISTED]
        return JsonResponse([_switch(project) for project in found], safe=False)
    archived = Project.objects.visible_to(request.user, at_least=Role.MAINTAINER).exclude(archived_at=None)
    context = {"projects": _with_role(mine.open()), "archived": archived}
    return render(request, "access/projects.html", context)


def _with_role(projects: QuerySet[Project]) -> list[tuple[Project, str]]:
    return [(project, Role(project.role).label) for project in projects]  # type: ignore[attr-defined]


def _switch(project: Project) -> dict[str, str]:
    role: int = project.role  # type: ignore[attr-defined]
    return {"kind": Role(role).label, "name": project.name, "url": project.get_absolute_url()}


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def new_project(request: MemberRequest) -> HttpResponse:
    """A superuser's page: a project costs disk and compute of the whole yard."""
    if not request.user.is_superuser:
        raise PermissionDenied("New projects are made by the yard's administrators.")
    form = ProjectForm(request.POST or None)
    if form.is_valid():
        try:
            project = actions.create_project(**form.cleaned_data, by=request.user)
            return redirect("access:people", project.slug)
        except Refused as refused:
            form.add_error("slug", str(refused))
    return render(request, "access/new_project.html", {"form": form}, status=422 if form.errors else 200)


# ---- people ----------------------------------------------------------------------------------------------------------


@project_view(Role.VIEWER)
def people(request: MemberRequest, project: Project) -> HttpResponse:
    return _people_page(request, project, PersonForm())


def _people_page(request: MemberRequest, project: Project, form: Form, **more: Any) -> HttpResponse:
    members = Membership.objects.filter(project=project).select_related("user").order_by("-role", "user__username")
    context = {"members": members, "form": form, "roles": Role.choices, "is_admin": request.role >= Role.ADMIN}
    return render(request, "access/people.html", context | more, status=422 if form.errors else 200)


@sensitive_post_parameters("password")
@project_view(Role.ADMIN, methods=("POST",))
def add_person(request: MemberRequest, project: Project) -> HttpResponse:
    form = PersonForm(request.POST)
    if not form.is_valid():
        return _people_page(request, project, form)
    try:
        membership = actions.invite_person(project=project, by=request.user, **form.cleaned_data)
    except Refused as refused:
        form.add_error("username", str(refused))
        return _people_page(request, project, form)
    messages.success(request, f"{membership.user} is now {membership.get_role_display()} of {project}.")
    return redirect("access:people", project.slug)


@project_view(Role.ADMIN, methods=("POST",))
def change_role(request: MemberRequest, project: Project, pk: int) -> HttpResponse:
    membership = get_owned(Membership, project, pk)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return HttpResponse("There is no such role.", status=422)
    try:
        actions.change_role(membership=membership, role=form.cleaned_data["role"], by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("access:people", project.slug)


@project_view(Role.ADMIN, methods=("POST",))
def remove_person(request: MemberRequest, project: Project, pk: int) -> HttpResponse:
    membership = get_owned(Membership, project, pk)
    try:
        actions.remove_member(membership=membership, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("access:people", project.slug)


@never_cache
@project_view(Role.ADMIN, methods=("POST",))
def make_link(request: MemberRequest, project: Project, pk: int) -> HttpResponse:
    """Shows a sign-in link for a member, once: it is in no log, no cookie and no database."""
    user = get_owned(Membership.objects.select_related("user"), project, pk).user
    _not_above(request, user)
    try:
        path = actions.make_sign_in_link(username=user.username, by=request.user, project=project)
        link = request.build_absolute_uri(path)
    except Refused as refused:
        messages.error(request, str(refused))
        return redirect("access:people", project.slug)
    return _people_page(request, project, PersonForm(), link=link, link_user=user)


def _not_above(request: MemberRequest, user: User) -> None:
    """An admin of one project must not sign in as someone who may do more, here or in projects the admin is not in."""
    if request.user.is_superuser:
        return
    theirs = Membership.objects.filter(user=user).exclude(project=request.project)
    mine = Membership.objects.filter(user=request.user, role=Role.ADMIN).values("project")
    if user.is_superuser or user.is_staff or theirs.exclude(project__in=mine).exists():
        raise PermissionDenied(f"{user} also works outside this project: a yard administrator makes their link.")


# ---- tokens ----------------------------------------------------------------------------------------------------------


@project_view(Role.VIEWER)
def tokens(request: MemberRequest, project: Project) -> HttpResponse:
    return _tokens_page(request, project, TokenForm())


def _tokens_page(request: MemberRequest, project: Project, form: Form, **more: Any) -> HttpResponse:
    """One's own tokens; an admin sees everyone's, to revoke them."""
    rows = ApiToken.objects.filter(project=project).select_related("user").order_by("-id")
    mine = rows if request.role >= Role.ADMIN else rows.filter(user=request.user)
    context = {"tokens": trail.with_state(mine[:200]), "form": form}
    return render(request, "access/tokens.html", context | more, status=422 if form.errors else 200)


@never_cache
@project_view(Role.VIEWER, methods=("POST",))
def create_token(request: MemberRequest, project: Project) -> HttpResponse:
    """A viewer's token reads; `create_token` refuses scopes beyond the person's role."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _tokens_page(request, project, form)
    try:
        token, secret = actions.create_token(project=project, user=request.user, **form.fields_of_token())
    except Refused as refused:
        form.add_error("scopes", str(refused))
        return _tokens_page(request, project, form)
    return _tokens_page(request, project, TokenForm(), new=token, secret=secret)


@project_view(Role.VIEWER, methods=("POST",))
def revoke_token(request: MemberRequest, project: Project, pk: int) -> HttpResponse:
    rows = ApiToken.objects.filter(project=project)
    token = get_owned(rows if request.role >= Role.ADMIN else rows.filter(user=request.user), project, pk)
    try:
        actions.revoke_token(token=token, by=request.user)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("access:tokens", project.slug)


# ---- the audit trail -------------------------------------------------------------------------------------------------


@project_view(Role.VIEWER)
def audit_trail(request: MemberRequest, project: Project) -> HttpResponse:
    query = trail.AuditQuery.of(request.GET)
    page = page_of(trail.matching(project, query), request.GET, trail.ORDER)
    context = {"page": page, "lines": trail.lines(page.rows), "query": query, "choices": trail.choices(project)}
    return render(request, "access/audit.html", context)
