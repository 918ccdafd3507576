"""Pages of imported models: ask for one, and what came of it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from training_app import actions
from training_app.forms import ImportModelForm
from training_app.models import ModelImport


@project_view(Role.MEMBER, methods=("GET", "POST"))
def model_import_new(request: MemberRequest, project: Project) -> HttpResponse:
    form = ImportModelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        row = actions.import_model(project=project, by=request.user, **form.cleaned_data)
        return redirect("training:model-import", project.slug, row.pk)
    return render(request, "training/model_import_new.html", {"form": form}, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def model_import_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    row = get_owned(ModelImport.objects.for_list(project), project, pk)
    version = row.model_versions.select_related("model", "tokenizer").defer("tokenizer__summary").first()
    return render(request, "training/model_import.html", {"imported": row, "version": version})
