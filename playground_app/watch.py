"""Whether what should be served still is: a canary for each deployment, since Triton's ready flag outlives its models.

A deployment that does not answer is lost, and says so on its page; one that answers again is ready again. Nothing is
restarted here: the supervisor keeps Triton, and Triton loads its repository.
"""

from __future__ import annotations

import logging

from asgiref.sync import async_to_sync

from playground_app import triton
from playground_app.models import Deployment

log = logging.getLogger(__name__)
State = Deployment.State


def check_deployments() -> None:
    """Ask each served model for a few tokens; a state changes only from what it was when asked."""
    rows = list(Deployment.objects.filter(state__in=[State.READY, State.LOST]))
    if not rows:
        return
    answers = async_to_sync(_canaries)([row.served_name for row in rows])
    for row in rows:
        canary = answers[row.served_name]
        found = State.READY if canary.ok else State.LOST
        if found != row.state and Deployment.objects.filter(pk=row.pk, state=row.state).update(state=found):
            log.warning("%s is %s. %s", row.served_name, found, canary.detail)


async def _canaries(names: list[str]) -> dict[str, triton.Canary]:
    client = triton.Triton(triton.address())
    try:
        return {name: await client.canary(name) for name in names}
    finally:
        await client.close()
