"""The only doors to objects: who is asking, in which project, and as what.

A person who is no member of a project is told that there is no such page (404), never that they may not see it. A door
answers requests; it writes nothing but when a token was last used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt

from controlplane.access.audit import acting_token
from controlplane.access.models import ApiToken, Membership, Project, Role, User

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_htmx.middleware import HtmxDetails

Row = TypeVar("Row", bound=Model)
View = Callable[..., Any]  # a Django view, plain or async
Answer = HttpResponseBase | None

# A token never does more than its scope's own role, nor more than its person: both are asked at every request.
SCOPE_ROLE = {
    ApiToken.Scope.READ: Role.VIEWER,
    ApiToken.Scope.WRITE: Role.MEMBER,
    ApiToken.Scope.COMPLETE: Role.MEMBER,  # completions are kept and cost compute: no viewer's business
}
SAFE_METHODS = ("GET", "HEAD")
LAST_USED_EVERY = timedelta(minutes=1)  # one write a minute and token, not one a keystroke


class MemberRequest(HttpRequest):
    """A request that came through `project_view`: what the door put on it."""

    user: User
    project: Project
    role: Role
    htmx: HtmxDetails


# ---- questions -------------------------------------------------------------------------------------------------------


def role_in(user: User | AnonymousUser, project: Project) -> Role | None:
    """What the person is in the project; a superuser is admin everywhere. None: no member, or switched off."""
    return _role(user, Membership.objects.filter(user=user.pk, project=project).values_list("role", flat=True).first())


def _role(user: User | AnonymousUser, membership: int | None) -> Role | None:
    """The same, when the membership's role is known already."""
    if isinstance(user, AnonymousUser) or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    return None if membership is None else Role(membership)


def _membership(*, project: OuterRef, user: OuterRef | int) -> Subquery:
    """A column with the membership's role: a door that loads a row anyway asks no second question."""
    return Subquery(Membership.objects.filter(project=project, user=user).values("role"))


def get_owned(source: type[Row] | QuerySet[Row], project: Project, pk: str | int) -> Row:
    """The project's row with this id. Raises Http404, for another project's row as for one that never was."""
    return get_object_or_404(source, project=project, pk=pk)


# ---- pages: a session ------------------------------------------------------------------------------------------------


def project_view(
    role: Role, *, methods: tuple[str, ...] = ("GET",), even_archived: bool = False
) -> Callable[[View], View]:
    """A page or endpoint of one project, for people that are at least `role` in it.

    `view(request, project, ...)` is called with the project that the URL's `slug` names, and finds `project` and `role`
    on the request. Plain and async views alike. Others get: the sign-in page, or 401 where JSON or an event stream was
    asked for; 404 if no member; 403 if too low; 405 for other methods (HEAD comes with GET). An archived project is
    read-only: what is no GET gets 403 there, unless the view is `even_archived`.
    """

    def decorate(view: View) -> View:
        def enter(request: HttpRequest, slug: str) -> Answer:
            return _enter(request, slug, role, methods) or (None if even_archived else _read_only(request))

        return _async_page(view, enter) if iscoroutinefunction(view) else _page(view, enter)

    return decorate


def _page(view: View, enter: Callable[[HttpRequest, str], Answer]) -> View:
    @wraps(view)
    def page(request: HttpRequest, *args: Any, slug: str, **kwargs: Any) -> Any:
        return enter(request, slug) or view(request, request.project, *args, **kwargs)  # type: ignore[attr-defined]

    return page


def _async_page(view: View, enter: Callable[[HttpRequest, str], Answer]) -> View:
    @wraps(view)
    async def page(request: HttpRequest, *args: Any, slug: str, **kwargs: Any) -> Any:
        if answer := await sync_to_async(enter)(request, slug):
            return answer
        return await view(request, request.project, *args, **kwargs)  # type: ignore[attr-defined]

    return page


def _enter(request: HttpRequest, slug: str, role: Role, methods: tuple[str, ...]) -> Answer:
    """Put project and role on the request, or give the answer that keeps the door shut."""
    user = request.user
    if not user.is_authenticated:
        return ask_to_sign_in(request)
    standing = _membership(project=OuterRef("pk"), user=user.pk)
    project = Project.objects.filter(slug=slug).annotate(membership=standing).first()
    found = _role(user, project.membership) if project else None  # type: ignore[attr-defined]
    if project is None or found is None:
        raise Http404("No such page.")
    request.project, request.role = project, found  # type: ignore[attr-defined]
    if found < role:
        return _too_low(request, role, found)
    if request.method not in methods and not (request.method == "HEAD" and "GET" in methods):
        return HttpResponseNotAllowed(methods)
    return None


def _read_only(request: HttpRequest) -> Answer:
    """The answer to a write in an archived project."""
    project: Project = request.project  # type: ignore[attr-defined]
    if project.archived_at is None or request.method in SAFE_METHODS:
        return None
    return _refuse(request, f"{project} is archived and read-only. A maintainer can restore it in its settings.")


def _too_low(request: HttpRequest, role: Role, found: Role) -> HttpResponse:
    return _refuse(request, f"This is for a {role.label} of the project or higher; you are its {found.label}.")


def _refuse(request: HttpRequest, message: str) -> HttpResponse:
    if wants_json(request):
        return error(403, message)
    raise PermissionDenied(message)


def wants_json(request: HttpRequest) -> bool:
    """Whether a script asks, to whom a sign-in page is of no use."""
    asked = request.headers.get("Accept", "")
    return "Authorization" in request.headers or asked.startswith(("application/json", "text/event-stream"))


def ask_to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page and back; scripts get 401, and htmx is told to leave the page instead of swapping a part."""
    if wants_json(request):
        return error(401, "Sign in first.")
    if request.headers.get("HX-Request") != "true":
        return redirect_to_login(request.get_full_path())
    page = request.headers.get("HX-Current-URL", "")
    safe = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
    response = redirect_to_login(urlsplit(page).path if safe else resolve_url(settings.LOGIN_REDIRECT_URL))
    return HttpResponse(status=401, headers={"HX-Redirect": response.url})


def signed_in(view: View) -> View:
    """A page outside any project, for everyone who has an account."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return view(request, *args, **kwargs) if request.user.is_authenticated else ask_to_sign_in(request)

    return page


# ---- the API: a token ------------------------------------------------------------------------------------------------


def authenticate_token(request: HttpRequest, scope: ApiToken.Scope | str) -> ApiToken | None:
    """The token of `Authorization: Bearer <token>`, with `project` and `user` loaded, if it may do `scope` now.

    None if there is none, or it is unknown, expired, revoked, without the scope, or if its person is switched off or
    has less of a role in the project than the scope needs. In an archived project tokens only read.
    """
    found = _live_token(request)
    return found[0] if found is not None and _covers(*found, scope) else None


def token_view(
    scope: ApiToken.Scope | str, *, role: Role | None = None, methods: tuple[str, ...] = ("GET", "POST")
) -> Callable[[View], View]:
    """An endpoint for scripts: `view(request, token, ...)`, plain or async; 401 and 403 as JSON as OpenAI writes them.

    Free of CSRF checks, because no cookie opens it: a session is not looked at. `role` asks for more than the scope's
    own. What the view writes is audited as done by this token.
    """

    def decorate(view: View) -> View:
        def enter(request: HttpRequest) -> ApiToken | HttpResponse:
            return _enter_by_token(request, scope, role, methods)

        return csrf_exempt(_async_endpoint(view, enter) if iscoroutinefunction(view) else _endpoint(view, enter))

    return decorate


def _endpoint(view: View, enter: Callable[[HttpRequest], ApiToken | HttpResponse]) -> View:
    @wraps(view)
    def endpoint(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        token = enter(request)
        if isinstance(token, HttpResponse):
            return token
        with _acting(token):
            return view(request, token, *args, **kwargs)

    return endpoint


def _async_endpoint(view: View, enter: Callable[[HttpRequest], ApiToken | HttpResponse]) -> View:
    @wraps(view)
    async def endpoint(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        token = await sync_to_async(enter)(request)
        if isinstance(token, HttpResponse):
            return token
        with _acting(token):
            return await view(request, token, *args, **kwargs)

    return endpoint


@contextmanager
def _acting(token: ApiToken) -> Iterator[None]:
    before = acting_token.set(token)
    try:
        yield
    finally:
        acting_token.reset(before)


def _enter_by_token(
    request: HttpRequest, scope: ApiToken.Scope | str, role: Role | None, methods: tuple[str, ...]
) -> ApiToken | HttpResponse:
    live = _live_token(request)
    if live is None:
        return error(401, "Send a valid token: Authorization: Bearer <token>.")
    token, found = live
    if token.project.archived_at is not None and scope != ApiToken.Scope.READ:
        return error(403, f"The project {token.project.slug} is archived and read-only.")
    if not _covers(token, found, scope):
        return error(403, f"This token may not be used for {ApiToken.Scope(scope).label}.")
    if role is not None and (found is None or found < role):
        return error(403, f"This is for a {role.label} of the project or higher.")
    if request.method not in methods:
        return error(405, f"Use {' or '.join(methods)}.")
    request.user, request.project, request.role = token.user, token.project, found  # type: ignore[attr-defined]
    return token


def _live_token(request: HttpRequest) -> tuple[ApiToken, Role | None] | None:
    """The request's token if it exists, is not past its time, and its person is still let in at all; their role."""
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret:
        return None
    # The look-up is by the hash of 256 random bits: how long it takes tells nothing about the secret.
    standing = _membership(project=OuterRef("project"), user=OuterRef("user"))
    found = ApiToken.objects.select_related("project", "user").annotate(membership=standing)
    found = found.filter(sha256=secret_hash(secret.strip()))
    now = timezone.now()
    token = found.filter(revoked_at=None, expires_at__gt=now, user__is_active=True).first()
    if token is not None and (token.last_used_at is None or now - token.last_used_at >= LAST_USED_EVERY):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return None if token is None else (token, _role(token.user, token.membership))


def _covers(token: ApiToken, role: Role | None, scope: ApiToken.Scope | str) -> bool:
    scope = ApiToken.Scope(scope)
    if token.project.archived_at is not None and scope != ApiToken.Scope.READ:
        return False
    return scope.value in token.scopes and role is not None and role >= SCOPE_ROLE[scope]


def secret_hash(secret: str) -> str:
    """What is kept of a token or a sign-in link: SHA-256, enough for 256 random bits (a slow hash is for passwords)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def error(status: int, message: str) -> JsonResponse:
    """An error as the OpenAI API writes it; clients show `message`."""
    kinds = {401: "authentication_error", 403: "permission_error"}
    body = {"error": {"message": message, "type": kinds.get(status, "invalid_request_error"), "code": status}}
    return JsonResponse(body, status=status, headers={"WWW-Authenticate": "Bearer"} if status == 401 else {})
