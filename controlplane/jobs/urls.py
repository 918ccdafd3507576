"""Jobs and workers."""

from django.urls import path

from controlplane.jobs import views

app_name = "jobs"
urlpatterns = [
    path("workers/", views.workers, name="workers"),
    path("projects/<slug:slug>/jobs/", views.job_list, name="list"),
    path("projects/<slug:slug>/jobs/<uuid:pk>/", views.job, name="job"),
    path("projects/<slug:slug>/jobs/<uuid:pk>/log/", views.log, name="log"),
    path("projects/<slug:slug>/jobs/<uuid:pk>/resources/", views.resources, name="resources"),
    path("projects/<slug:slug>/jobs/<uuid:pk>/stop/", views.stop, name="stop"),
    path("projects/<slug:slug>/jobs/<uuid:pk>/retry/", views.retry, name="retry"),
    path("projects/<slug:slug>/jobs/<uuid:pk>/priority/", views.priority, name="priority"),
]
