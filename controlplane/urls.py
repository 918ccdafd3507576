"""All the site's addresses. Each app owns its own; what belongs to a project lives under /projects/<project>/."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("controlplane.ui.urls")),
    path("", include("controlplane.access.urls")),
    path("", include("controlplane.jobs.urls")),
    path("", include("datasets_app.urls")),
    path("", include("training_app.urls")),
    path("", include("eval_app.urls")),
    path("", include("playground_app.urls")),
    path("", include("controlplane.pipeline.urls")),
]
