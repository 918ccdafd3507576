"""Triton's door to worker.serving.triton_backend; the code beside it in lib/ is of the version that deployed this."""

import sys
from pathlib import Path

import triton_python_backend_utils as pb_utils

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "lib"))

from worker.serving.triton_backend import Backend  # noqa: E402


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        labels = {"model": args["model_name"], "version": args["model_version"]}
        self.backend = Backend(HERE, pb_utils, labels)

    def execute(self, requests: list[object]) -> None:
        self.backend.execute(requests)

    def finalize(self) -> None:
        self.backend.finalize()
