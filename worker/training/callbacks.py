"""What happens around a step: report it, keep to the plan, leave when asked. Composer's event docstring has the loop.

    after_train_batch   ClipGradients     gradients to their largest norm, which is kept to be reported
    batch_end           BatchLedger       (ledger.py)
                        KeepToPlan        settles the length of a run bounded by seconds
                        LeaveWhenAsked    stop file or SIGTERM: end after this step, checkpoint included
                        ReportMetrics     one MetricsLogged a step; refuses a loss that is not finite
    eval_end            ReportMetrics     loss and bits per byte of a held-out split
    checkpoint written  ReportMetrics     CheckpointWritten

Metric names are in METRICS. Everything reports on rank 0 only.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
import torch
from composer.core import Algorithm, Callback, Event, State, Time
from composer.loggers import Logger, LoggerDestination
from composer.utils import dist

from worker.events import CheckpointWritten, MessageLogged, MetricsLogged, ProgressMade, Reporter
from worker.failures import StageFailure
from worker.training.data import HELD_OUT
from worker.training.schedule import Course

METRICS: dict[str, str] = {
    "loss/train": "nats per token, on FIM-transformed batches",
    "loss/val": "nats per token, on untransformed held-out files",
    "bits_per_byte/held_out": "of held-out files of the training sources",
    "bits_per_byte/held_out_source": "of sources that were never trained on",
    "learning_rate": "of the matrices, at this step",
    "gradient_norm": "before clipping",
    "tokens/seen": "tokens trained on so far, repeats counted",
    "throughput/tokens_per_second": "of this step, evaluation and checkpoints not counted",
    "utilisation/flops_share": "the model's FLOP/s over the matmul rate measured at the start of the job",
    "memory/rss_bytes": "resident memory of the process",
    "memory/gpu_peak_bytes": "on CUDA, the largest allocation so far",
}
# People read about one line in so many seconds.
SECONDS_BETWEEN_LINES = 5.0


class ClipGradients(Algorithm):
    """torch's clip_grad_norm_, leaving the norm before clipping in `norm`; Composer's own algorithm drops it."""

    def __init__(self, largest: float) -> None:
        self.largest = largest
        self.norm = math.nan

    def match(self, event: Event, state: State) -> bool:
        return event == Event.AFTER_TRAIN_BATCH

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        norm = torch.nn.utils.clip_grad_norm_(state.model.parameters(), self.largest)
        self.norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)


class ReportMetrics(LoggerDestination):
    """Composer's events as ours. `latest` holds the last value of every metric, for the run's summary."""

    def __init__(
        self,
        reporter: Reporter,
        course: Course,
        clip: ClipGradients,
        bytes_per_token: dict[str, float],
        flops_per_token: float,
        matmul_flops_per_second: float,
    ) -> None:
        self.reporter, self.course, self.clip = reporter, course, clip
        self.bytes_per_token = bytes_per_token
        self.flops_share_per_token = flops_per_token / matmul_flops_per_second
        self.latest: dict[str, float] = {}
        self.learning_rate = math.nan
        self.step_started = self.line_printed = time.perf_counter()
        self.process = psutil.Process()

    def before_dataloader(self, state: State, logger: Logger) -> None:
        self.step_started = time.perf_counter()

    def batch_start(self, state: State, logger: Logger) -> None:
        self.learning_rate = float(state.optimizers[0].param_groups[0]["lr"])

    def batch_end(self, state: State, logger: Logger) -> None:
        step, values = state.timestamp.batch.value, self._step_values(state)
        _refuse_non_finite(step, values["loss/train"], values["gradient_norm"])
        self._report(step, values)
        expected = self.course.expected_steps(step, state.timestamp.total_wct.total_seconds())
        self.reporter.report(ProgressMade(step, expected, "steps"))
        self._print_line(step, values)

    def _step_values(self, state: State) -> dict[str, float]:
        assert state.previous_timestamp is not None
        seen = state.timestamp.token.value
        speed = (seen - state.previous_timestamp.token.value) / (time.perf_counter() - self.step_started)
        values = {
            "loss/train": float(state.total_loss_dict["loss/train/total"]),
            "learning_rate": self.learning_rate,
            "gradient_norm": self.clip.norm,
            "tokens/seen": float(seen),
            "throughput/tokens_per_second": speed,
            "utilisation/flops_share": speed * self.flops_share_per_token / dist.get_world_size(),
            "memory/rss_bytes": float(self.process.memory_info().rss),
        }
        if torch.cuda.is_available():
            values["memory/gpu_peak_bytes"] = float(torch.cuda.max_memory_allocated())
        return values

    def eval_end(self, state: State, logger: Logger) -> None:
        """Composer evaluates one split at a time; the label is the split's name."""
        label = str(state.dataloader_label)
        loss = float(state.eval_metrics[label]["LanguageCrossEntropy"].compute())
        values = {f"bits_per_byte/{label}": loss / math.log(2) / self.bytes_per_token[label]}
        if label == HELD_OUT:
            values["loss/val"] = loss
        self._report(state.timestamp.batch.value, values)
        text = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        self.reporter.report(MessageLogged(f"step {state.timestamp.batch.value}  {text}"))

    def upload_file(
        self,
        state: State,
        remote_file_name: str,
        file_path: Path,
        *,
        overwrite: bool = False,
    ) -> None:
        """Composer offers every finished checkpoint to its loggers; ours stay where they are and are only told of.

        The text file that stands for the `latest` link comes the same way and is no checkpoint.
        """
        path = Path(file_path)
        if path.suffix == ".symlink":
            return
        self.reporter.report(CheckpointWritten(state.timestamp.batch.value, str(path), path.stat().st_size))

    def _report(self, step: int, values: dict[str, float]) -> None:
        self.latest.update(values)
        self.reporter.report(MetricsLogged(step, values))

    def _print_line(self, step: int, values: dict[str, float]) -> None:
        now = time.perf_counter()
        if step > 1 and now - self.line_printed < SECONDS_BETWEEN_LINES:
            return
        self.line_printed = now
        self.reporter.report(
            MessageLogged(
                f"step {step}  loss/train {values['loss/train']:.3f}  grad norm {values['gradient_norm']:.2f}  "
                f"{values['throughput/tokens_per_second']:,.0f} tokens/s"
            )
        )


def _refuse_non_finite(step: int, loss: float, gradient_norm: float) -> None:
    """Before a checkpoint of this step can be written: the newest checkpoint is always one to continue from."""
    if not math.isfinite(loss):
        raise StageFailure("training:user:not-finite", value=loss, step=step)
    if not math.isfinite(gradient_norm):
        raise StageFailure(
            "training:user:not-finite", value=f"{loss:.3f} with a gradient norm of {gradient_norm}", step=step
        )


class KeepToPlan(Callback):
    """Begins the cool-down of a run bounded by seconds when it is due, counting the seconds of earlier attempts."""

    def __init__(self, course: Course, reporter: Reporter) -> None:
        self.course, self.reporter = course, reporter
        self.spent = 0.0
        self.started = time.monotonic()

    def fit_start(self, state: State, logger: Logger) -> None:
        self.started = time.monotonic()

    def batch_end(self, state: State, logger: Logger) -> None:
        if not _highest(state, int(self.course.cooldown_is_due(self.seconds()))):
            return
        step = state.timestamp.batch.value
        self.course.settle(step)
        state.max_duration = Time.from_batch(self.course.plan.total_steps)
        self.reporter.report(
            MessageLogged(f"step {step}  the cool-down begins; the run ends at step {self.course.plan.total_steps}")
        )

    def seconds(self) -> float:
        return self.spent + time.monotonic() - self.started

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.spent = float(state["seconds"])


class Interruption:
    """SIGTERM, remembered: the handler only sets a flag, and the run leaves at the end of its step."""

    def __init__(self) -> None:
        self.asked = False
        self.previous = signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def restore(self) -> None:
        signal.signal(signal.SIGTERM, self.previous)


class LeaveWhenAsked(Callback):
    """Ends training after the step in which somebody asked; Composer then writes the checkpoint of that step.

    `left_early` when it did; `interrupted` when SIGTERM asked, which leaves no time for a result.
    """

    def __init__(self, stop_requested: Callable[[], bool], interruption: Interruption) -> None:
        self.stop_requested, self.interruption = stop_requested, interruption
        self.left_early = self.interrupted = False

    def batch_end(self, state: State, logger: Logger) -> None:
        urgency = _highest(state, 2 if self.interruption.asked else int(self.stop_requested()))
        finished = state.max_duration is not None and state.timestamp >= state.max_duration
        if urgency and not finished:
            self.left_early, self.interrupted = True, urgency == 2
            state.stop_training()


def _highest(state: State, here: int) -> int:
    """The largest of all ranks' numbers: all must act in the same step, and for the same reason."""
    if dist.get_world_size() == 1:
        return here
    number = state.device.tensor_to_device(torch.tensor([here]))
    dist.all_reduce(number, reduce_operation="MAX")
    return int(number.item())
