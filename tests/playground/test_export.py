"""The loop closes: what people accepted is what the next dataset is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controlplane.access.refusals import Refused
from playground_app import actions, jobs
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


def test_there_must_be_something_that_was_accepted(project, ada, chain):
    factories.make_completion(chain.deployment, text=" seen, not taken")
    with pytest.raises(Refused, match="Nobody has accepted"):
        actions.export_feedback(project=project, by=ada, name="feedback")


def test_only_accepted_completions_travel_with_their_model(project, ada, chain, settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path)
    taken = factories.make_completion(chain.deployment, text=" taken")
    factories.make_completion(chain.deployment, text=" not taken")
    actions.record_feedback(project=project, completion_id=taken.pk, kind="accept", elapsed_ms=900)
    version = actions.export_feedback(project=project, by=ada, name="feedback", base=chain.dataset_version)
    spec = jobs.export_feedback.spec_for(version.job)
    assert spec.base.sha256 == chain.dataset_version.sha256
    rows = [json.loads(line) for line in (Path(spec.rows.uri.removeprefix("file://")) / "rows.jsonl").open()]
    assert [(row["id"], row["completion"]) for row in rows] == [(taken.pk, " taken")]
    assert rows[0]["model_version"] == str(chain.deployment.model_version)


def test_the_page_says_how_many(ada_client, project, chain):
    page = ada_client.get(f"/projects/{project.slug}/feedback/export")
    assert page.status_code == 200
    assert b"0 accepted completions" in page.content
