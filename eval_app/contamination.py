"""What is known of a score's problems in the training data of what was scored: nothing is dropped, both scores are told.

Which data a subject was trained on is known of a model version with a run and of a checkpoint; of a baseline and of an
imported model it is not, and that is said. A check speaks for an evaluation of the same suite version alone.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

from datasets_app.models import DatasetVersion
from eval_app.contamination_models import ContaminationCheck, ContaminationMatch
from eval_app.leaderboard import Group
from eval_app.models import Evaluation, Suite
from eval_app.paired import bootstrap_interval

COMPARED_LINES = 200  # of either side
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Share:
    """pass@k of some problems with its 95 % interval, 0 to 1."""

    value: float
    low: float
    high: float
    n_problems: int


@dataclass(frozen=True)
class Score:
    """pass@k on all problems as the evaluation has it, and on those that were not found; None where none is left."""

    k: int
    on_all: Share
    on_clean: Share | None


@dataclass(frozen=True)
class Found:
    """A problem that stands in the training data: its closest row says `similarity`, `kind` and `part`."""

    task_id: str
    similarity: float
    kind: str
    part: str
    n_rows: int


@dataclass(frozen=True)
class Standing:
    """Of one evaluation. `data`: what it was trained on, None if that is not known. `check`: the newest that read these
    very problems; `other`: the newest one that did not, or is not done.
    """

    data: DatasetVersion | None
    check: ContaminationCheck | None = None
    other: ContaminationCheck | None = None
    found: list[Found] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    n_too_short: int = 0

    @property
    def is_waiting(self) -> bool:
        return self.other is not None and self.other.job.is_active


@dataclass(frozen=True)
class Mark:
    """What the leaderboard says of a score: pass@1 on clean problems, None where none is left, and how many were found."""

    check_pk: str
    value: float | None
    n_found: int


def of_evaluation(evaluation: Evaluation) -> Standing:
    """What its page, the API and its export say. The evaluation is finished."""
    data = training_data(evaluation)
    if data is None:
        return Standing(None)
    checks = list(ContaminationCheck.objects.of(evaluation.suite, data)[:20])
    version = evaluation.summary["suite"]["version"]
    check = next((row for row in checks if row.is_ready and row.summary["suite"]["version"] == version), None)
    newest = checks[0] if checks else None
    if check is None:
        return Standing(data, None, newest)
    asked = {row["task_id"] for row in evaluation.summary["problems"]}
    found = [row for row in found_in(check) if row.task_id in asked]
    too_short = asked & check.summary["not_looked_for"].keys()
    other = newest if newest != check else None
    return Standing(data, check, other, found, scores(evaluation, {row.task_id for row in found}), len(too_short))


def training_data(evaluation: Evaluation) -> DatasetVersion | None:
    """The dataset version that the subject's run read; None of a baseline, of an imported model and of one without a run."""
    rows = DatasetVersion.objects.select_related("dataset").defer("summary")
    if evaluation.model_version_id:
        return rows.filter(shard_sets__runs__model_versions=evaluation.model_version_id).first()
    if evaluation.checkpoint_id:
        return rows.filter(shard_sets__runs__checkpoints=evaluation.checkpoint_id).first()
    return None


def found_in(check: ContaminationCheck) -> list[Found]:
    """The problems that were found, the most alike first."""
    rows = [Found(task_id=task_id, **worst) for task_id, worst in check.summary["problems"].items()]
    return sorted(rows, key=lambda row: (-row.similarity, row.task_id))


def scores(evaluation: Evaluation, contaminated: Iterable[str]) -> list[Score]:
    """By k, as the evaluation has them."""
    gone, rows = set(contaminated), evaluation.summary["problems"]
    found = []
    for k, told in evaluation.summary["pass_at_k"].items():
        values = [(row["task_id"], pass_at_k(row["n"], row["c"], int(k))) for row in rows if row["n"] >= int(k)]
        clean = tuple(value for task_id, value in values if task_id not in gone)
        on_all = Share(told["value"], told["low"], told["high"], told["n_problems"])
        found.append(Score(int(k), on_all, _share(clean)))
    return found


def pass_at_k(n: int, c: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k) (Chen et al. 2021, equation 1): what the stage computes, in whole numbers; k <= n."""
    return 1 - math.comb(n - c, k) / math.comb(n, k)


@lru_cache(maxsize=512)
def _share(values: tuple[float, ...]) -> Share | None:
    """Kept: 2,000 resamples of 164 problems take 60 ms, and a finished score never changes."""
    return Share(sum(values) / len(values), *bootstrap_interval(values), len(values)) if values else None


def mark(suite: Suite, groups: Sequence[Group], language: str = "") -> None:
    """Give each row of the leaderboard that was checked its Mark: three queries, however many rows there are."""
    shown = [row for group in groups for row in group.shown]
    checks = {
        (row["dataset_version_id"], row["summary__suite__version"]): row
        for row in ContaminationCheck.objects.filter(suite=suite, archived_at=None, sha256__isnull=False)
        .order_by("created_at", "id")
        .values("pk", "dataset_version_id", "summary__suite__version", "summary__problems")
    }
    if not shown or not checks:
        return
    data = _data_by_evaluation([row.pk for row in shown])
    told = Evaluation.objects.filter(pk__in=data).values_list("pk", "summary__suite__version", "summary__problems")
    marks = {}
    for pk, version, problems in told:
        if check := checks.get((data[pk], version)):
            asked = [row for row in problems if not language or row.get("language") == language]
            marks[pk] = _mark(check["pk"], check["summary__problems"], asked)
    for group in groups:
        group.rows = [dataclasses.replace(row, clean=marks.get(row.pk)) for row in group.rows]


def _data_by_evaluation(pks: Sequence[str]) -> dict[str, str]:
    """The training data's id of each evaluation of which it is known."""
    versions = "model_version__run__shard_set__dataset_version_id", "checkpoint__run__shard_set__dataset_version_id"
    rows = Evaluation.objects.filter(pk__in=pks).values_list("pk", *versions)
    return {pk: of_version or of_checkpoint for pk, of_version, of_checkpoint in rows if of_version or of_checkpoint}


def _mark(check_pk: str, found: Mapping[str, Any], problems: Sequence[Mapping[str, Any]]) -> Mark:
    clean = [row["c"] / row["n"] for row in problems if row["n"] and row["task_id"] not in found]
    n_found = sum(row["task_id"] in found for row in problems)
    return Mark(check_pk, sum(clean) / len(clean) if clean else None, n_found)


def as_json(standing: Standing) -> dict[str, Any]:
    """For the API: training_data is null where it is not known, check where there is none for these problems."""
    return {
        "training_data": str(standing.data) if standing.data else None,
        "check": standing.check.pk if standing.check else None,
        "problems": {row.task_id: dataclasses.asdict(row) for row in standing.found},
        "too_short_to_look_for": standing.n_too_short,
        "pass_at_k": {
            str(score.k): {
                "all": dataclasses.asdict(score.on_all),
                "clean": dataclasses.asdict(score.on_clean) if score.on_clean else None,
            }
            for score in standing.scores
        },
    }


def side_by_side(match: ContaminationMatch) -> list[tuple[int | None, str, int | None, str, bool]]:
    """(line of the probe, text, line of the document, text, whether both say the same), as people read two columns.

    Blanks and case are no difference, and of a renamed copy neither are names.
    """
    ours = match.probe.split("\n")[:COMPARED_LINES]
    theirs = match.excerpt.split("\n")[:COMPARED_LINES]
    is_renamed = match.kind == ContaminationMatch.Kind.RENAMED
    one, two = ([_key(line, is_renamed) for line in side] for side in (ours, theirs))
    return list(_rows(ours, theirs, one, two, match.line_from))


def _key(line: str, is_renamed: bool) -> str:
    return re.sub(r"\s+", "", _WORD.sub("x", line) if is_renamed else line.lower())


def _rows(
    ours: Sequence[str], theirs: Sequence[str], one: Sequence[str], two: Sequence[str], line_from: int
) -> Iterator[tuple[int | None, str, int | None, str, bool]]:
    for tag, a, b, c, d in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        for step in range(max(b - a, d - c)):
            left, right = a + step, c + step
            yield (
                left + 1 if left < b else None,
                ours[left] if left < b else "",
                line_from + right if right < d else None,
                theirs[right] if right < d else "",
                tag == "equal" and bool(one[left]),
            )
