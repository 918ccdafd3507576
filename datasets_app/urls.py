from django.urls import path

from datasets_app import views

app_name = "datasets"
urlpatterns = [
    path("projects/<slug:slug>/datasets/", views.dataset_list, name="list"),
    path("projects/<slug:slug>/datasets/new", views.dataset_new, name="new"),
    path("projects/<slug:slug>/datasets/<str:pk>/", views.version_detail, name="version"),
    path("projects/<slug:slug>/datasets/<str:pk>/rows", views.rows, name="rows"),
    path("projects/<slug:slug>/datasets/<str:pk>/rows/<str:document_id>", views.row, name="row"),
    path("projects/<slug:slug>/datasets/<str:pk>/dropped/<slug:reason>", views.dropped, name="dropped"),
    path("projects/<slug:slug>/sources/", views.source_list, name="source-list"),
    path("projects/<slug:slug>/sources/add", views.source_add, name="source-add"),
    path("projects/<slug:slug>/tokenizers/", views.tokenizer_list, name="tokenizer-list"),
    path("projects/<slug:slug>/tokenizers/new", views.tokenizer_new, name="tokenizer-new"),
    path("projects/<slug:slug>/tokenizers/<str:pk>/", views.tokenizer_detail, name="tokenizer"),
    path("projects/<slug:slug>/shards/new", views.shards_new, name="shards-new"),
    path("projects/<slug:slug>/shards/<str:pk>/", views.shard_set_detail, name="shard-set"),
]
