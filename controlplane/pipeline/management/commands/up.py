"""`manage.py up`: the whole yard in one terminal, until Ctrl-C. The Procfile names its processes."""

from __future__ import annotations

import os
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections
from django.urls import reverse

from controlplane.pipeline.services import locks, ports
from controlplane.pipeline.services.accounts import ServiceError
from controlplane.pipeline.services.startup import Address, processes, replaced_parts
from controlplane.pipeline.services.state import LOCK_FILE, STATE_FILE, read_state
from controlplane.pipeline.services.supervisor import Stopped, Supervisor

SERVERS = {"postgres", "valkey"}
START_SECONDS = 120  # a laptop under load: initdb alone was seen to take 5 s


class Command(BaseCommand):
    help = "Start everything, print one sign-in link, and keep it running until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=ports.LOOPBACK, help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port of the web server (%(default)s)")
        demo = parser.add_mutually_exclusive_group()
        demo.add_argument("--demo", action="store_true", help="train the first model even on servers of your own")
        demo.add_argument("--no-demo", action="store_true", help="do not train a first model on the first start")

    def handle(self, *args: object, host: str, port: int, demo: bool, no_demo: bool, **options: Any) -> None:
        settings.STATE_DIR.mkdir(parents=True, exist_ok=True)
        try:
            lock = locks.take(settings.STATE_DIR / LOCK_FILE)
        except locks.Held:
            self.point_to_the_running_one()
            return
        (settings.STATE_DIR / STATE_FILE).unlink(missing_ok=True)  # after kill -9 it still says ready
        address = Address(host, port)
        check_port(address)
        wants_demo = demo or not (no_demo or replaced_parts(os.environ))
        try:
            self.supervise(address, wants_demo)
        except ServiceError as error:
            raise CommandError(str(error)) from error
        finally:
            os.close(lock)

    def supervise(self, address: Address, wants_demo: bool) -> None:
        begun = time.monotonic()
        children = processes(address, os.environ)
        with Supervisor(settings.STATE_DIR, address.url, os.getpid(), self.say) as supervisor:
            try:
                self.start_in_order(supervisor, children)
                self.say(f"Ready in {time.monotonic() - begun:.1f} s. Sign in with this link; it works once:")
                self.say(f"\n    {sign_in_url(address.url)}\n")
                if wants_demo:
                    self.start_first_model(address.url)
                connections.close_all()
                self.say(f"Logs are in {settings.STATE_DIR / 'log'}. Ctrl-C stops everything.")
                supervisor.run()
            except Stopped:
                pass
            self.say("Stopping. Ctrl-C again does not wait for work in progress.")
        self.say("Everything has stopped.")

    def start_in_order(self, supervisor: Supervisor, children: list[Any]) -> None:
        """Servers, then the tables, then the web server while the cores are free, then the rest."""
        servers = [child for child in children if child.name in SERVERS]
        if servers:
            self.say(f"Starting {' and '.join(child.name for child in servers)}.")
            supervisor.start(servers)
            supervisor.await_healthy(SERVERS, START_SECONDS)
        self.say("Preparing the database.")
        prepare_database()
        rest = [child for child in children if child.name not in SERVERS]
        self.say(f"Starting {', '.join(child.name for child in rest)}.")
        supervisor.start([child for child in rest if child.name == "web"])
        supervisor.await_healthy({"web"}, START_SECONDS)
        supervisor.start([child for child in rest if child.name != "web"])

    def start_first_model(self, url: str) -> None:
        """On the first start only; afterwards the conductor goes on with it by itself."""
        from controlplane.pipeline.actions import start_first_model
        from controlplane.pipeline.models import Pipeline

        if Pipeline.objects.exists():
            return
        pipeline = start_first_model()
        page = reverse("pipeline:pipeline", args=[pipeline.project.slug, pipeline.pk])
        self.say(f"Training a first model on the Python code of this machine: {url}{page}")

    def point_to_the_running_one(self) -> None:
        state = read_state(settings.STATE_DIR)
        if state is None or state.phase != "ready":
            self.say("Another `up` is just starting or stopping in this folder.")
            return
        self.say(f"Already running at {state.url} (pid {state.pid}). A new sign-in link, which works once:")
        self.say(f"\n    {sign_in_url(state.url)}\n")

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def check_port(address: Address) -> None:
    try:
        if ports.is_free(address.host, address.port, wait_seconds=1):
            return
    except OSError as error:
        raise CommandError(f"Cannot listen on {address.host} port {address.port}: {error.strerror}.") from error
    raise CommandError(f"Port {address.port} is taken. Choose another one: ./yard up --port {address.port + 1}")


def prepare_database() -> None:
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except OperationalError as error:
        raise ServiceError(f"The database does not answer: {str(error).splitlines()[0]}") from error
    if settings.PRODUCTION:
        call_command("collectstatic", interactive=False, verbosity=0)


def sign_in_url(url: str) -> str:
    from controlplane.access.actions import make_sign_in_link

    return url + make_sign_in_link()
