"""The face alone, with a search endpoint that answers from a list: its behaviours are tested without any other room."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from controlplane.ui.charts import Series, line_chart

OBJECTS = [
    {"kind": "run", "name": "brave-heron-12", "url": "/styleguide/?from=palette"},
    {"kind": "model", "name": "<b>small-py</b>", "url": "/styleguide/?from=model"},
]


def search(request: HttpRequest) -> JsonResponse:
    words = request.GET["q"]
    return JsonResponse([item for item in OBJECTS if words in item["name"]], safe=False)


def refuse(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<p id=answer>refused: the name is taken</p>", status=422)


def figure(request: HttpRequest) -> JsonResponse:
    return JsonResponse(line_chart([Series("loss", [1, 2], [3.0, 2.0])], x_title="step", y_title="nats"))


urlpatterns = [
    path("", include("controlplane.ui.urls")),
    path("search", search),
    path("refuse", refuse),
    path("figure", figure),
]
