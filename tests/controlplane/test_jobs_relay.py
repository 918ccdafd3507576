"""What stages wrote, in all the ways that a file can be wrong, becomes rows: each event once, in order, storable."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone

from controlplane.access.models import Project
from controlplane.jobs import event_lines, history, processes, relay
from controlplane.jobs.actions import submit_job
from controlplane.jobs.ending import describe_exit, last_lines, read_ending
from controlplane.jobs.metrics import Point, downsample, metric_names, thin
from controlplane.jobs.models import Job, JobEvent, MetricPoint
from controlplane.jobs.transitions import claim
from tests import factories
from tests.controlplane.counting.jobs import count

ZOO = Path(__file__).parent / "event_zoo"
pytestmark = pytest.mark.django_db


@pytest.fixture
def job(settings, tmp_path):
    settings.JOBS_DIR = tmp_path
    settings.JOB_CONCURRENCY = {}
    project = Project.objects.create(slug="yard", name="Yard")
    submit_job(kind=count, project=project, created_by=None, title="1")
    job = claim("cpu", "worker", "host")
    relay.job_dir(job).mkdir()
    return job


def feed(job, name):
    target = relay.job_dir(job) / "events.jsonl"
    shutil.copy(ZOO / f"{name}.jsonl", target)
    # A megabyte of one letter is not worth keeping in the repository.
    target.write_bytes(target.read_bytes().replace(b"@A MEGABYTE@", b"x" * (1 << 20)))
    relay.drain(job)
    job.refresh_from_db()
    return list(JobEvent.objects.filter(job=job, seq__isnull=False).order_by("id"))


def texts(events):
    return [event.payload["text"] for event in events if event.event == "message.logged"]


def skipped(job):
    return JobEvent.objects.filter(job=job, event="relay.skipped").values_list("payload", flat=True)


def test_a_whole_file_moves_stage_and_progress_onto_the_job(job):
    events = feed(job, "whole")
    assert [event.event for event in events] == [
        "stage.started",
        "stage.entered",
        "checkpoint.written",
        "stage.finished",
    ]
    assert (job.stage, job.progress_done, job.progress_total, job.progress_unit) == ("count", 8, 8, "numbers")
    assert job.progress_rate == pytest.approx(4.0) and job.eta_seconds == 0


def test_a_line_that_is_still_being_written_waits_for_its_end(job):
    assert texts(feed(job, "cut_last_line")) == ["number 1", "number 2"]
    whole = (ZOO / "cut_and_mended.jsonl").read_bytes().split(b"\n")[-2]
    with (relay.job_dir(job) / "events.jsonl").open("rb+") as file:
        file.seek(job.event_offset)
        file.truncate()
        file.write(whole + b"\n")
    relay.drain(job)
    assert texts(job.events.order_by("id")) == ["number 1", "number 2", "number 3"]


def test_a_line_that_a_kill_cut_is_skipped_and_shown(job):
    assert texts(feed(job, "cut_and_mended")) == ["number 1", "number 2", "number 3"]
    assert list(skipped(job)) == [{"not_events": 1, "of_another_attempt": 0}]


def test_a_repeated_line_counts_once_for_rows_and_for_the_kind(job, monkeypatch):
    told = []
    kind = replace(count, on_event=lambda job, event, payload: told.append(payload["text"]))
    monkeypatch.setattr(relay, "kind_of", lambda job: kind)
    assert texts(feed(job, "repeated_lines")) == told == ["number 1", "number 2", "number 3"]


def test_nul_bytes_and_lone_surrogates_become_marks_that_postgres_can_hold(job):
    assert texts(feed(job, "nul_bytes")) == ["number 1", "a\N{REPLACEMENT CHARACTER}b", "lone ? half"]


def test_a_line_of_a_megabyte_is_cut_with_a_note_and_its_neighbours_are_whole(job):
    first, second, third = texts(feed(job, "long_line"))
    assert (first, third) == ("number 1", "number 3")
    assert len(second) < 10_000 and second.endswith("[cut: 1048576 characters in all]")


def test_silence_is_no_event(job):
    assert feed(job, "silence") == [] and not skipped(job)


def test_what_is_no_event_is_counted_as_one_event(job):
    assert texts(feed(job, "not_events")) == ["number 1"]
    assert list(skipped(job)) == [{"not_events": 8, "of_another_attempt": 0}]


def test_a_late_line_of_another_attempt_is_dropped_and_counted(job):
    assert texts(feed(job, "another_attempt")) == ["number 1", "number 2", "number 3"]
    assert list(skipped(job)) == [{"not_events": 0, "of_another_attempt": 2}]


def test_values_that_are_no_numbers_are_in_no_curve_and_break_nothing(job):
    (event,) = feed(job, "not_finite")
    assert event.payload["value"] == "nan"
    assert MetricPoint.objects.filter(job=job).latest_values() == {"loss/val": 2.5}


def test_two_hundred_values_in_two_seconds_become_few_and_keep_every_spike(job):
    feed(job, "spikes")
    points = MetricPoint.objects.filter(job=job, name="loss/train")
    assert points.count() <= 9
    assert {99.0, -5.0} < set(points.values_list("value", flat=True))
    assert points.order_by("step").last().step == 200
    assert {point.value for point in downsample([(job.pk, "loss/train")], 2)} >= {99.0, -5.0}


@pytest.mark.parametrize("name", sorted(path.stem for path in ZOO.glob("*.jsonl")))
def test_reading_again_from_the_start_changes_nothing(job, name):
    before = [(event.seq, event.payload) for event in feed(job, name)]
    Job.objects.filter(pk=job.pk).update(event_offset=0)
    job.event_offset = 0
    assert [(event.seq, event.payload) for event in feed(job, name)] == before


def test_a_batch_whose_transaction_fails_is_read_again(job, monkeypatch):
    def broken(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(relay, "_follow", broken)
        with pytest.raises(KeyboardInterrupt):
            feed(job, "whole")
    assert len(feed(job, "whole")) == 4


def test_a_product_row_that_cannot_be_written_is_shown_and_stops_nothing(job, monkeypatch):
    def refuse(job, event, payload):
        raise LookupError("no such run")

    monkeypatch.setattr(relay, "kind_of", lambda job: replace(count, on_event=refuse))
    assert len(feed(job, "whole")) == 4
    assert "no such run" in JobEvent.objects.filter(job=job, event="relay.refused").first().payload["error"]


def test_of_a_batch_the_kind_gets_the_metrics_merged_and_the_last_progress(job, monkeypatch):
    told = []
    kind = replace(count, on_event=lambda job, event, payload: told.append((event, payload)))
    monkeypatch.setattr(relay, "kind_of", lambda job: kind)
    feed(job, "spikes")
    assert told == [("metrics.logged", {"step": 200, "values": {"loss/train": 2.0}})]


# ---- the pure parts --------------------------------------------------------------------------------------------------


def test_thinning_keeps_min_max_and_last_of_each_second_and_name():
    points = [Point("a", step, value, 10 + step / 10) for step, value in enumerate([5, 1, 9, 4, 5])]
    assert [point.value for point in thin([*points, Point("b", 1, 7, 10)])] == [1, 9, 5, 7]


def test_a_step_that_is_logged_twice_has_its_later_value():
    assert thin([Point("a", 1, 1.0, 0), Point("a", 1, 2.0, 0)]) == [Point("a", 1, 2.0, 0)]


def test_downsampling_a_long_curve_keeps_ends_of_each_span(job):
    now = timezone.now()
    MetricPoint.objects.bulk_create(
        MetricPoint(job=job, name="x", step=step, value=step % 10, at=now) for step in range(100)
    )
    points = downsample([(job.pk, "x"), (job.pk, "never measured")], 5)
    assert len(points) == 10 and {point.value for point in points} == {0, 9}
    assert {point.step for point in downsample([(job.pk, "x")], 5, 20, 29)} <= set(range(20, 30))
    assert downsample([], 5) == []


@pytest.fixture
def long_curve(job):
    """5,000 steps of a metric as the relay keeps them, with a spike up and one down of one step each."""
    values = {step: math.sin(step / 50) for step in range(-300, 4_700)} | {1_777: 99.0, 3_003: -99.0}
    points = [Point("x", step, value, step) for step, value in values.items()]
    for first in range(0, len(points), 999):  # batches that end anywhere in a window
        relay.store_points(job, points[first : first + 999])
    return values


ZOOMS = [(None, None), (1_700, 3_100), (1_778, 3_002), (1_777, 1_777), (3_003, 9_999)]


def test_a_long_curve_has_its_extremes_at_every_zoom_and_none_from_beyond(job, long_curve):
    for zoom, n in itertools.product(ZOOMS, [1, 5, 50, 150, 600]):  # read by 512, 32 and single steps
        first, last = zoom[0] or -300, min(zoom[1] or 4_699, 4_699)
        inside = {step: value for step, value in long_curve.items() if first <= step <= last}
        found = downsample([(job.pk, "x")], n, *zoom)
        assert all(inside[point.step] == point.value for point in found)
        values = [point.value for point in found]
        assert (min(values), max(values)) == (min(inside.values()), max(inside.values())), (zoom, n)
        assert len(found) <= 2 * (n + 2)


def test_a_spike_that_a_resumed_run_logs_anew_is_gone_from_a_long_curve(job, long_curve):
    relay.store_points(job, [Point("x", 1_777, 0.5, 9_000)])
    assert max(point.value for point in downsample([(job.pk, "x")], 5)) <= 1


def test_the_names_of_what_a_job_measured_are_in_order_and_its_own(job):
    now, other = timezone.now(), factories.job(job.project, "count")
    for owner, name in ((job, "loss/val"), (job, "loss/train"), (other, "system/rss_bytes")):
        MetricPoint.objects.bulk_create(MetricPoint(job=owner, name=name, step=n, value=1, at=now) for n in range(3))
    assert metric_names(job.pk) == ["loss/train", "loss/val"]
    assert metric_names(uuid4()) == []


def test_gpu_usage_is_read_from_nvidia_smi_and_devices_without_figures_are_left_out():
    found = processes.parse_gpu_usage("0, 97, 1024\n1, [N/A], [N/A]\n")
    assert found == {"system/gpu0_percent": 97.0, "system/gpu0_bytes": 2.0**30}


def test_exits_are_told_in_words():
    assert "SIGKILL" in describe_exit(-9) and "memory" in describe_exit(-9)
    assert describe_exit(2) == "It ended with exit code 2."


def test_an_abort_over_an_allocation_is_told_as_the_end_of_memory_and_another_abort_is_a_crash(job, tmp_path):
    log = tmp_path / "output.log"
    log.write_text("== clean files\nmemory allocation of 134217728 bytes failed\n")
    ending = read_ending(job, tmp_path, -6)
    assert (ending.status, ending.code) == ("failed", "stage:app:out-of-memory")
    assert "YARD_STAGE_MEMORY_MB" in ending.message
    log.write_text("assertion failed\n")
    assert read_ending(job, tmp_path, -6).status == "crashed"


def test_the_last_forty_lines_of_output_are_kept_clean(tmp_path):
    (tmp_path / "output.log").write_bytes(b"".join(b"line %d\0\n" % n for n in range(100)))
    said = last_lines(tmp_path / "output.log").split("\n")
    assert len(said) == 40 and said[-1] == "line 99\N{REPLACEMENT CHARACTER}"
    assert last_lines(tmp_path / "nothing") == ""


def test_a_log_is_read_on_from_its_cursor_and_by_whole_lines(tmp_path):
    path = tmp_path / "output.log"
    path.write_bytes(b"one\ntwo\nthr")
    first = history.read_log(path, None)
    assert (first.text, first.after) == ("one\ntwo\n", 8)
    path.write_bytes(b"one\ntwo\nthree\n")
    assert history.read_log(path, first.after).text == "three\n"
    assert history.read_log(path, 10**9).text == ""


def test_a_long_log_begins_at_a_whole_line_of_its_end(tmp_path):
    path = tmp_path / "output.log"
    path.write_text("".join(f"line {n}\n" for n in range(20_000)))
    chunk = history.read_log(path, None)
    assert chunk.is_cut and chunk.text.startswith("line ") and chunk.text.endswith("line 19999\n")


def test_a_line_survives_the_trip_through_json():
    line = event_lines.parse(b'{"v":1,"seq":3,"attempt":2,"at":1764000000.25,"event":"progress.made","done":3}')
    assert (line.seq, line.attempt, line.event, line.payload) == (3, 2, "progress.made", {"done": 3})
    assert json.dumps(line.payload)
