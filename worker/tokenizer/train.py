"""train_tokenizer: a byte-level BPE vocabulary from a seeded sample of a dataset's train split, or one taken over.

The same dataset, sizes and seed give the same bytes, so the artifact's hash names the vocabulary (worker.tokenizer.artifact
lists its files). All special tokens exist from the start, since with tied embeddings a vocabulary cannot grow later;
spare ones are called <|reserved_n|>. There is no normaliser and no cleaning up: decoding gives back what was encoded,
byte for byte.

With `import_from` nothing is trained: worker.tokenizer.importing takes over a published tokenizer.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from worker.context import Context, Outcome, Stopped
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.specs import TrainTokenizer
from worker.tokenizer import artifact, audit, equality, importing, merges, text, vocabulary
from worker.tokenizer.engines import Encoder, fast_name
from worker.tokenizer.special import ROLES
from worker.tokenizer.splitting import SCHEMES

VERSION = "2"


def reuses_receipt(spec: TrainTokenizer) -> bool:
    """A receipt names content, and what lies at an import's address may have changed since."""
    return not spec.import_from


def run(spec: TrainTokenizer, context: Context) -> Outcome:
    """Raises StageFailure tokenizer:user:... for a vocabulary too small to exist or too large to fill, or an import
    that cannot be used; tokenizer:app:engines-differ when the fast engine and the reference disagree.
    """
    data = context.fetch(spec.dataset)
    if spec.import_from:
        made = importing.take_over(spec.import_from, data, spec.seed, context)
        encoder = Encoder(made.tokenizer)
    else:
        specials = special_tokens(spec)
        _check(spec, specials)
        made, encoder = _train(_Task(spec, data, specials, context))
    return artifact.finish(made, encoder, data, spec.seed, context)


def special_tokens(spec: TrainTokenizer) -> list[str]:
    """In the order of their ids, which start at 0."""
    reserved = (f"<|reserved_{n}|>" for n in range(spec.reserved_tokens))
    return [*(names[0] for names in ROLES.values()), *spec.special_tokens, *reserved]


@dataclass(frozen=True)
class _Task:
    spec: TrainTokenizer
    data: Path
    specials: list[str]
    context: Context

    def texts(self, sample: text.Sample) -> Iterator[list[str]]:
        return text.read(self.data, sample)


def _train(task: _Task) -> tuple[artifact.Made, Encoder]:
    spec, context = task.spec, task.context
    context.enter("sample text")
    sample = text.sample(task.data, "train", spec.sample_bytes, spec.seed)
    who, note = merges.learner(spec.pre_tokenizer)
    tokenizer = _learn(task, sample, fast=not note)
    encoder = Encoder(tokenizer)
    context.enter("count tokens")
    counts = vocabulary.count(encoder, task.texts(sample), tokenizer.get_vocab_size())
    _refuse_if_exhausted(task, sample, tokenizer, counts)
    _compare(task, sample, encoder, fast=not note)
    roles = {role: names[0] for role, names in ROLES.items()}
    findings = audit.audit(tokenizer, json.loads(tokenizer.to_str()), roles, set(), {})
    origin = {"pre_tokenizer": spec.pre_tokenizer, "merges": who, "merges_note": note}
    read = {"sample_bytes": sample.n_bytes, "sample_documents": len(sample.ids)}
    return artifact.Made(tokenizer, roles, findings, origin, sample=counts, counts=read), encoder


def _learn(task: _Task, sample: text.Sample, fast: bool) -> Tokenizer:
    spec = task.spec
    batches = _with_progress(task, sample)
    if not fast:
        task.context.enter("learn merges")
        flat = itertools.chain.from_iterable(batches)
        return merges.learn_by_reference(flat, spec.vocabulary_size, task.specials, spec.pre_tokenizer)
    file = task.context.work / "sample.bin"
    _write_sample(batches, file)
    task.context.enter("learn merges")
    learnt = merges.learn_fast(file, spec.vocabulary_size, task.specials)
    file.unlink()
    return learnt


def _refuse_if_exhausted(task: _Task, sample: text.Sample, tokenizer: Tokenizer, counts: vocabulary.Counts) -> None:
    """A vocabulary filled up with merges that the text does not have, or not filled at all, is less than was asked."""
    asked, bytes_and_specials = task.spec.vocabulary_size, 256 + len(task.specials)
    if len(counts) == asked and (asked == bytes_and_specials or counts[-1] > 0):
        return
    reached = bytes_and_specials + merges.real_merges(tokenizer, lambda: task.texts(sample), task.specials)
    raise StageFailure("tokenizer:user:not-enough-text", reached=reached, asked=asked)


def _write_sample(batches: Iterator[list[str]], file: Path) -> None:
    """On disk, so that memory does not grow with the sample."""
    with file.open("wb") as out:
        for batch in batches:
            out.writelines(document.encode() + merges.SEPARATOR for document in batch)


def _compare(task: _Task, sample: text.Sample, encoder: Encoder, fast: bool) -> None:
    task.context.enter("compare engines")
    texts = equality.first_characters(task.texts(sample))
    n_merges = equality.check_merges(texts, task.spec.vocabulary_size, task.specials, task.context.work) if fast else 0
    n_characters = equality.check_ids(encoder, texts)
    if n_characters:
        compared = f"{n_merges:,} merges and the ids of {n_characters:,} characters"
        task.context.reporter.report(MessageLogged(f"{fast_name()} and the reference agree on {compared}"))


def _check(spec: TrainTokenizer, specials: list[str]) -> None:
    if spec.pre_tokenizer not in SCHEMES:
        known = ", ".join(SCHEMES)
        raise StageFailure(
            "tokenizer:user:bad-request", detail=f"no pre-tokeniser {spec.pre_tokenizer}; known: {known}"
        )
    twice = {token for token in specials if specials.count(token) > 1}
    if twice or not all(map(str.strip, specials)):
        raise StageFailure("tokenizer:user:bad-request", detail=f"special tokens named twice or empty: {sorted(twice)}")
    needed = 256 + len(specials)
    if spec.vocabulary_size < needed:
        raise StageFailure("tokenizer:user:vocabulary-too-small", asked=spec.vocabulary_size, needed=needed)


def _with_progress(task: _Task, sample: text.Sample) -> Iterator[list[str]]:
    """Reading the sample can be stopped; learning, after it, cannot."""
    done = 0
    for batch in task.texts(sample):
        if task.context.stop_requested():
            raise Stopped(f"stopped after {done} of {sample.n_bytes} bytes")
        yield batch
        done += sum(len(document.encode()) for document in batch)
        task.context.progress(done, sample.n_bytes, "bytes")
