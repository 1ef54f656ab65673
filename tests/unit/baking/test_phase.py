"""The whole phase: what it measures, that what it hands out runs, and that stops and kills change none of it.

One file, so that one process has the run that nobody disturbed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentforge.cli.chat import ChatOptions, chat
from agentforge.kit.artifacts import describe
from agentforge.kit.checkpoints import Checkpoints
from agentforge.kit.context import RunStopped
from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase6_baking.publish import COORDINATION, PERSONA, RECOVERY, SUMMARY
from agentforge.tools.saving import load_tools
from agentforge.train.loading import load_model
from tests.attempts import Attempt, Killed, Record, given_model
from tests.unit.baking.brought_adapters import brought
from tests.unit.baking.phases import ask
from tests.workers import kill_when, succeed, works_at

NINE = {
    "baking_coordinator", "hardware_adapter", "model_optimizer", "quality_validator", "graph_optimizer",
    "inference_accelerator", "memory_optimizer", "performance_profiler", "deployment_preparer",
}  # fmt: skip
WAYS = ("input", "prompted", "baked")


def test_the_numbers_have_their_names(everything: Attempt) -> None:
    tools = ("valid_calls", "tool_accuracy", "tool_accuracy/tool_calculator", "tokens_per_query")
    traits = ("helpfulness_score", "creativity_score", "precision_score", "persona_coherence")
    wanted = {f"{who}/{what}" for who in WAYS for what in (*tools, *traits, "skill_accuracy", "bits_per_byte")}
    wanted |= {f"baked/adversarial/{what}" for what in traits[:3]}
    wanted |= {"kl_removed", "drift_kl", "off_task_ce", "tools/taken", "persona/taken"}
    wanted |= {"tool_accuracy", "processing_time_min", *traits}  # as the seeds name them, of the baked model
    wanted |= {f"agent_completion/{agent}" for agent in NINE} | {"reliability_percent", "round_score"}
    wanted |= {"health/cpu_usage", "health/error_rate", "graph_operators_kept", "pass_memory", "prompt_time"}
    assert {f"baking/{name}" for name in wanted} - everything.names() == set()
    measured = json.loads(everything.files[SUMMARY])["measured"]
    assert measured["baked/tool_accuracy"] == everything.values("baking/baked/tool_accuracy")[0]


def test_all_nine_are_done_and_the_logs_say_so(everything: Attempt) -> None:
    log = json.loads(everything.files[COORDINATION])
    assert set(log["agents"]) == NINE
    assert {each["state"] for each in log["agents"].values()} == {"done"}
    assert json.loads(everything.files[RECOVERY]) == {"agents": {}, "error": None}
    assert everything.values("baking/reliability_percent") == [100.0]


def test_what_is_handed_out_is_of_its_kind_and_runs(everything: Attempt) -> None:
    assert ternary_layers(load_model(everything.output).model)
    kit = load_tools(everything.output)
    assert kit is not None
    assert [spec.name for spec in kit.toolbox.specs] == ["calculator"]
    assert set(json.loads(everything.files[PERSONA])["traits"]) == {"helpfulness", "creativity", "precision"}
    options = ChatOptions(everything.output, ["25 + 17"], 16, 0.0, 0, trust_remote_code=False, as_json=True)
    assert chat(options) == 0


def test_the_input_is_not_touched(everything: Attempt, volume: Path) -> None:
    assert [given_model(volume, "ternary")] == everything.refs


@pytest.mark.slow
def test_tools_alone_and_a_model_of_hugging_faces(volume: Path) -> None:
    off = {name: {"target": 0.0} for name in ("helpfulness", "creativity", "precision")}
    less = {"data": {"length": 60}, "cycles": {"most": 1, "questions": 16}}
    run = ask(volume, "tools", "llama", persona={"traits": off}, **less).go()
    assert len(run.values("baking/baked/tool_accuracy")) == 1
    assert PERSONA not in run.files
    assert "baking/persona/taken" not in run.names()


@pytest.mark.slow
def test_persona_alone_by_an_adapter_beside_the_model(volume: Path) -> None:
    """Trained instead of its own weights."""
    less = {"tools": {"names": []}, "cycles": {"most": 1}, "following": {"needed": False}, "lora": {"rank": 2}}
    run = ask(volume, "persona", **less).go()
    assert len(run.values("baking/baked/persona_coherence")) == 1
    assert not (run.output / "tools.json").exists()
    assert not [name for name in run.names() if name.startswith("baking/following")]
    assert (run.output / "adapter/adapter_config.json").is_file()
    base = volume / "mine/titan/model.safetensors"
    assert (run.output / "model.safetensors").read_bytes() == base.read_bytes(), "the base is as it came"
    loaded = load_model(run.output)
    assert any("lora_B" in name and tensor.any() for name, tensor in loaded.model.named_parameters())


def test_adapters_are_merged_and_nothing_else(volume: Path) -> None:
    brought(volume / "mine/llama", volume / "mine/brought")
    given = describe(volume, "mine/brought", "brought", "adapter")
    run = ask(volume, "merged", "llama", [given], cycles={"most": 0}, data={"length": 60}).go()
    assert run.values("baking/merge_error")[0] < 1e-5
    assert json.loads(run.files[SUMMARY])["adapters"][0]["parameters"] > 0
    assert "adapter" not in {each.name for each in run.output.iterdir()}
    assert "baking/baked/tool_accuracy" not in run.names()


def test_stopped_and_killed_after_every_checkpoint(volume: Path, everything: Attempt) -> None:
    """Stopped in its first step; killed in following, between trainings and amid rounds; then when the training is
    whole and nothing else."""
    run = ask(volume, "killed", "ternary")

    def stop(kind: str, payload: Record) -> None:
        if payload.get("message") == "following" and payload.get("done") == 1:
            run.stop.terminate()

    with pytest.raises(RunStopped):
        run.go(stop)
    assert Checkpoints(run.run.checkpoints_path).newest_step() == 1
    run = run.again().killed_at_checkpoints([2, 4, 6, 7, 9, 10, 12, 13, 15, 16])

    def when_judged(kind: str, payload: Record) -> None:
        if payload.get("name") == "baking/baked/tool_accuracy":
            raise Killed

    with pytest.raises(Killed):
        run.go(when_judged)
    assert not run.output.exists()
    run = run.again().go()
    assert "baking/persona/loss" not in run.names(), "nothing is trained again"
    assert run.files == everything.files


@pytest.mark.slow
def test_workers_that_are_killed(volume: Path) -> None:
    """SIGKILL while following, while baking, and while agents judge."""
    longer = {"following": {"steps": 30}, "train": {"steps": 20}}
    whole, run = (ask(volume, name, "ternary", **longer) for name in ("long", "storm"))
    succeed(whole.run)
    for stage in ("following", "persona-1"):
        kill_when(run.run, works_at(stage))
    kill_when(run.run, lambda record: record.get("measurement", {}).get("name") == "baking/pass_memory")
    succeed(run.run)
    assert run.files == whole.files
    assert not run.run.work_path.exists()
