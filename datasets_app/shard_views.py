"""Pages of shard sets: pack one, its account, and its samples as a model will see them."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render

from controlplane.access.doors import MemberRequest, get_owned, project_view
from controlplane.access.models import Project, Role
from controlplane.access.refusals import Refused
from controlplane.ui import choices
from controlplane.ui.pages import page_of
from datasets_app import actions, encoding, samples
from datasets_app.forms import SampleSearchForm, ShardsForm
from datasets_app.models import ShardSet
from datasets_app.parquet import Unreadable


@project_view(Role.VIEWER)
def shard_set_list(request: MemberRequest, project: Project) -> HttpResponse:
    page = page_of(ShardSet.objects.for_list(project).filter(archived_at=None), request.GET)
    return render(request, "datasets/shard_sets.html", {"page": page})


@project_view(Role.MEMBER, methods=("GET", "POST"))
def shards_new(request: MemberRequest, project: Project) -> HttpResponse:
    initial = {name: request.GET.get(name) for name in ("dataset_version", "tokenizer")}
    form = ShardsForm(request.POST or None, project=project, initial=initial)
    if (answer := choices.asked(request, form)) is not None:
        return answer
    if request.method == "POST" and form.is_valid():
        inputs = {name: form.cleaned_data[name] for name in ("dataset_version", "tokenizer")}
        try:
            shards = actions.build_shards(project=project, by=request.user, **inputs, parameters=form.parameters())
            return redirect("datasets:shard-set", project.slug, shards.pk)
        except Refused as refused:
            form.add_error(None, str(refused))
    return render(request, "datasets/shards_new.html", {"form": form}, status=422 if form.errors else 200)


@project_view(Role.VIEWER)
def shard_set_detail(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    shards = get_owned(ShardSet.objects.for_list(project), project, pk)
    return render(request, "datasets/shard_set.html", {"shards": shards, "meta": shards.summary.get("meta", {})})


@project_view(Role.VIEWER)
def sample_list(request: MemberRequest, project: Project, pk: str) -> HttpResponse:
    """Samples page by page, or those that hold one document."""
    shards, counts = _opened(project, pk)
    form = SampleSearchForm(request.GET, splits=counts)
    if not form.is_valid():
        raise Http404
    asked = form.cleaned_data
    context = {"shards": shards, "form": form, "split": asked["split"], "document": asked["document"]}
    context |= {"total": counts[asked["split"]], "first": asked["first"], "page": samples.PAGE}
    try:
        context |= _listed(shards, asked)
    except Unreadable as error:
        context["problem"] = error
    return render(request, "datasets/samples.html", context, status=503 if "problem" in context else 200)


def _listed(shards: ShardSet, asked: dict[str, object]) -> dict[str, object]:
    uri, split, document = shards.uri or "", str(asked["split"]), str(asked["document"])
    vocabulary = encoding.vocabulary_of(shards.tokenizer)
    if not document:
        return {"rows": samples.page(uri, split, vocabulary, int(str(asked["first"])))}
    held = samples.holding(uri, split, document)
    return {"held": held, "rows": samples.listed(uri, split, held.samples, vocabulary)}


@project_view(Role.VIEWER)
def sample_detail(request: MemberRequest, project: Project, pk: str, split: str, index: int) -> HttpResponse:
    shards, counts = _opened(project, pk)
    if not 0 <= index < counts.get(split, 0):
        raise Http404(f"No sample {index} in the split {split}")
    context = {"shards": shards, "split": split, "index": index, "total": counts[split], "meta": shards.summary["meta"]}
    try:
        vocabulary, rows = encoding.vocabulary_of(shards.tokenizer), shards.dataset_version.uri or ""
        context["sample"] = samples.read(shards.uri or "", split, index, vocabulary, rows)
    except Unreadable as error:
        context["problem"] = error
    return render(request, "datasets/sample.html", context, status=503 if "problem" in context else 200)


def _opened(project: Project, pk: str) -> tuple[ShardSet, dict[str, int]]:
    """A finished shard set with its account, and {split: number of samples}."""
    found = ShardSet.objects.filter(project=project).select_related("dataset_version__dataset", "tokenizer", "job")
    shards = get_owned(found.defer("tokenizer__summary", "dataset_version__summary"), project, pk)
    if not shards.is_ready:
        raise Http404(f"{shards} is not ready yet")
    return shards, shards.summary["meta"]["n_samples"]
