"""Optimisers: Muon for the matrices with AdamW for the rest, or AdamW for all.

Muon (Jordan et al. 2024): momentum, then the nearest (semi-)orthogonal matrix by five Newton-Schulz steps, then a
step of that, scaled by sqrt(max(1, rows/columns)). Embeddings, the head and the norms go to AdamW, as there.
torch.optim.Muon was not taken: it runs its iteration in bf16, 5.6 times slower than fp32 on CPUs without bf16
units, and one matrix at a time. Matrices of one shape are iterated together here.

It needs whole matrices, so it does not run on sharded parameters; recipes.check refuses that.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from worker.specs import Optimiser

NEWTON_SCHULZ_STEPS = 5
# Maximise the slope at zero; singular values end between about 0.7 and 1.2 (Jordan et al. 2024).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
BETAS = (0.9, 0.95)


def build(model: nn.Module, optimiser: Optimiser) -> torch.optim.Optimizer:
    """The recipe's optimiser over all parameters of `model`."""
    matrices, others = split_parameters(model)
    if optimiser.name == "muon":
        return Muon(matrices, others, optimiser)
    groups = [{"params": matrices, "weight_decay": optimiser.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=optimiser.learning_rate, betas=BETAS, fused=True)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(hidden matrices, everything else): embeddings and the head are matrices by shape only."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        hidden = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
        (matrices if hidden else others).append(parameter)
    return matrices, others


class Muon(torch.optim.Optimizer):
    """Group 0: `matrices`, by Muon. Group 1: `others`, by AdamW without weight decay."""

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        optimiser: Optimiser,
        momentum: float = 0.95,
    ) -> None:
        groups = [
            {"params": list(matrices), "lr": optimiser.learning_rate, "weight_decay": optimiser.weight_decay},
            {"params": list(others), "lr": optimiser.adamw_learning_rate, "weight_decay": 0.0},
        ]
        super().__init__(groups, {"momentum": momentum, "betas": BETAS, "eps": 1e-8})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None if closure is None else torch.enable_grad()(closure)()
        matrices, others = self.param_groups
        self._muon_step(matrices)
        self._adamw_step(others)
        return loss

    def _muon_step(self, group: dict[str, Any]) -> None:
        for parameters in _by_shape(group["params"]):
            updates = torch.stack([self._nesterov(parameter, group["momentum"]) for parameter in parameters])
            rows, columns = parameters[0].shape
            scale = -group["lr"] * math.sqrt(max(1.0, rows / columns))
            updates = orthogonalise(updates)
            for parameter, update in zip(parameters, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update.to(parameter.dtype), alpha=scale)

    def _nesterov(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        buffer: Tensor = state["momentum"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(buffer, momentum)

    def _adamw_step(self, group: dict[str, Any]) -> None:
        first, second = group["betas"]
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
            state["step"] += 1
            state["mean"].lerp_(parameter.grad, 1 - first)
            state["square"].mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
            deviation = (state["square"] / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
            parameter.addcdiv_(state["mean"], deviation, value=-group["lr"] / (1 - first ** state["step"]))


def orthogonalise(matrices: Tensor, steps: int = NEWTON_SCHULZ_STEPS) -> Tensor:
    """(n, rows, columns) matrices, each brought near U·Vᵀ of its singular value decomposition.

    In fp32 on a CPU, in bf16 on CUDA, where the iteration is known to be stable and tensor cores make it cheap.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.size(-2) > matrices.size(-1)
    x = (matrices.mT if tall else matrices).to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def _by_shape(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Lists of equal shape, of those that have a gradient."""
    groups: defaultdict[torch.Size, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            groups[parameter.shape].append(parameter)
    return list(groups.values())
