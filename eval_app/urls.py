from django.urls import path

from eval_app import api, compare_views, problem_views, views

app_name = "evaluation"
urlpatterns = [
    path("projects/<slug:slug>/evaluations/", views.evaluation_list, name="list"),
    path("projects/<slug:slug>/evaluations/new", views.evaluation_new, name="new"),
    path("projects/<slug:slug>/evaluations/compare", compare_views.compare, name="compare"),
    path("projects/<slug:slug>/evaluations/leaderboard", compare_views.standings, name="leaderboard"),
    path("projects/<slug:slug>/evaluations/<str:pk>/", views.evaluation_detail, name="evaluation"),
    path("projects/<slug:slug>/evaluations/<str:pk>/samples/<int:sample>", problem_views.sample_detail, name="sample"),
    path("projects/<slug:slug>/evaluations/<str:pk>/samples.<str:kind>", problem_views.samples_export, name="samples"),
    path("projects/<slug:slug>/suites/", views.suite_list, name="suite-list"),
    path("projects/<slug:slug>/suites/add", views.suite_add, name="suite-add"),
    path("projects/<slug:slug>/suites/upload", views.suite_upload, name="suite-upload"),
    path("projects/<slug:slug>/suites/<str:pk>/", problem_views.suite_detail, name="suite"),
    path("projects/<slug:slug>/suites/<str:pk>/problem", problem_views.problem_detail, name="problem"),
    path("v1/evaluations", api.evaluations, name="v1-evaluations"),
    path("v1/evaluations/<str:pk>", api.evaluation, name="v1-evaluation"),
    path("v1/evaluations/<str:pk>/samples", api.samples, name="v1-samples"),
    path("v1/suites/<str:name>/leaderboard", api.suite_leaderboard, name="v1-leaderboard"),
]
