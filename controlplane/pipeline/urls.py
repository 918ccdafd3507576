from django.urls import path

from controlplane.pipeline import opt_out_views, views

app_name = "pipeline"
urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.health, name="health"),
    path("status/", views.status, name="status"),
    path("projects/<slug:slug>/", views.overview, name="overview"),
    path("projects/<slug:slug>/search", views.search, name="search"),
    path("projects/<slug:slug>/settings/", views.settings_page, name="settings"),
    path("projects/<slug:slug>/settings/archive", views.archive, name="archive"),
    path("projects/<slug:slug>/settings/restore", views.restore, name="restore"),
    path("projects/<slug:slug>/opt-out/", opt_out_views.opt_out_page, name="opt-out"),
    path("projects/<slug:slug>/opt-out/act", opt_out_views.opt_out_act, name="opt-out-act"),
    path("projects/<slug:slug>/opt-out/<str:pk>/", opt_out_views.opt_out_detail, name="opt-out-detail"),
    path("projects/<slug:slug>/pipelines/", views.pipeline_list, name="list"),
    path("projects/<slug:slug>/pipelines/start", views.start, name="start"),
    path("projects/<slug:slug>/pipelines/<str:pk>/", views.pipeline_detail, name="pipeline"),
    path("projects/<slug:slug>/pipelines/<str:pk>/stop", views.stop, name="stop"),
    path("projects/<slug:slug>/pipelines/<str:pk>/resume", views.resume, name="resume"),
]
