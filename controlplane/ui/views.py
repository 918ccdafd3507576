"""The style guide: every part of the face in use, with made-up content. It reads no rows."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from controlplane.ui.guide import guide_context, offered


@login_required
def styleguide(request: HttpRequest) -> HttpResponse:
    if "choose" in request.GET:
        return render(request, "ui/row_options.html", {"options": offered(request.GET.get("shards", ""))})
    return render(request, "ui/styleguide.html", guide_context())
