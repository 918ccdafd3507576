"""Steps over what a listing says of a file, before it is read: opt-outs, licence, language by name, size."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from worker.data.languages import language_of, may_be_a_script, named, possible
from worker.data.licences import Freedom, freedom
from worker.data.opt_outs import OptOuts
from worker.data.steps.judged import Judged, Parameters, first_failed, judged, with_column


def opt_out(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """By repository, source, path and author; the detail is the rule that covers the row."""
    rules = OptOuts(*(tuple(parameters[name]) for name in ("repositories", "paths", "authors")))
    if not any(parameters.values()):
        return judged(batch, [None] * len(batch))
    names = ("source", "repository", "path", "author")
    found = [
        rules.rule_for((source, repository), path, author)
        for source, repository, path, author in zip(*(batch[name].to_pylist() for name in names), strict=True)
    ]
    return judged(batch, [None if rule is None else "opted-out" for rule in found], detail=found)


def licence(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """By the expression in `license`; one that the recipe names as it stands stays in any case."""
    keep, also = parameters["keep"], frozenset(name.casefold() for name in parameters["also"])
    reasons = [
        None if keep == "any" or spdx.casefold() in also else _licence_reason(spdx, keep == "permissive")
        for spdx in batch["license"].to_pylist()
    ]
    return judged(batch, reasons, detail=batch["license"].to_pylist())


def _licence_reason(spdx: str, must_be_known: bool) -> str | None:
    found = freedom(spdx)
    if found is Freedom.UNKNOWN:
        return "licence-unknown" if must_be_known else None
    return None if found is Freedom.PERMISSIVE else "licence-not-permissive"


def language(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """Adds `language`, by the source's own word or the name of the file; null where only its content can tell."""
    asked = frozenset(named(name) for name in parameters["languages"])
    said = batch["language"].to_pylist() if "language" in batch.schema.names else [None] * len(batch)
    names: list[str | None] = []
    reasons: list[str | None] = []
    for hint, path in zip(said, batch["path"].to_pylist(), strict=True):
        name, reason = _by_name(hint, path, asked, parameters["by_content"])
        names.append(name)
        reasons.append(reason)
    return judged(with_column(batch, "language", pa.array(names, pa.string())), reasons)


def _by_name(
    hint: str | None, path: str, asked: frozenset[str | None], by_content: bool
) -> tuple[str | None, str | None]:
    """(language, reason to drop). A file that can turn out to be of a language asked for goes on."""
    name = named(hint or "") or language_of(path)
    if name is None and not (by_content and may_be_a_script(path)):
        return None, "unknown-language"
    if not asked or name in asked or (by_content and named(hint or "") is None and asked & possible(path)):
        return name, None
    return name, "language-not-asked"


def size(batch: pa.RecordBatch, parameters: Parameters) -> Judged:
    """size_bytes within the bounds, both inclusive."""
    sizes = batch["size_bytes"].to_numpy(zero_copy_only=False)
    too_small, too_large = sizes < parameters["min_bytes"], sizes > parameters["max_bytes"]
    reason, _ = first_failed([("too-small", too_small, sizes), ("too-large", too_large, sizes)], len(sizes))
    return judged(batch, reason, np.asarray(sizes, np.float64))
