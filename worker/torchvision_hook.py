"""Lets torchvision's Python be imported beside a torch that its C++ part was not built for.

Composer, streaming and transformers import torchvision although no model here looks at an image. The wheel's `_C.so`
links CUDA libraries; beside the CPU build of torch it does not load, and the import then dies with "operator
torchvision::nms does not exist", taking `from transformers import LlamaForCausalLM` along. `install()` puts a finder on
sys.meta_path that, when torchvision is imported, first tries the real `_C.so` (so a machine with CUDA stays native) and
declares the two schemas that the Python code registers fakes for only when that fails.

It does not make vision operators work: one that is called still raises. It imports nothing heavy by itself; torch is
loaded when torchvision is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A torch.library.Library takes its operators along when it is collected.
_kept_alive: list[Any] = []


def install() -> None:
    """Call before the first import of torchvision, composer, streaming or transformers; a second call does nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Stays on meta_path for good: transformers probes with find_spec before anybody imports."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        if not _kept_alive and not _loads_natively(Path(self.path).parent):
            _declare_schemas()
        super().exec_module(module)


def _loads_natively(package: Path) -> bool:
    import torch

    try:
        torch.ops.load_library(next(package.glob("_C*.*")))
    except (OSError, StopIteration):
        return False
    return True


def _declare_schemas() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        library.define(schema)
    _kept_alive.append(library)
