"""Daft on a Ray cluster. This process is the cluster's only client of the job, and all partitions are explicit.

Two Daft clients in one process, or queries within queries, have hung or failed now and then; a job is a process of its
own. Daft's own choice of partitions multiplied in loops (3,864 x 3,864 pieces for 48 k documents); here the names are
cut once, into PER_CPU partitions a core, so that an uneven one does not hold up the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import daft

from worker.data.runners.native import collected
from worker.data.runners.reaching import Unreachable, brief, knock

PER_CPU = 8
VARIABLE = "RAY_ADDRESS"
PORT = 10001


class Ray:
    name = "ray"

    def __init__(self, address: str) -> None:
        """address: "host:port" of the cluster's head, or "ray://host:port" of its client server. Raises Unreachable."""
        self.address = knock(address, PORT)
        try:
            import ray
        except ImportError as error:
            raise Unreachable(self.address, "Ray is not installed (worker/requirements-scale.txt)") from error
        try:
            ray.init(address=address, log_to_driver=False)
            self.cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise Unreachable(self.address, brief(error)) from error
        daft.set_runner_ray(noop_if_initialized=True)

    def map(self, run: Callable[[str], str], names: Sequence[str]) -> Iterator[str]:
        partitions = max(1, min(len(names), PER_CPU * self.cores))
        return collected(run, daft.from_pydict({"name": list(names)}).into_partitions(partitions))
