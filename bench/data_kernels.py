"""python -m bench.data_kernels ROWS MEGABYTES: the kernels alone, MB of text per CPU second, as JSON on the last line.

In one process, in turns, after a call of each that is not counted: MinHash signatures against Daft's own `minhash`,
redaction (whose peer runs elsewhere), training and encoding of a tokenizer against HF tokenizers. The two tokenizers
must have equal merges and give equal ids, or the program ends with an error: a fast wrong answer is no result.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import daft
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from worker.data.minhash import signatures
from worker.data.redaction import redact_batch
from worker.tokenizer import merges
from worker.tokenizer.engines import Encoder

ROUNDS, ROWS_AT_ONCE = 3, 1_000
TOKENIZER_BYTES, VOCABULARY = 20_000_000, 8_192
SCHEME = "gpt2"


def batches(rows: Path, n_bytes: int) -> list[pa.Array]:
    """Arrays of text of n_bytes in all, from the first files on."""
    found: list[pa.Array] = []
    for file in sorted(rows.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_ONCE, columns=["content"]):
            if n_bytes <= 0:
                return found
            found.append(batch.column(0).cast(pa.large_string()))
            n_bytes -= size_of(found[-1:])
    return found


def size_of(texts: list[pa.Array]) -> int:
    return sum(len(text.as_buffer()) for batch in texts for text in batch)


def rates(sides: dict[str, Callable[[], object]], n_bytes: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Median MB per CPU second of each side, the sides in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            started = time.process_time()
            sides[name]()
            seconds[name].append(time.process_time() - started)
    return {name: n_bytes / 1e6 / statistics.median(spent) for name, spent in seconds.items()}


def minhash(texts: list[pa.Array]) -> dict[str, float]:
    column = daft.from_arrow(pa.table({"text": pa.chunked_array(texts)})).collect()
    # Words as ours counts them: Daft's minhash splits at blanks.
    words = column["text"].lower().regexp_replace(r"\W+", " ")
    theirs = column.select(words.minhash(num_hashes=126, ngram_size=5, hash_function="xxhash").alias("signature"))
    sides = {"ours": lambda: [signatures(batch) for batch in texts], "peer": theirs.to_arrow}
    signatures(texts[0])
    return rates(sides, size_of(texts))


def redaction(texts: list[pa.Array]) -> dict[str, float]:
    redact_batch(texts[0])
    return rates({"ours": lambda: [redact_batch(batch) for batch in texts]}, size_of(texts))


def tokenizers(texts: list[pa.Array]) -> dict[str, dict[str, float]]:
    """Raises SystemExit where merges or ids differ."""
    words, made = [batch.to_pylist() for batch in texts], {}
    n_bytes = size_of(texts)

    def each() -> Iterator[str]:
        return (text for batch in words for text in batch)

    with tempfile.NamedTemporaryFile() as file:
        file.write(merges.SEPARATOR.join(text.encode() for text in each()))
        file.flush()

        def fast() -> None:
            made["ours"] = merges.learn_fast(Path(file.name), VOCABULARY, [])

        def reference() -> None:
            made["peer"] = merges.learn_by_reference(each(), VOCABULARY, [], SCHEME)

        training = rates({"ours": fast, "peer": reference}, n_bytes, 1)
    if merges_of(made["ours"]) != merges_of(made["peer"]):
        raise SystemExit("the two tokenizers' merges differ")
    return {"training": training, "encoding": encoding(made["peer"], words, n_bytes)}


def merges_of(tokenizer: Tokenizer) -> object:
    return json.loads(tokenizer.to_str())["model"]["merges"]


def encoding(tokenizer: Tokenizer, words: list[list[str]], n_bytes: int) -> dict[str, float]:
    encoder = Encoder(tokenizer)
    first = words[0]
    if not np.array_equal(encoder.encode(first).ids, encoder.encode_by_reference(first).ids):
        raise SystemExit("the two tokenizers' ids differ")
    plain = encoder.reference
    sides = {
        "ours": lambda: [encoder.encode(batch) for batch in words],
        "peer": lambda: [plain.encode_batch_fast(batch, add_special_tokens=False) for batch in words],
    }
    return rates(sides, n_bytes, 1)


def main(rows: Path, megabytes: float) -> None:
    texts = batches(rows, int(megabytes * 1_000_000))
    few = batches(rows, min(int(megabytes * 1_000_000), TOKENIZER_BYTES))
    found = {"minhash": minhash(texts), "redaction": redaction(texts), **tokenizers(few)}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
