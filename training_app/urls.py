from django.urls import path

from training_app import import_views, step_views, views

app_name = "training"
urlpatterns = [
    path("projects/<slug:slug>/runs/", views.run_list, name="run-list"),
    path("projects/<slug:slug>/runs/new", views.run_new, name="run-new"),
    path("projects/<slug:slug>/runs/compare", views.run_compare, name="run-compare"),
    path("projects/<slug:slug>/runs/archive", views.runs_archive, name="runs-archive"),
    path("projects/<slug:slug>/runs/restore", views.runs_restore, name="runs-restore"),
    path("projects/<slug:slug>/runs/views/save", views.view_save, name="view-save"),
    path("projects/<slug:slug>/runs/views/<str:pk>/change", views.view_change, name="view-change"),
    path("projects/<slug:slug>/runs/views/<str:pk>/archive", views.view_archive, name="view-archive"),
    path("projects/<slug:slug>/runs/<str:pk>/", views.run_detail, name="run"),
    path("projects/<slug:slug>/runs/<str:pk>/chart/<slug:chart>", views.run_chart, name="run-chart"),
    path("projects/<slug:slug>/runs/<str:pk>/step", step_views.run_step_asked, name="run-step-asked"),
    path("projects/<slug:slug>/runs/<str:pk>/steps/<int:step>", step_views.run_step, name="run-step"),
    path(
        "projects/<slug:slug>/datasets/<str:pk>/rows/<str:document_id>/seen",
        step_views.document_seen,
        name="document-seen",
    ),
    path("projects/<slug:slug>/runs/<str:pk>/edit", views.run_edit, name="run-edit"),
    path("projects/<slug:slug>/runs/<str:pk>/archive", views.run_archive, name="run-archive"),
    path("projects/<slug:slug>/models/", views.model_list, name="model-list"),
    path("projects/<slug:slug>/models/import", import_views.model_import_new, name="model-import-new"),
    path("projects/<slug:slug>/models/imports/<str:pk>/", import_views.model_import_detail, name="model-import"),
    path("projects/<slug:slug>/models/<str:pk>/", views.model_version_detail, name="model-version"),
]
