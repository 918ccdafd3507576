"""Source files in, cleaned documents out.

    walk > language > size > sample > read > encoding > lines > redaction > deduplication > parts

Every step from language to redaction is a pure function over an Arrow record batch (worker.data.steps);
worker.data.shard runs them over one immutable shard of files, worker.data.engine spreads the shards over Daft, and
worker.data.parts merges what they kept into the published dataset.
"""
