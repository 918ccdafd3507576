"""`manage.py triton`: become the embedded Triton. `up` starts it; by hand it runs until Ctrl-C.

The process replaces itself with NVIDIA's own tritonserver out of the worker environment's wheel, so that whoever
started it owns the server's pid. Models that were deployed before are loaded again.
"""

from __future__ import annotations

import os

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.triton import Triton


class Command(BaseCommand):
    help = "Run the embedded Triton in the foreground."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        try:
            launch = Triton(settings.TRITON_DIR, settings.TRITON_MODEL_REPOSITORY, settings.WORKER_PYTHON).prepare(
                os.environ
            )
        except ServiceError as error:
            raise CommandError(str(error)) from error
        os.execve(launch.argv[0], launch.argv, launch.environment)  # noqa: S606
