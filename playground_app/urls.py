from django.urls import path

from playground_app import api, views

app_name = "playground"
urlpatterns = [
    path("projects/<slug:slug>/deployments/", views.deployment_list, name="deployment-list"),
    path("projects/<slug:slug>/deployments/<str:pk>/", views.deployment_detail, name="deployment"),
    path("projects/<slug:slug>/deployments/<str:pk>/stop", views.deployment_stop, name="deployment-stop"),
    path("projects/<slug:slug>/models/<str:pk>/promote", views.promote, name="promote"),
    path("projects/<slug:slug>/registry/<str:pk>/roll-back/<slug:alias>", views.roll_back, name="roll-back"),
    path("projects/<slug:slug>/playground/", views.editor, name="editor"),
    path("projects/<slug:slug>/playground/complete", views.complete, name="complete"),
    path("projects/<slug:slug>/playground/feedback", views.feedback, name="feedback"),
    path("projects/<slug:slug>/feedback/export", views.export, name="feedback-export"),
    path("projects/<slug:slug>/completions/<str:pk>/", views.completion_detail, name="completion"),
    path("projects/<slug:slug>/completions/<str:pk>/problem", views.problem_new, name="problem-new"),
    path("v1/completions", api.create_completion, name="v1-completions"),
    path("v1/models", api.models, name="v1-models"),
]
