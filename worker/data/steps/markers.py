"""Steps that tell code which people wrote from other text: generated, minified and vendored files, StarCoder's filters."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.data.filters import judge, measure
from worker.data.generated import by_content, by_path
from worker.data.generated_rules import RULES
from worker.data.steps.judged import Judged, Parameters, judged
from worker.data.steps.text import measures_of


def generated(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """The reason is the kind of the first rule that a file meets, the detail its name."""
    kinds, without = parameters["kinds"], parameters["without"]
    rules = by_path(batch["path"], kinds, without)
    unknown = pc.is_null(rules)
    rest = batch.filter(unknown)
    found = by_content(rest["path"], rest["content"], kinds, without)
    rules = pc.replace_with_mask(rules, unknown, found)
    names = rules.to_pylist()
    reasons = [None if name is None else _kinds()[name] for name in names]
    return judged(batch, reasons, detail=names)


def filters(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """StarCoder's and StarCoder2's filters beside those of lines (worker.data.filters)."""
    bounds = {name: value for name, value in parameters.items() if name not in {"xml_head", "only_known_texts"}}
    bounds["xml_head"] = 0 if parameters["xml_head"] else None
    bounds["min_alphanumeric"] = None  # the step lines asks for as many of every language
    measures = measure(batch["content"], batch["language"], measures_of(batch))
    verdict = judge(measures, batch["language"], batch["path"], bounds, parameters["only_known_texts"])
    return judged(batch, verdict.reason, np.asarray(verdict.measured))


@cache
def _kinds() -> dict[str, str]:
    return {rule.name: rule.kind for rule in RULES}
