"""Raw files in, a cleaned dataset out.

sources            where files come from (one reader a kind)
ingest             the stage: list, clean, deduplicate, write
steps              pure functions over Arrow batches, by the names of worker.cleaning's catalogue
shard              the steps over one immutable shard of files: the unit of work and of resume
deduplication      what gives way to what, over all rows, from hashes and signatures
parts, publish     ranges of ids to the published folder, and what is said of all rows
engine             spreads tasks over Daft
lines, charset, generated, filters, redaction, minhash, clusters, syntax, licences, opt_outs
                   the kernels: no recipe, no engine
"""
