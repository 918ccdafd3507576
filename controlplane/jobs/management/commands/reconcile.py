"""manage.py reconcile: the reconciler as a process; SIGTERM or Ctrl-C ends it between two rounds."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from controlplane.jobs.reconciler import Reconciler


class Command(BaseCommand):
    help = "Ring for queued jobs that nobody rang for, and end attempts whose worker went silent."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        leave = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: leave.set())
        Reconciler().run(leave)
