from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "eval_app"
    label = "evaluation"
