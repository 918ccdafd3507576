"""The repository on disk and the deploy stage, against a server whose moods the test decides."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from worker import manifest
from worker.context import Context, Outcome, Stopped
from worker.events import ListReporter, StageEntered
from worker.failures import StageFailure
from worker.serving import deploy, repository
from worker.serving.server import Canary, CanaryFailed, LoadRefused
from worker.specs import ArtifactRef, DecodeSettings, DeployModel

GOOD = Canary("p", "text", "length", 32, 0.01, 0.1)


class Moods:
    """A server that loads, answers and unloads as `refuse_loads` and `silent` tell it to; keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.refuse_loads = self.silent = 0

    def __call__(self, url: str) -> Moods:
        return self

    def wait_live(self) -> dict[str, str]:
        return {"name": "triton", "version": "2.51.0"}

    def load(self, name: str) -> None:
        self.calls.append("load")
        self.refuse_loads -= 1
        if self.refuse_loads >= 0:
            raise LoadRefused("Traceback: no such tensor")

    def unload(self, name: str) -> None:
        self.calls.append("unload")

    def reload(self, name: str) -> None:
        self.unload(name)
        self.load(name)

    def canary(self, name: str, version: int, max_tokens: int) -> Canary:
        self.calls.append(f"canary {version}")
        self.silent -= 1
        if self.silent >= 0:
            raise CanaryFailed("no answer in 60 s")
        return GOOD


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Moods:
    moods = Moods()
    monkeypatch.setattr(deploy, "Server", moods)
    return moods


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage"), 1, "host:1", tmp_path / "models")


@pytest.fixture
def spec(model_dir: Path) -> DeployModel:
    """The reference engine: its conversion is a copy, so these tests are quick."""
    sha256 = manifest.hash_folder(model_dir)[0]
    return DeployModel(ArtifactRef(str(model_dir), sha256), "tiny", engine="transformers", quantise="fp32")


def run(spec: DeployModel, context: Context) -> Outcome:
    shutil.rmtree(context.out)  # as the protocol does before each attempt
    return deploy.run(spec, context)


def served(context: Context) -> list[int]:
    assert context.model_repository is not None
    return repository.versions(context.model_repository / "tiny")


def served_folder(context: Context) -> Path:
    assert context.model_repository is not None
    return context.model_repository / "tiny"


def with_temperature(spec: DeployModel, value: float) -> DeployModel:
    return dataclasses.replace(spec, decode=DecodeSettings(temperature=value))


def test_a_deployment_says_what_answered_and_how_long_each_phase_took(
    spec: DeployModel, context: Context, server: Moods
) -> None:
    outcome = run(spec, context)
    phases = ["convert", "write repository", "wait for server", "load", "warm up", "canary"]
    assert [event.phase for event in context.reporter.events if isinstance(event, StageEntered)] == phases  # type: ignore[attr-defined]
    assert list(outcome.summary["phase_seconds"]) == phases
    assert (outcome.summary["model_name"], outcome.summary["model_version"]) == ("tiny", 1)
    assert outcome.summary["canary"]["tokens_per_second"] == 320.0
    assert (outcome.outputs["engine"] / "engine.json").exists()


def test_the_same_deployment_again_keeps_its_version_and_changed_settings_make_a_new_one(
    spec: DeployModel, context: Context, server: Moods
) -> None:
    assert [run(spec, context).summary["model_version"] for _ in range(2)] == [1, 1]
    assert run(with_temperature(spec, 0.5), context).summary["model_version"] == 2
    assert run(with_temperature(spec, 0.6), context).summary["model_version"] == 3
    assert served(context) == [2, 3]


def test_a_model_is_converted_once(
    spec: DeployModel, context: Context, server: Moods, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = manifest.hash_folder(run(spec, context).outputs["engine"])
    monkeypatch.setattr(deploy.convert, "convert", lambda *args, **kwargs: pytest.fail("converted again"))
    again = run(with_temperature(spec, 0.5), context)
    assert manifest.hash_folder(again.outputs["engine"]) == first


def test_a_new_version_that_does_not_load_is_taken_back_and_the_old_one_left_alone(
    spec: DeployModel, context: Context, server: Moods
) -> None:
    run(spec, context)
    server.calls.clear()
    server.refuse_loads = 1
    with pytest.raises(StageFailure, match="no such tensor") as failed:
        run(with_temperature(spec, 0.5), context)
    assert failed.value.code == "serving:app:load-failed"
    assert server.calls == ["load"]
    assert served(context) == [1]


def test_a_dead_model_process_is_healed_by_a_load_that_triton_cannot_skip(
    spec: DeployModel, context: Context, server: Moods
) -> None:
    run(spec, context)
    server.calls.clear()
    server.silent = 1
    about = Path(served_folder(context), "1", "deployment.json")
    before = about.stat().st_mtime_ns
    run(spec, context)
    assert server.calls == ["load", "canary 1", "load", "canary 1"]
    assert about.stat().st_mtime_ns > before


def test_a_refused_load_of_a_deployed_version_is_healed_too(spec: DeployModel, context: Context, server: Moods) -> None:
    run(spec, context)
    server.calls.clear()
    server.refuse_loads = 2
    outcome = run(spec, context)
    assert server.calls == ["load", "load", "unload", "load", "canary 1"]
    assert "heal" in outcome.summary["phase_seconds"]


def test_a_new_version_that_never_answers_gives_way_to_the_one_before(
    spec: DeployModel, context: Context, server: Moods
) -> None:
    run(spec, context)
    server.calls.clear()
    server.silent = 2
    with pytest.raises(StageFailure, match="no answer") as failed:
        run(with_temperature(spec, 0.5), context)
    assert failed.value.code == "serving:app:canary-failed"
    assert server.calls == ["load", "canary 2", "load", "canary 2", "load"]
    assert served(context) == [1]


def test_a_first_version_that_never_answers_is_unloaded_and_leaves_no_folder(
    spec: DeployModel, context: Context, server: Moods
) -> None:
    server.silent = 2
    with pytest.raises(StageFailure):
        run(spec, context)
    assert server.calls[-1] == "unload"
    assert context.model_repository is not None
    assert not (context.model_repository / "tiny").exists()


def test_stop_before_the_switch_leaves_nothing_behind(spec: DeployModel, context: Context, server: Moods) -> None:
    run(spec, context)
    (context.job_dir / "stop").touch()
    with pytest.raises(Stopped):
        run(with_temperature(spec, 0.5), context)
    assert served(context) == [1]


def test_deploying_again_ends_an_earlier_unload(spec: DeployModel, context: Context, server: Moods) -> None:
    run(spec, context)
    assert context.model_repository is not None
    mark = context.model_repository / "tiny" / repository.UNLOADED
    mark.touch()
    run(spec, context)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"served_name": "../tiny"}, "serving:user:bad-name"),
        ({"engine": "onnx"}, "serving:user:unknown-engine"),
        ({"decode": DecodeSettings(top_p=2.0)}, "serving:user:bad-decode"),
    ],
)
def test_what_cannot_be_deployed_is_refused_with_a_code(
    spec: DeployModel, context: Context, server: Moods, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(StageFailure) as failed:
        run(dataclasses.replace(spec, **change), context)
    assert failed.value.code == code


def test_without_a_server_the_stage_says_which_settings_are_missing(spec: DeployModel, tmp_path: Path) -> None:
    with pytest.raises(StageFailure, match="TRITON_MODEL_REPOSITORY"):
        run(spec, Context(tmp_path, ListReporter(), str(tmp_path / "storage")))


def test_a_version_brings_its_own_code_and_needs_nothing_outside_its_folder(
    spec: DeployModel, context: Context, server: Moods
) -> None:
    run(spec, context)
    assert context.model_repository is not None
    version = context.model_repository / "tiny" / "1"
    program = f"import sys; sys.path.insert(0, {str(version / 'lib')!r}); import worker.serving.triton_backend as b"
    program += (
        "; from pathlib import Path; e = b._engine(Path('engine'), __import__('json').load(open('deployment.json')))"
    )
    program += "; print(b.__file__); print(e.complete('x').n_tokens)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=version, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0].startswith(str(version))
    config = (version.parent / "config.pbtxt").read_text()
    assert 'name: "tiny"' in config
    assert 'backend: "python"' in config


def test_a_gpu_version_is_a_vllm_repository(spec: DeployModel, context: Context, server: Moods) -> None:
    run(dataclasses.replace(spec, engine="vllm"), context)
    assert context.model_repository is not None
    model = context.model_repository / "tiny"
    arguments = json.loads((model / "1" / "model.json").read_text())
    assert Path(arguments["model"]) == model / "1" / "engine"
    assert (Path(arguments["model"]) / "model.safetensors").exists()
    assert arguments["enable_prefix_caching"] is True
    assert 'backend: "vllm"' in (model / "config.pbtxt").read_text()
    assert not (model / "1" / "model.py").exists()
