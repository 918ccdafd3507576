"""torchvision's Python imports in a fresh process, and only then costs anything."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from worker import torchvision_hook
torchvision_hook.install()
torchvision_hook.install()
finders = [finder for finder in sys.meta_path if type(finder).__module__ == "worker.torchvision_hook"]
assert len(finders) == 1, finders
assert "torch" not in sys.modules
import importlib.util
assert importlib.util.find_spec("torchvision") is not None  # transformers probes like this
assert "torch" not in sys.modules
from torchvision import transforms
import torch
assert hasattr(torch.ops.torchvision, "nms")
"""


def test_torchvision_imports_after_install_and_install_itself_loads_nothing():
    outcome = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
