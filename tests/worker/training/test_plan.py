"""Recipes, the schedule's shape, and the optimiser, each by itself."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from worker import recipes
from worker.failures import StageFailure
from worker.specs import Optimiser, Schedule
from worker.training import muon, schedule


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_named_recipe_holds_together(name):
    recipe = recipes.by_name(name)
    assert recipe.name == name
    recipes.check(recipe)


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(StageFailure, match="first-model"):
        recipes.by_name("llama-9000b")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_seconds": 5.0}, "exactly one"),
        ({"max_steps": None}, "exactly one"),
        ({"max_steps": 0}, "longer than zero"),
        ({"batch_size": 0}, "start at 1"),
        ({"microbatch_size": 9}, "microbatch_size"),
        ({"fim_rate": 1.5}, "fim_rate"),
        ({"precision": "fp8"}, "precision fp8"),
        ({"optimiser": Optimiser(name="sgd")}, "optimiser sgd"),
        ({"schedule": Schedule(0.8, 0.4)}, "sum to at most 1"),
        ({"shard_parameters": True}, "sharded"),
        ({"keep_checkpoints": 0}, "keep_checkpoints"),
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused_in_words(changes, words):
    with pytest.raises(StageFailure, match=words) as failure:
        recipes.check(replace(recipes.tiny_test(), **changes))
    assert failure.value.code == "training:user:bad-recipe"


def test_recipes_can_be_listed_without_torch():
    code = "import sys, worker.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_rate_warms_up_holds_and_cools_down_to_zero():
    plan = schedule.plan_of(Schedule(warmup_share=0.1, cooldown_share=0.3), 100, settled=True)
    factors = [plan.factor(done) for done in range(100)]
    assert factors[0] == pytest.approx(1 / 11)
    assert factors[:10] == sorted(factors[:10])
    assert set(factors[10:70]) == {1.0}
    assert all(later < earlier for earlier, later in itertools.pairwise(factors[70:]))
    assert factors[-1] == pytest.approx(1 / 31)
    assert plan.factor(100 + 1) == 0.0


def test_a_run_bounded_by_seconds_settles_its_length_at_its_real_pace(tmp_path):
    recipe = replace(recipes.tiny_test(), max_steps=None, max_seconds=100.0)
    course = schedule.start(recipe, seconds_per_step=0.5, path=tmp_path / "plan.json")
    assert course.plan.total_steps == 200 and not course.plan.settled
    assert course.expected_steps(done=20, seconds=20.0) == 100  # the machine turned out half as fast
    assert not course.cooldown_is_due(69.0) and course.cooldown_is_due(70.0)
    assert course.plan.factor(70) == 1.0
    course.settle(70)
    assert (course.plan.total_steps, course.plan.cooldown_steps) == (100, 30)
    assert course.plan.factor(69) == 1.0 and course.plan.factor(70) < 1.0
    assert not course.cooldown_is_due(200.0)


def test_a_resumed_run_follows_the_plan_it_wrote_down(tmp_path):
    recipe = replace(recipes.tiny_test(), max_steps=None, max_seconds=100.0)
    assert schedule.Course.resume(recipe, tmp_path / "plan.json") is None
    course = schedule.start(recipe, 0.5, tmp_path / "plan.json")
    course.settle(70)
    resumed = schedule.Course.resume(recipe, tmp_path / "plan.json")
    assert resumed is not None and resumed.plan == course.plan
    assert json.loads((tmp_path / "plan.json").read_text())["settled"] is True


@pytest.mark.parametrize("shape", [(4, 16, 16), (3, 24, 8), (3, 8, 24)])
def test_orthogonalise_brings_all_singular_values_near_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(muon.orthogonalise(matrices))
    assert matrices.shape == shape
    assert values.min() > 0.3 and values.max() < 1.3


def two_matrices_and_a_norm():
    torch.manual_seed(0)
    return torch.nn.ModuleDict(
        {
            "embed_tokens": torch.nn.Embedding(8, 4),
            "first": torch.nn.Linear(4, 6, bias=False),
            "second": torch.nn.Linear(6, 4, bias=False),
            "norm": torch.nn.LayerNorm(4),
        }
    )


def test_embeddings_and_norms_are_not_treated_as_matrices():
    matrices, others = muon.split_parameters(two_matrices_and_a_norm())
    assert [tuple(m.shape) for m in matrices] == [(6, 4), (4, 6)]
    assert len(others) == 3


def test_the_adamw_half_of_muon_is_torchs_adamw():
    ours, theirs = (torch.nn.Parameter(torch.linspace(-1, 1, 12)) for _ in range(2))
    optimiser = muon.Muon([], [ours], Optimiser(adamw_learning_rate=0.01))
    reference = torch.optim.AdamW([theirs], lr=0.01, betas=muon.BETAS, weight_decay=0.0)
    for step in range(1, 6):
        for parameter in (ours, theirs):
            parameter.grad = torch.sin(parameter.detach() * step)
        optimiser.step()
        reference.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_muon_goes_on_from_its_saved_state_as_if_it_had_not_stopped():
    def steps(model, optimiser, numbers):
        for number in numbers:
            for parameter in model.parameters():
                parameter.grad = torch.cos(parameter.detach() * number)
            optimiser.step()

    settings = Optimiser(weight_decay=0.1)
    straight, broken = two_matrices_and_a_norm(), two_matrices_and_a_norm()
    steps(straight, muon.build(straight, settings), range(6))
    first = muon.build(broken, settings)
    steps(broken, first, range(3))
    second = muon.build(broken, settings)
    second.load_state_dict(first.state_dict())
    steps(broken, second, range(3, 6))
    for left, right in zip(straight.parameters(), broken.parameters(), strict=True):
        assert torch.equal(left, right)
