"""`manage.py postgres`: become the embedded Postgres. `up` starts it; by hand it runs until Ctrl-C."""

from __future__ import annotations

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.postgres import Postgres
from controlplane.pipeline.services.server import serve


class Command(BaseCommand):
    help = "Run the embedded Postgres in the foreground."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        try:
            serve(Postgres(settings.POSTGRES_DIR))
        except ServiceError as error:
            raise CommandError(str(error)) from error
