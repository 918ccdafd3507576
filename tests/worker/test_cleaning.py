"""A recipe is data: what is wrong with one is said by step and parameter."""

from __future__ import annotations

import pytest

from worker import cleaning
from worker.data.filters import DEFAULTS, FILTERS
from worker.data.generated_rules import RULES
from worker.data.steps import FUNCTIONS, planned
from worker.specs import IngestRecipe, StepSpec

REQUIRED = [("language", {}), ("encoding", {})]


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([*REQUIRED, ("linez", {})], "No step is called linez. Known: "),
        ([*REQUIRED, ("lines", {"max_line": 1})], "Step lines, parameter max_line: 1 is below 80."),
        ([*REQUIRED, ("lines", {"max_line": "1"})], "Step lines, parameter max_line: '1' is not a whole number."),
        ([*REQUIRED, ("lines", {"max_line": True})], "Step lines, parameter max_line: True is not a whole number."),
        ([*REQUIRED, ("lines", {"longest": 1})], "Step lines has no parameter longest. It has max_line, "),
        ([*REQUIRED, ("filters", {"max_lines": -1})], "Step filters, parameter max_lines: -1 is below 0."),
        ([*REQUIRED, ("parse", {"max_error": {"C": 2}})], "Step parse, parameter max_error: 2 is above 1."),
        ([*REQUIRED, ("generated", {"kinds": ["odd"]})], "Step generated, parameter kinds: odd is none of generated,"),
        ([("licence", {"keep": "some"}), *REQUIRED], "Step licence, parameter keep: some is none of any,"),
        ([*REQUIRED, ("lines", {}), ("lines", {})], "The step lines is there twice."),
        ([*REQUIRED, ("redaction", {}), ("lines", {})], "The step lines must come before redaction."),
        ([("language", {})], "The step encoding is missing"),
        ([*REQUIRED, ("split", {})], "No step is called split."),
    ],
)
def test_a_problem_names_the_step_and_the_parameter(steps, words):
    (problem,) = cleaning.problems(steps)
    assert problem.startswith(words)


def test_bounds_that_exclude_each_other_are_a_problem():
    steps = [("language", {}), ("size", {"min_bytes": 9, "max_bytes": 8}), ("encoding", {})]
    assert cleaning.problems(steps) == ["Step size, parameter min_bytes: 9 is above max_bytes, 8."]


def test_the_default_recipe_has_every_step_and_no_problem():
    steps = IngestRecipe().steps
    assert [step.name for step in steps] == list(cleaning.CHOSEN)
    assert cleaning.problems([(step.name, step.parameters) for step in steps]) == []


def test_every_default_passes_its_own_check():
    for name in cleaning.CHOSEN:
        found = cleaning.problems([(name, cleaning.STEPS[name].defaults())])
        assert [problem for problem in found if problem.startswith("Step")] == []


def test_parameters_not_given_take_the_catalogues_defaults():
    steps = (StepSpec("size", {"max_bytes": 5}), StepSpec("opt_out"))
    (opt_out, size) = [step for step in planned(steps, cleaning.FILES) if step.name in {"size", "opt_out"}]
    assert (size.name, size.parameters) == ("size", {"min_bytes": 32, "max_bytes": 5})
    assert opt_out.parameters == {"repositories": (), "paths": (), "authors": ()}


def test_every_step_that_can_be_chosen_has_a_function_or_is_for_all_rows_together():
    together = {"exact_deduplication", "near_deduplication"}
    assert set(cleaning.CHOSEN) - together <= set(FUNCTIONS)
    assert all(reason.step in cleaning.STEPS for reason in cleaning.REASONS.values())
    assert sum(len(step.reasons) for step in cleaning.CATALOGUE) == len(cleaning.REASONS)


def test_the_catalogue_says_of_filters_and_rules_what_the_kernels_do():
    parameters = cleaning.STEPS["filters"].defaults()
    ours = {name: value for name, value in DEFAULTS.items() if name not in {"xml_head", "min_alphanumeric"}}
    assert {name: parameters[name] for name in ours} == ours
    assert {entry.reason for entry in FILTERS} - {"few-alphanumerics"} <= set(cleaning.STEPS["filters"].reasons)
    assert set(cleaning.STEPS["generated"].defaults()["without"]) <= {rule.name for rule in RULES}
