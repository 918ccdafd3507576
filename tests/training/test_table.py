"""The runs table: its address says everything; views keep that under a name; many runs are archived at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone

from controlplane.access.models import AuditEntry
from controlplane.access.refusals import Refused
from controlplane.jobs.models import Job
from tests import factories
from training_app import actions
from training_app.models import RunView, TrainingRun
from training_app.table import Asked

LIST = "/projects/demo/runs/"


@pytest.fixture
def shards(project):
    version = factories.make_dataset_version(project)
    return factories.make_shard_set(version, factories.make_tokenizer(version))


@pytest.fixture
def runs(shards):
    good = factories.make_training_run(shards, "good", metrics={"loss/val": 1.5, "step": 10}, batch_size=16)
    poor = factories.make_training_run(shards, "poor", metrics={"loss/val": 2.5}, batch_size=128)
    new = factories.make_training_run(shards, "new", metrics={}, batch_size=32)
    Job.objects.filter(pk=new.job_id).update(status="failed", failure_code="test:app:failed")
    TrainingRun.objects.filter(pk=poor.pk).update(tags=["baseline", "ablation"])
    TrainingRun.objects.filter(pk=new.pk).update(tags=[])
    for seconds, run in enumerate((new, poor, good)):
        Job.objects.filter(pk=run.job_id).update(finished_at=run.job.started_at + timedelta(seconds=seconds))
    return good, poor, new


def shown(client, query=""):
    """The names on the page, in order."""
    return " ".join(run.name for run in client.get(f"{LIST}?{query}").context["page"].rows)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "new poor good"),
        ("sort=created", "good poor new"),
        ("sort=metrics.loss/val", "good poor new"),  # without the metric it is last, both ways
        ("sort=-metrics.loss/val", "poor good new"),
        ("sort=params.batch_size", "good new poor"),  # as numbers: 128 is not before 16
        ("sort=-params.batch_size", "poor new good"),
        ("sort=-name", "poor new good"),
        ("sort=-duration", "good poor new"),
        ("sort=nonsense", "new poor good"),
        ("tag=baseline", "poor good"),
        ("tag=baseline&tag=ablation", "poor"),
        ("status=failed", "new"),
        ("q=params.batch_size+%3C+100&tag=baseline", "good"),
        ("status=archived", ""),
    ],
)
def test_the_address_says_which_runs_in_which_order(runs, grace_client, query, names):
    assert shown(grace_client, query) == names


def test_by_status_what_asks_for_attention_comes_first(runs, grace_client):
    assert shown(grace_client, "sort=status").startswith("new ")
    assert shown(grace_client, "sort=-status").endswith(" new")


def test_statuses_are_counted_within_the_search_and_archived_ones_apart(runs, grace_client):
    TrainingRun.objects.filter(pk=runs[0].pk).update(archived_at=timezone.now())
    statuses = grace_client.get(LIST).context["statuses"]
    assert [(row["name"], row["count"]) for row in statuses] == [
        ("", 2), ("failed", 1), ("succeeded", 1), ("archived", 1)
    ]  # fmt: skip
    assert shown(grace_client, "status=archived") == "good"
    searched = grace_client.get(LIST, {"q": "tags = ablation"}).context["statuses"]
    assert [(row["name"], row["count"]) for row in searched] == [("", 1), ("succeeded", 1)]


def test_columns_are_chosen_in_the_address_and_the_runs_own_metrics_are_offered(runs, grace_client):
    page = grace_client.get(f"{LIST}?column=params.batch_size&column=metrics.loss/val&column=nonsense")
    assert [head["column"].key for head in page.context["heads"]] == ["name", "params.batch_size", "metrics.loss/val"]
    html = page.content.decode()
    assert '<td class="num">128</td>' in html
    offered = {group: [column.key for column in rows] for group, rows in page.context["offered"].items()}
    assert "metrics.step" in offered["Metrics, last value"]
    assert "params.shape.layers" in offered["Parameters"]
    assert "metrics.loss/val" in offered["Shown"]


@pytest.mark.parametrize("sort", ["-created", "metrics.loss/train", "-metrics.loss/train", "params.seed", "status"])
def test_pages_go_on_where_the_last_one_ended_whatever_the_order(shards, grace_client, sort):
    for number in range(60):
        metrics = {"loss/train": float(number // 3)} if number % 4 else {}
        run = factories.make_training_run(shards, f"run-{number}", metrics=metrics)
        TrainingRun.objects.filter(pk=run.pk).update(recipe={"seed": number // 2} if number % 5 else {"seed": None})
    first = grace_client.get(LIST, {"sort": sort}).context["page"]
    second = grace_client.get(LIST, {"sort": sort, "after": first.after}).context["page"]
    back = grace_client.get(LIST, {"sort": sort, "before": second.before}).context["page"]
    assert (len(first.rows), len(second.rows), second.after) == (50, 10, None)
    assert len({run.pk for run in [*first.rows, *second.rows]}) == 60
    assert [run.pk for run in back.rows] == [run.pk for run in first.rows]


def test_the_list_asks_the_same_few_queries_however_many_runs_there_are(
    runs, shards, grace_client, django_assert_num_queries
):
    with django_assert_num_queries(8):  # session, person, project with role, views, counts, ids, rows, names of columns
        grace_client.get(LIST, {"sort": "metrics.loss/val"})
    for number in range(12):
        factories.make_training_run(shards, f"more-{number}")
    with django_assert_num_queries(8):
        grace_client.get(LIST, {"sort": "metrics.loss/val"})


@pytest.mark.parametrize(
    "query", ["", "q=name+%3D+a&sort=-name&tag=x&tag=y&status=failed&column=name&column=params.seed"]
)
def test_a_state_is_read_again_from_what_it_writes(query):
    asked = Asked.of(QueryDict(query))
    assert Asked.of(QueryDict(asked.query_string())) == asked
    assert Asked.of(QueryDict(Asked().query_string(asked)), asked) == Asked()


# ---- saved views -----------------------------------------------------------------------------------------------------


def save(client, **changes):
    return client.post(
        f"{LIST}views/save", {"name": "Losses", "query": "sort=metrics.loss%2Fval&q=name+!%3D+new", **changes}
    )


def test_a_view_shows_what_was_saved_and_the_address_overrides_it(runs, grace_client):
    url = save(grace_client).url
    view = RunView.objects.get()
    assert url == f"{LIST}?view={view.pk}"
    assert shown(grace_client, f"view={view.pk}") == "good poor"
    assert shown(grace_client, f"view={view.pk}&sort=-metrics.loss/val") == "poor good"
    assert shown(grace_client, f"view={view.pk}&q=") == "good poor new"


def test_ones_own_views_are_nobody_elses_and_shared_ones_are_the_projects(grace_client, ada_client, runs):
    save(grace_client)
    save(grace_client, name="For all", is_shared="on")
    assert [view.name for view in grace_client.get(LIST).context["views"]] == ["For all", "Losses"]
    assert [view.name for view in ada_client.get(LIST).context["views"]] == ["For all"]


def test_a_view_is_changed_and_removed_by_its_maker_and_shared_ones_by_maintainers(
    grace_client, ada_client, project, ada
):
    save(grace_client)
    save(grace_client, name="For all", is_shared="on")
    save(ada_client, name="Of ada", is_shared="on")
    own, shared, adas = (RunView.objects.get(name=name) for name in ("Losses", "For all", "Of ada"))
    assert ada_client.post(f"{LIST}views/{own.pk}/change", {"query": ""}).status_code == 404
    assert grace_client.post(f"{LIST}views/{adas.pk}/archive").status_code == 404
    assert ada_client.post(f"{LIST}views/{shared.pk}/change", {"query": "sort=name"}).status_code == 302
    assert grace_client.post(f"{LIST}views/{own.pk}/archive").status_code == 302
    shared.refresh_from_db()
    assert shared.query == "sort=name"
    assert [view.name for view in RunView.objects.for_person(project, ada)] == ["For all", "Of ada"]
    kinds = AuditEntry.objects.filter(object_type="runview").order_by("id").values_list("action", flat=True)
    assert list(kinds) == [*["save_run_view"] * 3, "change_run_view", "archive_run_view"]


def test_a_views_name_is_taken_once_among_those_that_a_person_sees(project, grace, ada):
    def keep(by, name, is_shared):
        return actions.save_run_view(project=project, by=by, name=name, query="", is_shared=is_shared)

    keep(grace, "Mine", False)
    keep(ada, "Mine", False)
    with pytest.raises(Refused, match="mine already"):
        keep(grace, "mine", True)


# ---- many at once ----------------------------------------------------------------------------------------------------


def test_the_chosen_runs_are_archived_and_what_still_runs_is_named(runs, grace_client, project):
    running = actions.train_model(
        project=project, by=None, shard_set=runs[0].shard_set, recipe={"name": "x"}, model_name="completer", name="busy"
    )
    other = factories.project(slug="other")
    foreign = factories.run(other, "theirs")
    chosen = [runs[0].pk, runs[1].pk, running.pk, foreign.pk]
    answer = grace_client.post(f"{LIST}archive?back=sort%3Dname", {"run": chosen}, follow=True)
    assert answer.redirect_chain[0][0] == f"{LIST}?sort=name"
    text = answer.content.decode()
    assert "2 runs archived" in text
    assert "Stop these first: busy." in text
    assert shown(grace_client, "sort=name") == "busy new"
    assert AuditEntry.objects.filter(action="archive_run").count() == 2
    grace_client.post(f"{LIST}restore", {"run": [runs[0].pk]})
    assert shown(grace_client, "sort=name") == "busy good new"
    assert AuditEntry.objects.get(action="restore_run").object_name == "good"


def test_boxes_alone_are_enough_to_compare(runs, grace_client):
    answer = grace_client.get(f"{LIST}compare", {"run": [runs[0].pk, runs[1].pk]})
    assert [run.name for run in answer.context["runs"]] == ["good", "poor"]
