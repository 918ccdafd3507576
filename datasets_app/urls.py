from django.urls import path

from datasets_app import recipe_views, row_views, shard_views, source_views, threshold_views, tokenizer_views, views

app_name = "datasets"
urlpatterns = [
    path("projects/<slug:slug>/datasets/", views.dataset_list, name="list"),
    path("projects/<slug:slug>/datasets/new", recipe_views.dataset_new, name="new"),
    path("projects/<slug:slug>/datasets/<str:pk>/", views.version_detail, name="version"),
    path("projects/<slug:slug>/datasets/<str:pk>/thresholds", threshold_views.threshold_page, name="thresholds"),
    path("projects/<slug:slug>/datasets/<str:pk>/rows", row_views.rows, name="rows"),
    path("projects/<slug:slug>/datasets/<str:pk>/rows/<str:document_id>", row_views.row, name="row"),
    path(
        "projects/<slug:slug>/datasets/<str:pk>/rows/<str:document_id>/beside/<str:other_id>",
        row_views.pair,
        name="pair",
    ),
    path("projects/<slug:slug>/datasets/<str:pk>/clusters/", row_views.cluster_list, name="clusters"),
    path("projects/<slug:slug>/datasets/<str:pk>/clusters/<str:document_id>", row_views.cluster, name="cluster"),
    path("projects/<slug:slug>/datasets/<str:pk>/since/<str:other_pk>", views.version_diff, name="diff"),
    path("projects/<slug:slug>/datasets/<str:pk>/dropped/<slug:reason>", row_views.dropped, name="dropped"),
    path("projects/<slug:slug>/sources/", source_views.source_list, name="source-list"),
    path("projects/<slug:slug>/sources/add", source_views.source_add, name="source-add"),
    path("projects/<slug:slug>/sources/previews/<str:pk>/", source_views.source_preview, name="source-preview"),
    path("projects/<slug:slug>/sources/<str:pk>/", source_views.source_detail, name="source"),
    path("projects/<slug:slug>/sources/<str:pk>/edit", source_views.source_edit, name="source-edit"),
    path("projects/<slug:slug>/sources/<str:pk>/archive", source_views.source_archive, name="source-archive"),
    path("projects/<slug:slug>/sources/<str:pk>/restore", source_views.source_restore, name="source-restore"),
    path("projects/<slug:slug>/tokenizers/", tokenizer_views.tokenizer_list, name="tokenizer-list"),
    path("projects/<slug:slug>/tokenizers/new", tokenizer_views.tokenizer_new, name="tokenizer-new"),
    path("projects/<slug:slug>/tokenizers/import", tokenizer_views.tokenizer_import, name="tokenizer-import"),
    path("projects/<slug:slug>/tokenizers/compare", tokenizer_views.tokenizer_compare, name="tokenizer-compare"),
    path("projects/<slug:slug>/tokenizers/<str:pk>/", tokenizer_views.tokenizer_detail, name="tokenizer"),
    path(
        "projects/<slug:slug>/tokenizers/<str:pk>/vocabulary", tokenizer_views.tokenizer_vocabulary, name="vocabulary"
    ),
    path("projects/<slug:slug>/shards/", shard_views.shard_set_list, name="shard-set-list"),
    path("projects/<slug:slug>/shards/new", shard_views.shards_new, name="shards-new"),
    path("projects/<slug:slug>/shards/<str:pk>/", shard_views.shard_set_detail, name="shard-set"),
    path("projects/<slug:slug>/shards/<str:pk>/samples/", shard_views.sample_list, name="samples"),
    path(
        "projects/<slug:slug>/shards/<str:pk>/samples/<slug:split>/<int:index>",
        shard_views.sample_detail,
        name="sample",
    ),
]
