from django.apps import AppConfig


class PipelineConfig(AppConfig):
    name = "controlplane.pipeline"
    label = "pipeline"
