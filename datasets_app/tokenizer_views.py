"""Pages of tokenizers: train or import one, its account, its vocabulary, and several side by side."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui import choices
from controlplane.ui.pages import page_of
from datasets_app import actions, comparing, figures, vocabulary
from datasets_app.forms import CompareForm, ImportTokenizerForm, TokenizerForm, VocabularyForm
from datasets_app.models import Tokenizer
from datasets_app.parquet import Unreadable


@project_view(Role.VIEWER)
def tokenizer_list(request: MemberRequest, project: Project) -> HttpResponse:
    page = page_of(Tokenizer.objects.for_list(project).filter(archived_at=None), request.GET)
    return render(request, "datasets/tokenizers.html", {"page": page})


@project_view(Role.MEMBER, methods=("GET", "POST"))
def tokenizer_new(request: MemberRequest, project: Project) -> HttpResponse:
    initial = {"dataset_version": request.GET.get("dataset_version")}
    return _made(request, project, TokenizerForm(request.POST or None, project=project, initial=initial))


@project_view(Role.MEMBER, methods=("GET", "POST"))
def tokenizer_import(request: MemberRequest, project: Project) -> HttpResponse:
    initial = {name: request.GET.get(name) for name in ("dataset_version", "import_from", "name")}
    return _made(request, project, ImportTokenizerForm(request.POST or None, project=project, initial=initial))


def _made(request: MemberRequest, project: Project, form: TokenizerForm | ImportTokenizerForm) -> HttpResponse:
    if (answer := choices.asked(request, form)) is not None:
        return answer
    if request.method == "POST" and form.is_valid():
        inputs = {name: form.cleaned_data[name] for name in ("name", "dataset_version")}
        try:
            row = actions.train_tokenizer(project=project, by=request.user, **inputs, parameters=form.parameters())
            return redirect("datasets:tokenizer", project.slug, row.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    context = {"form": form, "imports": isinstance(form, ImportTokenizerForm)}
    return render(request, "datasets/tokenizer_new.html", context, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def tokenizer_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    tokenizer = get_owned(Tokenizer.objects.for_list(project), project, pk)
    context = {"tokenizer": tokenizer}
    context |= figures.of_tokenizer(tokenizer.summary) if tokenizer.is_ready else {}
    return render(request, "datasets/tokenizer.html", context)


@project_view(Role.VIEWER)
def tokenizer_vocabulary(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    tokenizer = get_owned(Tokenizer.objects.for_list(project), project, pk)
    form = VocabularyForm(request.GET)
    if tokenizer.uri is None or not form.is_valid():
        raise Http404
    context = {"tokenizer": tokenizer, "form": form, "chosen": form.cleaned_data}
    try:
        context["tokens"] = vocabulary.find(tokenizer.uri, **form.cleaned_data)
    except Unreadable as error:
        context["problem"] = error
    part = "#rows" if request.htmx else ""
    template = f"datasets/vocabulary.html{part}"
    return render(request, template, context, status=503 if "problem" in context else 200)


@project_view(Role.VIEWER)
def tokenizer_compare(request: MemberRequest, project: Project) -> HttpResponse:
    form = CompareForm(request.GET, project=project)
    if (answer := choices.asked(request, form)) is not None:
        return answer
    chosen = form.chosen(project)
    context = {"form": form, "tokenizers": chosen, "text": form.snippet(), "most": comparing.MOST}
    try:
        if chosen:
            context["spelt"] = comparing.spell(chosen, form.snippet())
            context["comparison"] = None if request.htmx else comparing.compare(chosen)
    except Unreadable as error:
        context["problem"] = error
    part = "#snippet" if request.htmx else ""
    status = 503 if "problem" in context else 422 if form.errors else 200
    return render(request, f"datasets/tokenizer_compare.html{part}", context, status=status)
