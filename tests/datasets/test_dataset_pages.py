"""A version's pages on real files: statistics, rows kept and dropped and their way, thresholds, near duplicates, diff."""

from __future__ import annotations

import duckdb
import pytest
from django.utils import timezone

from controlplane.jobs.models import MetricPoint
from datasets_app import actions, documents, figures, thresholds
from datasets_app.parquet import path_of
from tests import factories, stage_rows


@pytest.fixture
def versions(project):
    return stage_rows.dataset_versions(project)


@pytest.fixture
def one(versions):
    return versions[0]


def at(version, rest=""):
    return f"/projects/demo/datasets/{version.pk}/{rest}"


def id_of(version, path):
    sql = "SELECT id FROM read_parquet(?) WHERE path = ? UNION SELECT id FROM read_parquet(?) WHERE path = ?"
    folder = path_of(version.uri)
    found = duckdb.execute(sql, [f"{folder}/data/*.parquet", path, f"{folder}/dropped.parquet", path]).fetchall()
    return found[0][0]


def text_of(answer):
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def paths(answer):
    return [row["path"] for row in answer.context["page"].rows]


# ---- the version's page ------------------------------------------------------------------------------------------------


def test_the_funnel_tells_each_steps_losses_by_reason_and_language(grace_client, versions):
    answer = grace_client.get(at(versions[1]))
    funnel = {step["title"]: step for step in answer.context["funnel"]}
    assert [(r["code"], r["rows"], r["languages"][0][0]) for r in funnel["Lines"]["reasons"]] == [
        ("long-line", 1, "Python")
    ]
    assert funnel["Exact duplicates"]["rows_lost"] == 1
    assert "Partial" not in text_of(answer)


def test_a_version_of_a_sample_says_that_it_is_partial(grace_client, one):
    one.recipe = one.recipe | {"max_total_bytes": 20_000}
    one.save()
    assert "Partial: the recipe takes a seeded sample of at most" in text_of(grace_client.get(at(one)))


def test_every_bar_of_a_histogram_opens_as_many_rows_as_it_counts(grace_client, one):
    for _, name, histogram in grace_client.get(at(one)).context["histograms"]:
        counted = {url: count for _, count, url in histogram.bars}
        if name == "line_characters_kept":  # of lines, where rows are asked for by their longest
            found = [len(grace_client.get(url).context["page"].rows) for url in counted]
            assert sum(found) == one.counts["documents"]
        else:
            assert {url: len(grace_client.get(url).context["page"].rows) for url in counted} == counted
        assert histogram.figure["data"][0]["customdata"] == list(counted)


def test_a_language_names_its_licences(grace_client, one):
    (row,) = grace_client.get(at(one)).context["tail"].rows
    assert dict(row["licences"]) == {"MIT": 11, "BSD-3-Clause": 8}


def test_a_long_tail_shows_the_top_and_sums_up_the_rest():
    languages = {
        f"L{n}": {"bytes": 1000 - n, "files": n, "tokens": n, "lines": n, "mean_line_characters": n} for n in range(350)
    }
    tail = figures.tail_of(languages, {})
    assert (len(tail.rows), tail.rows[0]["name"], tail.total) == (20, "L0", 350)
    assert tail.rest["names"] == 330
    assert tail.rest["files"] == sum(range(20, 350))
    found = figures.tail_of(languages, {"q": "l34", "sort": "-files", "all": "1"})
    assert [row["name"] for row in found.rows][:2] == ["L349", "L348"]
    assert (len(found.rows), found.rest) == (11, None)


def test_the_pages_queries_are_pinned(grace_client, one, django_assert_num_queries):
    row = f"rows/{id_of(one, 'long.py')}"
    for rest, queries in (("", 10), ("rows", 8), ("thresholds", 4), ("clusters/", 4), (row, 8)):
        with django_assert_num_queries(queries):
            grace_client.get(at(one, rest))


# ---- rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"path": "CONTACT"}, ["contact.py"]),
        ({"content": "<EMAIL_1>"}, ["contact.py"]),
        ({"source": "web", "license": "MIT"}, []),
        ({"longest_from": "200"}, ["long.py"]),
        ({"reason": "near-duplicate"}, ["alike.py"]),
        ({"outcome": "dropped", "path": "copy"}, ["copy.py"]),
        ({"outcome": "dropped", "size_to": "6"}, ["tiny.py"]),
    ],
)
def test_rows_are_found_kept_or_dropped(grace_client, one, query, found):
    assert paths(grace_client.get(at(one, "rows"), query)) == found


def test_a_row_is_found_by_the_beginning_of_its_id(grace_client, one):
    name = id_of(one, "long.py")
    assert paths(grace_client.get(at(one, "rows"), {"id": name[:10].upper()})) == ["long.py"]


def test_what_is_not_known_of_dropped_rows_is_said_not_guessed(grace_client, one):
    page = text_of(grace_client.get(at(one, "rows"), {"outcome": "dropped", "content": "import"}))
    assert "Not known of dropped rows, and not asked: content contains." in page


def test_a_number_that_is_none_is_refused_at_its_field(grace_client, one):
    assert grace_client.get(at(one, "rows"), {"size_from": "many"}).status_code == 422


def test_a_dropped_row_says_which_step_why_and_against_which_threshold(grace_client, versions):
    _, two = versions
    answer = grace_client.get(at(two, f"rows/{id_of(two, 'long.py')}"))
    page = text_of(answer)
    assert "Its longest line is longer than the recipe allows. Measured: 318 characters; the recipe says 120." in page
    states = {stop.title: stop.state for stop in answer.context["journey"]}
    assert (states["Encoding"], states["Lines"], states["Split"]) == ("passed", "dropped", "unseen")


def test_a_duplicate_leads_to_the_row_that_stayed_and_back(grace_client, one):
    for path, kept in (("copy.py", "module_0.py"), ("alike.py", "module_1.py")):
        dropped = grace_client.get(at(one, f"rows/{id_of(one, path)}"))
        assert dropped.context["stayed"]["path"] == kept
        back = grace_client.get(at(one, f"rows/{id_of(one, kept)}"))
        assert [row["path"] for row in back.context["gave_way"]] == [path]


def test_a_redaction_is_shown_as_a_diff_and_the_value_never(grace_client, one):
    answer = grace_client.get(at(one, f"rows/{id_of(one, 'contact.py')}"))
    page = text_of(answer)
    ((number, kinds, before, after),) = answer.context["redactions"]
    assert (number, kinds, after) == (1, "email", "# written by Ada <<EMAIL_1>>")
    assert before == "# written by Ada <▇▇▇▇▇▇>"
    assert "corp-mail" not in page


def test_a_reason_shows_what_went_beside_what_just_stayed(grace_client, one):
    answer = grace_client.get(at(one, "dropped/few-letters"))
    assert [row["path"] for row in answer.context["rows"]] == ["colours.py"]
    measured = [row["measured"] for row in answer.context["kept"]]
    assert len(measured) == documents.EXAMPLES
    assert measured == sorted(measured)
    assert min(measured) >= answer.context["bound"]


def test_names_and_content_are_escaped(grace_client, one):
    for rest in ("rows", f"rows/{id_of(one, '<b>.py')}"):
        page = text_of(grace_client.get(at(one, rest)))
        assert "&lt;b&gt;.py" in page
        assert "<b>.py" not in page


# ---- thresholds --------------------------------------------------------------------------------------------------------


def test_the_recipes_own_thresholds_lose_nothing_and_bring_nothing_back(one):
    usual = thresholds.of_recipe(one.recipe)
    answer = thresholds.answer(one.uri, one.recipe, usual)
    assert (answer.lost.files, answer.back.files) == (0, 0)
    assert (answer.kept.files, answer.gone.files) == (one.counts["documents"], 1)


def test_another_threshold_keeps_what_the_stage_keeps_with_it(versions):
    one, two = versions
    answer = thresholds.answer(one.uri, one.recipe, thresholds.of_recipe(two.recipe))
    assert answer.kept.files == two.counts["documents"]
    assert answer.kept.tokens == pytest.approx(two.counts["tokens"], rel=0.01)  # measured before redaction
    assert [row["path"] for row in answer.going] == ["long.py"]


def test_a_looser_threshold_tells_what_would_come_back(one):
    loose = thresholds.of_recipe(one.recipe) | {"filters-min_alphabetic": 0.1}
    answer = thresholds.answer(one.uri, one.recipe, loose)
    assert (answer.back.files, answer.files_share) == (1, 1.0)
    assert sum(map(sum, answer.histograms["alphabetic_share"].values())) == one.counts["documents"] + 1


def test_long_lines_are_allowed_in_the_recipes_languages(one):
    steps = [{"name": "lines", "parameters": {"long_line_languages": ["Python"]}}]
    strict = dict.fromkeys(thresholds.of_recipe(one.recipe), None) | {"lines-max_line": 80.0}
    assert thresholds.answer(one.uri, {"steps": steps}, strict).lost.files == 0
    assert thresholds.answer(one.uri, {"steps": [{"name": "lines"}]}, strict).lost.files == 1


def test_the_page_answers_a_slider_with_its_part_and_leads_to_the_editor(grace_client, one):
    query = {"lines-max_line": "120"}
    part = text_of(grace_client.get(at(one, "thresholds"), query, headers={"HX-Request": "true"}))
    assert "<html" not in part
    assert "long.py" in part
    assert 'name="lines-max_line" value="120"' in part
    assert grace_client.get(at(one, "thresholds"), {"lines-max_line": "x"}).status_code == 422


def test_files_that_have_gone_are_said_so_on_every_page(grace_client, versions):
    one, two = versions
    one.uri = "file:///nowhere/at-all"
    one.save()
    for rest in ("rows", "rows/any", "thresholds", "clusters/", "clusters/any", "dropped/duplicate", f"since/{two.pk}"):
        answer = grace_client.get(at(one, rest))
        assert (answer.status_code, "cannot be read" in answer.content.decode()) == (503, True), rest


# ---- near duplicates, and two versions ---------------------------------------------------------------------------------


def test_clusters_tell_who_stayed_and_across_which_sources(grace_client, one):
    (cluster,) = grace_client.get(at(one, "clusters/"), {"across": "1"}).context["clusters"]
    assert (cluster["size"], cluster["sources"]) == (2, ["tools", "web"])
    assert [(row["path"], row["kept"]) for row in cluster["members"]] == [("module_1.py", True), ("alike.py", False)]
    assert "alike.py" in text_of(grace_client.get(at(one, f"clusters/{id_of(one, 'alike.py')}")))
    assert grace_client.get(at(one, f"clusters/{id_of(one, 'long.py')}")).status_code == 404


def test_two_rows_stand_side_by_side(grace_client, one):
    pair = f"rows/{id_of(one, 'module_1.py')}/beside/{id_of(one, 'module_2.py')}"
    lines = grace_client.get(at(one, pair)).context["lines"]
    assert any(equal for *_, equal in lines)
    assert any(not equal for *_, equal in lines)
    excerpt = grace_client.get(at(one, f"rows/{id_of(one, 'alike.py')}/beside/{id_of(one, 'module_1.py')}"))
    assert "first characters are kept at most" in text_of(excerpt)


def test_a_diff_tells_what_went_by_the_other_versions_reason(grace_client, versions):
    one, two = versions
    answer = grace_client.get(at(two, f"since/{one.pk}"), {"gone": "long-line"})
    assert [(why.code, why.rows) for why in answer.context["gone"]] == [("long-line", 1)]
    assert answer.context["new"] == []
    assert [row["path"] for row in answer.context["rows"]] == ["long.py"]
    back = grace_client.get(at(one, f"since/{two.pk}"))
    assert [(why.code, why.step) for why in back.context["new"]] == [("long-line", "Lines")]


def test_another_projects_version_is_not_there(mallory_client, other_project, one):
    for rest in ("rows", "thresholds", "clusters/", f"since/{one.pk}"):
        assert mallory_client.get(f"/projects/elsewhere/datasets/{one.pk}/{rest}").status_code == 404


def test_a_version_in_the_making_shows_the_funnel_so_far(project, grace, grace_client):
    source = factories.make_source(project)
    version = actions.ingest_dataset(project=project, by=grace, name="code", sources=[source], recipe={})
    for step, lost in ((10, 2), (40, 9)):
        told = {"funnel/walk/rows_in": step, "funnel/walk/rows_lost": 0, "funnel/lines/rows_in": step}
        for name, value in (told | {"funnel/lines/rows_lost": lost}).items():
            MetricPoint.objects.create(job=version.job, name=name, step=step, value=value, at=timezone.now())
    answer = grace_client.get(at(version), headers={"HX-Request": "true", "HX-Target": "job"})
    told = [(row["title"], row["rows_in"], row["rows_lost"]) for row in answer.context["so_far"]]
    assert told[-1] == ("Lines", 40, 9) and len(told) == 2
    assert "step, so far" in text_of(answer)


def test_the_page_comes_by_itself_when_its_job_is_done(grace_client, one):
    polled = {"HX-Request": "true", "HX-Target": "job"}
    assert 'hx-trigger="load" hx-select="#content"' in text_of(grace_client.get(at(one), headers=polled))
    assert 'id="job"' not in text_of(grace_client.get(at(one), headers={**polled, "HX-Target": "content"}))
