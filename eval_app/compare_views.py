"""Pages that put evaluations beside one another: a comparison and the leaderboard."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Max
from django.http import HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from eval_app import comparison, contamination, leaderboard
from eval_app.models import Evaluation, Suite


@project_view(Role.VIEWER)
def compare(request: MemberRequest, project: Project) -> HttpResponse:
    """?ids=a,b,c: the first is the baseline."""
    chosen = [pk.replace("\0", "") for pk in dict.fromkeys(request.GET.get("ids", "").split(",")) if pk]
    rows = Evaluation.objects.for_list(project).filter(pk__in=chosen[: comparison.MOST], sha256__isnull=False)
    found = {row.pk: row for row in rows}
    evaluations = [found[pk] for pk in chosen if pk in found]
    if len(evaluations) < 2:
        messages.error(request, "Choose at least two finished evaluations to compare.")
        return redirect("evaluation:list", project.slug)
    if left := len(chosen) - len(evaluations):
        messages.info(
            request, f"{left} of the {len(chosen)} chosen are left out: not finished, or beyond the first 20."
        )
    return render(request, "evaluation/compare.html", comparison.context(evaluations))


@project_view(Role.VIEWER)
def standings(request: MemberRequest, project: Project) -> HttpResponse:
    """The leaderboard of one suite, ?suite=, or of the one that was scored last; of one ?language= if asked."""
    suites = Suite.objects.filter(project=project, archived_at=None, evaluations__sha256__isnull=False)
    scored = list(suites.annotate(last=Max("evaluations__created_at")).order_by("-last", "name"))
    if not scored:
        return render(request, "evaluation/leaderboard.html", {"suites": []})
    asked = request.GET.get("suite", "").replace("\0", "")
    suite = get_owned(suites.distinct(), project, asked) if asked else scored[0]
    language = request.GET.get("language", "")
    groups = leaderboard.groups(suite, language)
    contamination.mark(suite, groups, language)
    spoken = {name for group in groups for name in leaderboard.languages(group.score)}
    context = {"suites": scored, "suite": suite, "groups": groups, "language": language, "languages": sorted(spoken)}
    context["over_tokens"] = leaderboard.over_tokens(groups[0]) if groups else None
    return render(request, "evaluation/leaderboard.html", context)
