"""The step that takes personal data and secrets out of the text (worker.data.redaction). It drops nothing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.data.redaction import redact_batch
from worker.data.steps.judged import Judged, Parameters, judged, with_column, with_content


def redaction(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """content with placeholders; adds `redactions`, how many values of each kind went, and `redaction_spans`."""
    found = redact_batch(batch["content"], parameters["keep"])
    is_changed = np.asarray(pc.greater(pc.list_value_length(found.spans), 0).to_numpy(zero_copy_only=False), bool)
    batch = with_content(batch, found.content, is_changed)
    batch = with_column(with_column(batch, "redactions", found.counts), "redaction_spans", found.spans)
    return judged(batch, [None] * len(batch), changed={"redacted": int(is_changed.sum())})
