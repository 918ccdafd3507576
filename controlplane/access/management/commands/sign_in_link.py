"""Print a one-time sign-in link: for the first admin, or for someone who lost their password."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from controlplane.access.actions import FIRST_USERNAME, make_sign_in_link
from controlplane.access.refusals import Refused


class Command(BaseCommand):
    help = "Print the path of a link that signs one person in, once, within an hour."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="?", default=FIRST_USERNAME)
        parser.add_argument("--url", default="", help="what this site is reached by; the link then begins with it")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            path = make_sign_in_link(username=options["username"])
        except Refused as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(options["url"].rstrip("/") + path)
