"""How an action says no to a person: a sentence that tells what to do, shown on the form that asked."""

from __future__ import annotations


class Refused(Exception):
    """The action did nothing. The message is for the person who asked."""
