from django.urls import path

from training_app import views

app_name = "training"
urlpatterns = [
    path("projects/<slug:slug>/runs/", views.run_list, name="run-list"),
    path("projects/<slug:slug>/runs/new", views.run_new, name="run-new"),
    path("projects/<slug:slug>/runs/compare", views.run_compare, name="run-compare"),
    path("projects/<slug:slug>/runs/<str:pk>/", views.run_detail, name="run"),
    path("projects/<slug:slug>/runs/<str:pk>/chart/<slug:chart>", views.run_chart, name="run-chart"),
    path("projects/<slug:slug>/runs/<str:pk>/edit", views.run_edit, name="run-edit"),
    path("projects/<slug:slug>/runs/<str:pk>/archive", views.run_archive, name="run-archive"),
    path("projects/<slug:slug>/models/", views.model_list, name="model-list"),
    path("projects/<slug:slug>/models/<str:pk>/", views.model_version_detail, name="model-version"),
]
