from django.urls import path

from eval_app import (
    api,
    baseline_views,
    compare_views,
    contamination_views,
    import_views,
    problem_views,
    suite_api,
    suite_views,
    views,
)

app_name = "evaluation"
urlpatterns = [
    path("projects/<slug:slug>/evaluations/", views.evaluation_list, name="list"),
    path("projects/<slug:slug>/evaluations/new", views.evaluation_new, name="new"),
    path("projects/<slug:slug>/evaluations/compare", compare_views.compare, name="compare"),
    path("projects/<slug:slug>/evaluations/leaderboard", compare_views.standings, name="leaderboard"),
    path("projects/<slug:slug>/evaluations/import", import_views.results_import, name="import"),
    path("projects/<slug:slug>/evaluations/<str:pk>/", views.evaluation_detail, name="evaluation"),
    path("projects/<slug:slug>/evaluations/<str:pk>/samples/<int:sample>", problem_views.sample_detail, name="sample"),
    path(
        "projects/<slug:slug>/evaluations/<str:pk>/samples/<int:sample>/problem",
        problem_views.problem_of_sample,
        name="problem-of-sample",
    ),
    path("projects/<slug:slug>/evaluations/<str:pk>/samples.<str:kind>", problem_views.samples_export, name="samples"),
    path("projects/<slug:slug>/evaluations/<str:pk>/judge-again", import_views.judge_again, name="judge-again"),
    path("projects/<slug:slug>/baselines/", baseline_views.baseline_list, name="baseline-list"),
    path("projects/<slug:slug>/baselines/add", baseline_views.baseline_add, name="baseline-add"),
    path("projects/<slug:slug>/baselines/<str:pk>/", baseline_views.baseline_detail, name="baseline"),
    path("projects/<slug:slug>/baselines/<str:pk>/edit", baseline_views.baseline_edit, name="baseline-edit"),
    path("projects/<slug:slug>/baselines/<str:pk>/archive", baseline_views.baseline_archive, name="baseline-archive"),
    path("projects/<slug:slug>/baselines/<str:pk>/restore", baseline_views.baseline_restore, name="baseline-restore"),
    path("projects/<slug:slug>/contamination/find", contamination_views.contamination_find, name="contamination-find"),
    path(
        "projects/<slug:slug>/contamination/<str:pk>/", contamination_views.contamination_detail, name="contamination"
    ),
    path(
        "projects/<slug:slug>/contamination/<str:pk>/problem",
        contamination_views.contamination_problem,
        name="contamination-problem",
    ),
    path("projects/<slug:slug>/suites/", views.suite_list, name="suite-list"),
    path("projects/<slug:slug>/suites/add", views.suite_add, name="suite-add"),
    path("projects/<slug:slug>/suites/upload", views.suite_upload, name="suite-upload"),
    path("projects/<slug:slug>/suites/<str:pk>/", suite_views.suite_detail, name="suite"),
    path("projects/<slug:slug>/suites/<str:pk>/admit", suite_views.suite_admit, name="suite-admit"),
    path("projects/<slug:slug>/suites/<str:pk>/problem", problem_views.problem_detail, name="problem"),
    path("v1/evaluations", api.evaluations, name="v1-evaluations"),
    path("v1/evaluations/<str:pk>", api.evaluation, name="v1-evaluation"),
    path("v1/evaluations/<str:pk>/samples", api.samples, name="v1-samples"),
    path("v1/suites", suite_api.suites, name="v1-suites"),
    path("v1/suites/upload", suite_api.upload, name="v1-suite-upload"),
    path("v1/suites/<str:name>/admission", suite_api.admission, name="v1-admission"),
    path("v1/suites/<str:name>/admit", suite_api.admit, name="v1-admit"),
    path("v1/suites/<str:name>/leaderboard", api.suite_leaderboard, name="v1-leaderboard"),
]
