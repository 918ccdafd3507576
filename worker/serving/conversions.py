"""Converted models in storage, so that evaluating and deploying a model convert it once between them.

Apart from worker.serving.convert, which travels into Triton's model repository and knows no storage.
"""

from __future__ import annotations

import time

from worker import manifest
from worker.context import Context
from worker.serving import convert
from worker.specs import ArtifactRef


def stored(model: ArtifactRef, engine: str, quantise: str, context: Context) -> manifest.Artifact:
    """The converted model in storage, made if it is not there: evaluation and deployment of a model share one."""
    asked = {"model": model.sha256, "engine": engine, "quantise": quantise}
    key = manifest.work_key("convert_model", convert.VERSION, asked)
    receipt = manifest.find_receipt(context.storage_url, "convert_model", key)
    if receipt is None:
        begun, out = time.monotonic(), context.work / "converted"
        convert.convert(context.fetch(model), out, engine=engine, quantise=quantise)
        outputs = {"engine": manifest.publish(out, context.storage_url, "engine")}
        seconds = round(time.monotonic() - begun, 3)
        receipt = manifest.Manifest(
            "convert_model", convert.VERSION, asked, key, outputs, seconds=seconds, finished_at=manifest.now()
        )
        kept = context.work / "conversion"  # not the job's own folder: its manifest.json means that the job is done
        kept.mkdir(exist_ok=True)
        manifest.write_receipt(receipt, context.storage_url, kept)
    return receipt.outputs["engine"]
