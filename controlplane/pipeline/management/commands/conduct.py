"""manage.py conduct: the process that moves pipelines from step to step."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import OperationalError, close_old_connections

from controlplane.pipeline.actions import advance
from controlplane.pipeline.models import Pipeline

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Move pipelines from step to step until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.wait(1.0):
            try:
                conduct()
            except OperationalError as error:  # Postgres is away or restarting: it is the truth, so wait for it
                log.warning("no database: %s", error)
                close_old_connections()


def conduct() -> None:
    """One move of each active pipeline."""
    for pipeline_id in Pipeline.objects.active().values_list("pk", flat=True):
        while advance(pipeline_id):
            pass
