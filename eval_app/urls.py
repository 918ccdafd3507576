from django.urls import path

from eval_app import views

app_name = "evaluation"
urlpatterns = [
    path("projects/<slug:slug>/evaluations/", views.evaluation_list, name="list"),
    path("projects/<slug:slug>/evaluations/new", views.evaluation_new, name="new"),
    path("projects/<slug:slug>/evaluations/<str:pk>/", views.evaluation_detail, name="evaluation"),
    path("projects/<slug:slug>/evaluations/<str:pk>/samples/<int:sample>", views.sample_detail, name="sample"),
    path("projects/<slug:slug>/suites/", views.suite_list, name="suite-list"),
    path("projects/<slug:slug>/suites/add", views.suite_add, name="suite-add"),
]
