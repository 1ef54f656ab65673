"""Phases, pipelines and presets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agentforge.kit.config import PhaseConfig
from agentforge.kit.errors import InvalidInput, MissingTool, NotFound
from agentforge.kit.phase import PhaseSpec, Pipeline, Slot, load_object, load_pipeline

MODULE = "pipeline_for_these_tests"
SOURCE = """
from pathlib import Path
from agentforge.kit.config import PhaseConfig
from agentforge.kit.phase import PhaseSpec, Pipeline, Slot

def run(context, config):
    return "ran"

COUNT = PhaseSpec("count", "Counts.", PhaseConfig, f"{__name__}:run", makes=(Slot("text", "text"),), stands_on=())
PIPELINE = Pipeline(f"{__name__}:COUNT", presets=Path(__file__).parent / "presets")
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/tiny.yaml").write_text("count:\n  seed: 7\n")
    (tmp_path / "presets/empty.yaml").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AGENTFORGE_PIPELINE", MODULE)
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    return load_pipeline()


def test_the_pipeline_gives_its_phases(pipeline: Pipeline) -> None:
    assert pipeline.names == ("count",)
    spec = pipeline.spec("count")
    assert list(pipeline) == [spec]
    assert (spec.config, spec.makes) == (PhaseConfig, (Slot("text", "text"),))
    assert spec.load_run()(None, None) == "ran"
    assert len(spec.code_digest) == 64


def test_a_misspelt_phase(pipeline: Pipeline) -> None:
    with pytest.raises(NotFound) as caught:
        pipeline.spec("cuont")
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_PHASE", "phase")
    assert "'count'" in caught.value.next_step
    with pytest.raises(NotFound) as caught:
        pipeline.spec("zzz")
    assert "count" in caught.value.next_step


def test_presets(pipeline: Pipeline) -> None:
    assert pipeline.preset("tiny", "count") == {"seed": 7}
    assert (
        pipeline.preset("tiny", "other") == pipeline.preset("empty", "count") == pipeline.preset("", "count") == {}
    )
    pipeline.preset("tiny", "count")["seed"] = 8
    assert pipeline.preset("tiny", "count") == {"seed": 7}
    with pytest.raises(InvalidInput) as caught:
        pipeline.preset("tinny", "count")
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_PRESET", "preset")
    assert "'tiny'" in caught.value.next_step


@pytest.mark.parametrize("module", ["no_such_module_at_all", "agentforge.kit.phase", "json"])
def test_no_pipeline_there(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFORGE_PIPELINE", module)
    with pytest.raises(MissingTool) as caught:
        load_pipeline()
    assert caught.value.reason == "NO_PIPELINE"


def test_the_code_digest_follows_what_a_phase_stands_on() -> None:
    def spec(*stands_on: str) -> PhaseSpec:
        return PhaseSpec("p", "", PhaseConfig, "agentforge.kit.phase:load_object", stands_on=stands_on)

    assert spec().code_digest == spec().code_digest
    assert spec().code_digest != spec("agentforge.data").code_digest
    assert spec().load_run() is load_object
