"""Two evaluations side by side: what keeps scores apart, what flipped between them, and whether it may be chance."""

from __future__ import annotations

import random

import plotly.graph_objects as go
import pytest

from eval_app import comparison, leaderboard, paired
from tests import factories

COMPARE = "/projects/demo/evaluations/compare"


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


def judged(version, solved, of=6, n=1, number=None, **summary):
    """An evaluation of `of` problems of which the named ones passed; `number` makes a new version of the model."""
    if number:
        version = factories.make_model_version(version.run, number=number)
    made = factories.make_evaluation(version, pass_at_1=len(solved) / of)
    rows = [{"task_id": f"starter/{i}", "n": n, "c": n * (i in solved), "n_truncated": 0} for i in range(of)]
    made.summary |= {"problems": rows, "n_problems": of} | summary
    made.save(update_fields=["summary"])
    return made


# ---- the tests of significance ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (8, 1, 0.0390625), (1, 8, 0.0390625), (10, 0, 2 / 1024), (6, 2, 0.2890625)],
)
def test_the_exact_mcnemar_test_gives_the_binomials_two_tails(gained, lost, p):
    assert paired.mcnemar(gained, lost) == pytest.approx(p)


def test_the_permutation_test_agrees_with_mcnemar_where_both_may_be_used():
    differences = [1.0] * 12 + [-1.0] * 3 + [0.0] * 40
    assert paired.permutation(differences) == pytest.approx(paired.mcnemar(12, 3), abs=0.02)


def test_equal_models_are_rarely_called_different():
    source = random.Random(3)
    found = [paired.permutation([source.choice((-0.5, 0, 0.5)) for _ in range(30)], rounds=200) for _ in range(60)]
    assert sum(p < 0.05 for p in found) <= 8


def test_the_same_pair_gets_the_same_answer_twice():
    ours, theirs = [0.0, 0.5, 1.0, 0.25], [0.5, 0.5, 1.0, 0.75]
    first = paired.compare(ours, theirs, one_sample=False)
    assert first == paired.compare(ours, theirs, one_sample=False)
    assert first.difference == 0.25
    assert first.low <= 0.25 <= first.high
    assert 0 < first.p <= 1


def test_models_without_a_common_problem_are_not_tested():
    with pytest.raises(ValueError, match="no problem"):
        paired.compare([], [], one_sample=True)


# ---- conditions ------------------------------------------------------------------------------------------------------

PYTHON = {"python": {"state": "ready", "detail": "", "versions": {"python": "3.11.2"}}}


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"suite": {"name": "starter-python", "version": "other"}}, "suite version"),
        ({"runtimes": PYTHON}, "runtimes"),
        ({"isolation": {"level": "bubblewrap", "zygote": True}}, "zygote"),
        ({"isolation": {"level": "bubblewrap", "limits": {"cpu_seconds": 9}}}, "limits"),
        ({"isolation": {"level": "landlock"}}, "isolation"),
        ({"engine": {"name": "transformers", "quantise": ""}}, "engine"),
        ({"decode": {"temperature": 0.8}}, "decode settings"),
        ({"n_problems": 5}, "problems"),
        ({"excluded": [{"task_id": "starter/3", "why": "its reference fails"}]}, "problems"),
    ],
)
def test_whatever_a_score_depends_on_keeps_it_from_being_compared(chain, changed, name):
    assert judged(chain.version, {0}).differences(judged(chain.version, {0}, **changed)) == [name]


def test_of_settings_only_those_that_differ_are_told(chain):
    other = judged(chain.version, {0}, decode=factories.DECODE | {"temperature": 0.8})
    (found,) = judged(chain.version, {0}).differing(other)
    assert (found.ours, found.theirs) == ("temperature 0.0", "temperature 0.8")


# ---- the page --------------------------------------------------------------------------------------------------------


def test_flips_are_told_both_ways_and_link_to_the_samples(chain, grace_client):
    before, after = judged(chain.version, {0, 1, 2}), judged(chain.version, {1, 2, 3, 4}, number=2)
    page = grace_client.get(COMPARE, {"ids": f"{before.pk},{after.pk}"})
    assert [flip.task_id for flip in page.context["gained"]] == ["starter/3", "starter/4"]
    (lost,) = page.context["lost"]
    assert (lost.task_id, lost.before, lost.after) == ("starter/0", 1.0, 0.0)
    assert lost.before_sample == before.samples.get().pk
    assert f"/evaluations/{before.pk}/samples/{lost.before_sample}" in page.content.decode()
    assert page.context["test"].test == "exact McNemar"


def test_several_samples_a_problem_are_tested_by_permutation(chain):
    test = comparison.test(judged(chain.version, {0}, n=4), judged(chain.version, {0, 1}, n=4))
    assert test.test.startswith("paired permutation")


def test_a_problem_whose_sandbox_failed_counts_for_neither(chain):
    one, two = judged(chain.version, {0}), judged(chain.version, {0, 1})
    two.summary["problems"][1]["n"] = two.summary["problems"][1]["c"] = 0
    assert comparison.flips(one, two) == ([], [])


def test_scores_of_other_conditions_are_told_apart_and_get_no_difference(chain, grace_client):
    one, two = judged(chain.version, {0}), judged(chain.version, {1}, runtimes=PYTHON)
    page = grace_client.get(COMPARE, {"ids": f"{one.pk},{two.pk}"})
    assert "test" not in page.context
    assert "matrix" not in page.context
    assert "python not told" in page.content.decode()


def test_the_matrix_of_twenty_versions_and_164_problems_is_one_valid_figure(
    chain, grace_client, django_assert_num_queries
):
    source = random.Random(1)
    rows = [
        judged(chain.version, {i for i in range(164) if source.random() < 0.5}, of=164, number=number)
        for number in range(2, 23)
    ]
    ids = ",".join(row.pk for row in rows)
    with django_assert_num_queries(4):  # session, person, project with role, evaluations
        page = grace_client.get(COMPARE, {"ids": ids})
    figure = page.context["matrix"]
    go.Figure(figure)
    (trace,) = figure["data"]
    assert (len(trace["z"]), len(trace["z"][0]), len(trace["customdata"])) == (20, 164, 20)
    assert trace["customdata"][0][0].startswith("/projects/demo/suites/")
    assert len(page.content) < 500_000


def test_one_evaluation_alone_is_not_compared(chain, grace_client, mallory, project):
    assert grace_client.get(COMPARE, {"ids": chain.evaluation.pk}).status_code == 302
    assert factories.signed_in_client(mallory).get(COMPARE).status_code == 404


# ---- the leaderboard -------------------------------------------------------------------------------------------------


def test_each_version_stands_once_by_its_newest_comparable_score(chain):
    judged(chain.version, {0})
    newest = judged(chain.version, {0, 1})
    other = judged(chain.version, {0, 1, 2}, number=2)
    (table, old) = leaderboard.groups(newest.suite)
    assert [(str(row), row.value) for row in table.rows] == [("one v2", 0.5), ("one v1", pytest.approx(2 / 6))]
    assert [row.pk for row in table.rows] == [other.pk, newest.pk]
    assert [row.pk for row in old.rows] == [chain.evaluation.pk]
    assert [item.name for item in old.differing] == ["problems"]


def test_scores_without_the_same_problems_stand_apart(chain):
    judged(chain.version, {0})
    other = judged(chain.version, {0}, number=2, excluded=[{"task_id": "starter/3", "why": "its reference fails"}])
    assert all(len(table.rows) == 1 for table in leaderboard.groups(other.suite))


def test_a_leaderboard_takes_one_query_and_leaves_the_lists_in_the_database(chain, django_assert_num_queries):
    for number in range(2, 8):
        judged(chain.version, {0}, number=number)
    with django_assert_num_queries(1):
        (table, _) = leaderboard.groups(chain.evaluation.suite)
    assert len(table.rows) == 6
    assert not {"problems", "held_out"} & set(table.score)


def test_the_leaderboards_page_takes_the_same_queries_for_few_and_many(chain, grace_client, django_assert_num_queries):
    for number in range(2, 12):
        judged(chain.version, {0}, number=number)
    with django_assert_num_queries(6):  # session, person, project, role, suites, scores
        page = grace_client.get("/projects/demo/evaluations/leaderboard")
    assert "one v11" in page.content.decode()


def test_a_language_has_a_table_of_its_own(chain, grace_client):
    pass_at_1 = {"1": {"value": 0.25, "low": 0.1, "high": 0.4}}
    made = judged(chain.version, {0}, by_language={"go": {"pass_at_k": pass_at_1}, "python": {}})
    page = grace_client.get("/projects/demo/evaluations/leaderboard", {"suite": made.suite_id, "language": "go"})
    (table,) = page.context["groups"]
    assert (table.rows[0].value, page.context["languages"]) == (0.25, ["go", "python"])


def test_the_score_is_drawn_over_the_tokens_of_a_models_versions(chain):
    for number, (solved, tokens) in enumerate([({0}, 1e6), ({0, 1}, 4e6)], start=2):
        run = factories.make_training_run(chain.shard_set, f"run-{number}", model_name="one")
        run.counts |= {"tokens_seen": tokens}
        run.save(update_fields=["counts"])
        judged(factories.make_model_version(run, number=number), solved)
    figure = leaderboard.over_tokens(leaderboard.groups(chain.evaluation.suite)[0])
    go.Figure(figure)
    assert figure["data"][0]["x"] == [1e6, 4e6]
    assert figure["data"][0]["y"] == [pytest.approx(100 / 6), pytest.approx(200 / 6)]


def test_a_project_without_scores_is_told_how_to_begin(project, grace_client):
    assert "No score yet" in grace_client.get("/projects/demo/evaluations/leaderboard").content.decode()
