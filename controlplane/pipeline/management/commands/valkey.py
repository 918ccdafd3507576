"""`manage.py valkey`: become the embedded Valkey. `up` starts it; by hand it runs until Ctrl-C."""

from __future__ import annotations

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.server import serve
from controlplane.pipeline.services.valkey import Valkey


class Command(BaseCommand):
    help = "Run the embedded Valkey in the foreground."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        try:
            serve(Valkey(settings.VALKEY_DIR))
        except ServiceError as error:
            raise CommandError(str(error)) from error
