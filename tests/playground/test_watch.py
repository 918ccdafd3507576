"""A deployment's state follows what its model answers, not what Triton says of it."""

from __future__ import annotations

import pytest

from playground_app.models import Deployment
from playground_app.watch import check_deployments

pytestmark = pytest.mark.django_db(transaction=True)


def states():
    return dict(Deployment.objects.values_list("served_name", "state"))


def test_a_model_whose_process_died_is_lost_and_comes_back(served):
    served.triton.models["served-1"].dead = True
    check_deployments()
    assert states() == {"served-1": "lost", "served-2": "ready"}
    served.triton.models["served-1"].dead = False
    check_deployments()
    assert states() == {"served-1": "ready", "served-2": "ready"}


def test_a_stopped_deployment_stays_stopped(served):
    Deployment.objects.filter(served_name="served-1").update(state="stopped")
    check_deployments()
    assert states()["served-1"] == "stopped"
