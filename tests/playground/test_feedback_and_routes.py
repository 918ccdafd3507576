"""Which deployment answers whom, and what people made of the answers."""

from __future__ import annotations

import pytest

from playground_app.figures import feel
from playground_app.models import Feedback
from playground_app.routing import NoRoute, route, routes
from tests import factories

FEEDBACK = "/projects/demo/playground/feedback"


@pytest.fixture
def chain(project):
    made = factories.make_chain(project, name="completer")
    factories.make_promotion(made.version, "production")
    return made


@pytest.fixture
def on_staff(chain):
    """v2, on staff."""
    version = factories.make_model_version(factories.make_training_run(chain.shard_set, "two", "completer"), 2)
    factories.make_promotion(version, "staff")
    return factories.make_deployment(version)


def test_members_get_what_is_on_production_and_maintainers_also_staff(chain, on_staff, project, grace, ada):
    assert [(item.name, item.audience) for item in routes(project, staff=False)] == [
        ("completer@production", "production")
    ]
    assert route(project, "completer", staff=False).deployment == chain.deployment
    assert route(project, "completer", staff=True).deployment == on_staff
    assert route(project, "completer@production", staff=True).deployment == chain.deployment
    assert route(project, "completer-v1", staff=True).audience == "version"


def test_a_version_that_is_not_live_is_no_route_and_the_sentence_says_what_is(chain, project, grace):
    type(chain.deployment).objects.update(state="lost")
    with pytest.raises(NoRoute, match="nothing is deployed for you yet"):
        route(project, "completer", staff=False)


def test_the_newest_ready_deployment_of_a_version_answers(chain, project, grace):
    newer = factories.make_deployment(chain.version)
    factories.make_deployment(chain.version, "stopped")
    assert route(project, "completer", staff=False).deployment == newer


def test_nobodys_models_are_seen_from_another_project(chain, other_project, mallory):
    assert routes(other_project, staff=False) == []


def test_the_page_offers_only_what_the_person_may_ask(chain, on_staff, grace_client, ada_client):
    page = "/projects/demo/playground/"
    assert [item.name for item in grace_client.get(page).context["routes"]] == ["completer@production"]
    assert ada_client.get(page, {"model": "completer@staff"}).context["chosen"].deployment == on_staff


@pytest.mark.parametrize("kind", ["view", "accept", "dismiss"])
def test_saying_the_same_twice_is_kept_once(chain, grace_client, kind):
    for elapsed in (900, 1500):
        sent = {"completion_id": chain.completion.pk, "kind": kind, "elapsed_ms": elapsed}
        assert grace_client.post(FEEDBACK, sent).status_code == 204
    assert [(row.kind, row.elapsed_ms) for row in Feedback.objects.all()] == [(kind, 900)]


def test_feedback_on_what_is_not_there_or_not_known_is_refused(chain, grace_client, mallory_client):
    sent = {"completion_id": chain.completion.pk, "kind": "view"}
    assert grace_client.post(FEEDBACK, {**sent, "completion_id": "cmpl-0"}).status_code == 404
    assert grace_client.post(FEEDBACK, {**sent, "kind": "like"}).status_code == 400
    assert mallory_client.post(FEEDBACK, sent).status_code == 404
    assert mallory_client.post(FEEDBACK.replace("demo", "elsewhere"), sent).status_code == 404
    assert not Feedback.objects.exists()


def test_acceptance_is_of_what_was_seen(chain, grace_client):
    other = factories.make_completion(chain.deployment)
    factories.make_completion(chain.deployment)
    for pk, kind in ((chain.completion.pk, "view"), (chain.completion.pk, "accept"), (other.pk, "view")):
        grace_client.post(FEEDBACK, {"completion_id": pk, "kind": kind})
    found = feel(chain.deployment)
    assert (found.requests, found.seen, found.accepted, found.acceptance) == (3, 2, 1, 0.5)
    assert found.first_token_ms_p50 == 11.5
