"""manage.py conduct: the process that moves pipelines from step to step and keeps an eye on what is served."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import InterfaceError, OperationalError, close_old_connections

from controlplane.pipeline.actions import advance, fail_pipeline
from controlplane.pipeline.models import Pipeline
from playground_app.triton import TritonError
from playground_app.watch import check_deployments

log = logging.getLogger(__name__)
ROUNDS_BETWEEN_CANARIES = 10  # of a second each


class Command(BaseCommand):
    help = "Move pipelines from step to step until told to stop."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        rounds = 0
        while not stop.wait(1.0):
            rounds += 1
            try:
                conduct()
                if rounds % ROUNDS_BETWEEN_CANARIES == 0:
                    check_deployments()
            except TritonError as error:
                log.warning("no Triton: %s", error)
            except (
                OperationalError,
                InterfaceError,
            ) as error:  # Postgres is away or restarting: it is the truth, so wait for it
                log.warning("no database: %s", error)
                close_old_connections()


def conduct() -> None:
    """One move of each active pipeline."""
    for pipeline_id in Pipeline.objects.active().values_list("pk", flat=True):
        try:
            while advance(pipeline_id):
                pass
        except (OperationalError, InterfaceError):
            raise
        except (
            Exception
        ) as error:  # a fault of ours in one pipeline must not hold up all others: it ends, and shows why
            log.exception("pipeline %s cannot go on", pipeline_id)
            fail_pipeline(pipeline_id=pipeline_id, detail=f"It cannot go on: {type(error).__name__}: {error}")
