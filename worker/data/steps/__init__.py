"""The cleaning steps: pure functions from an Arrow record batch and parameters to the same batch, judged.

    a step:   (batch, parameters) -> Judged(batch, reason, measured)

No step knows of files, shards or the engine that runs it. Which there are, in which order, with which parameters and
reasons, is the catalogue in worker.cleaning; here each name gets its function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from worker.cleaning import CATALOGUE, CONTENT, DATASET, FILES, STEPS, completed
from worker.data.steps import listed, markers, survivors, text, values
from worker.data.steps.judged import Judged, Step, split_by_reason
from worker.specs import StepSpec

FUNCTIONS: Mapping[str, Step] = {
    "opt_out": listed.opt_out,
    "licence": listed.licence,
    "language": listed.language,
    "size": listed.size,
    "encoding": text.encoding,
    "content_language": text.content_language,
    "lines": text.lines,
    "filters": markers.filters,
    "generated": markers.generated,
    "redaction": values.redaction,
    "parse": survivors.parse,
    "quality": survivors.quality,
}


class Planned(NamedTuple):
    """A step of a recipe with all of its parameters. Plain data: tasks carry it to other processes."""

    name: str
    parameters: dict[str, Any]
    version: int

    def run(self, batch: Any) -> Judged:
        return FUNCTIONS[self.name](batch, self.parameters)


def planned(steps: Iterable[StepSpec], place: str) -> tuple[Planned, ...]:
    """The steps of one place that judge rows one by one, in the catalogue's order."""
    chosen = {step.name: completed(step.name, step.parameters) for step in steps}
    if "language" in chosen and chosen["language"]["by_content"]:
        chosen["content_language"] = chosen["language"]
    return tuple(
        Planned(step.name, chosen[step.name], step.version)
        for step in CATALOGUE
        if step.place == place and step.name in chosen and step.name in FUNCTIONS
    )


__all__ = ["CONTENT", "DATASET", "FILES", "STEPS", "Judged", "Planned", "planned", "split_by_reason"]
