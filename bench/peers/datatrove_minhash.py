"""python datatrove_minhash.py ROWS OUT WORKERS: datatrove's near deduplication with the parameters that ours has.

14 bands of 9 rows over 5-grams of words; its own English tokenizer (spaCy) is four times slower than the expression that
stands in for it here, so this is datatrove at its best.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import minhash
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.hashing import HashConfig

WORD = re.compile(r"\w+")


class Words:
    def word_tokenize(self, text: str) -> list[str]:
        return WORD.findall(text)


def main(rows: str, out: Path, workers: int) -> None:
    minhash.load_word_tokenizer = lambda language: Words()
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=9, hash_config=HashConfig(precision=64))
    signatures, buckets, removed = (str(out / name) for name in ("signatures", "buckets", "removed"))

    def reader() -> ParquetReader:
        return ParquetReader(rows, text_key="content", id_key="path", glob_pattern="*.parquet")

    steps = [
        ([reader(), MinhashDedupSignature(signatures, config=config)], workers),
        ([MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets),
        ([MinhashDedupCluster(buckets, removed, config=config)], 1),
        ([reader(), MinhashDedupFilter(removed), ParquetWriter(str(out / "kept"))], workers),
    ]
    for number, (pipeline, tasks) in enumerate(steps):
        LocalPipelineExecutor(
            pipeline, tasks=tasks, workers=min(tasks, workers), logging_dir=str(out / "logs" / str(number))
        ).run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
