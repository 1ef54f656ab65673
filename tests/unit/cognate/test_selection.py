"""Early stopping of real runs, on the selection split: it stops, goes back to the best, and survives a kill."""

from __future__ import annotations

import json
from typing import Any

import pytest
from safetensors.torch import load_file

from agentforge.data.codec import Codec
from agentforge.data.generate import ItemStream
from agentforge.data.splits import Split
from agentforge.kit.config import validate_config
from agentforge.kit.errors import InvalidInput
from agentforge.kit.rng import Rng
from agentforge.kit.rundir import RunDirectory
from agentforge.phase1_cognate.config import CognateConfig
from agentforge.train.evaluate import item_loss
from agentforge.train.loading import load_model
from tests.attempts import Attempt, Killed, Record
from tests.unit.cognate.phases import ask, digests, tiny
from tests.workers import kill_when, succeed, works_at

STEPS, EVERY, PATIENCE = 40, 2, 3
CHANGES: dict[str, Any] = {
    # At this rate it learns for a while and then forgets: what early stopping is for.
    "reasoning": {
        "mix": {"arithmetic": 1},
        "train": {
            "steps": STEPS, "batch": 4, "warmup": 0, "schedule": "constant", "lr": 0.05, "optimiser": "adamw",
            "checkpoint_every": 3, "evaluate_every": EVERY, "patience": PATIENCE, "threads": 1,
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Attempt:
    return ask(tmp_path_factory.mktemp("volume") / "home", "stopped", **CHANGES).go()


def selection_curve(run: RunDirectory) -> dict[int, float]:
    record = json.loads((run.output_path / "reasoning/training.json").read_text())
    name = "cognate/reasoning/selection_loss"
    return {point["step"]: point[name] for point in record["curves"]["reasoning"] if name in point}


def test_a_stage_that_gets_worse_stops_and_is_that_of_its_best_step(stopped: Attempt) -> None:
    curve = selection_curve(stopped.run)
    best = min(curve, key=curve.__getitem__)
    assert max(curve) == best + PATIENCE * EVERY < STEPS
    assert curve[max(curve)] > curve[best]
    loaded = load_model(stopped.run.output_path / "reasoning")
    items = ItemStream("arithmetic", Split.SELECTION, Rng(42, "cognate/selection").seed).distinct(12)
    measured = item_loss(loaded.model, Codec(loaded.tokenizer), items, name="again")
    assert measured.value == pytest.approx(curve[best], rel=1e-6)
    assert f"reasoning is that of step {best}; it trained for {max(curve)}" in stopped.logs()


def test_only_stages_that_ask_for_it_are_evaluated(stopped: Attempt) -> None:
    told = stopped.names()
    assert {name for name in told if name.endswith("selection_loss")} == {"cognate/reasoning/selection_loss"}
    assert {name for name in told if "/perplexity/" in name} >= {"cognate/reasoning/perplexity/arithmetic"}


def test_killed_between_evaluations_it_ends_with_the_same_digests(stopped: Attempt) -> None:
    run = ask(stopped.run.home, "killed", **CHANGES)

    def fate(kind: str, payload: Record) -> None:
        if payload.get("name") == "cognate/reasoning/selection_loss" and len(run.values(payload["name"])) == 3:
            raise Killed

    with pytest.raises(Killed):
        run.go(fate)
    run = run.again().go()
    assert "goes on from step" in run.logs()
    assert digests(run.run) == digests(stopped.run)


@pytest.fixture(scope="module")
def paired(stopped: Attempt) -> RunDirectory:
    run = ask(stopped.run.home, "paired", processes=2, **CHANGES).run
    succeed(run)
    return run


@pytest.mark.slow
def test_two_processes_make_what_one_makes_to_float_tolerance(stopped: Attempt, paired: RunDirectory) -> None:
    """The trunk's data are documents and items alike."""
    one, two = (load_file(run.output_path / "trunk/model.safetensors") for run in (stopped.run, paired))
    assert one.keys() == two.keys()
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-5


@pytest.mark.slow
@pytest.mark.slow
def test_two_processes_killed_on_the_way_make_the_same_digests(paired: RunDirectory) -> None:
    run = ask(paired.home, "paired-killed", processes=2, **CHANGES).run
    kill_when(run, works_at("memory_integration"))
    succeed(run)
    assert digests(run) == digests(paired)


def test_a_batch_that_processes_cannot_share_out_is_refused_at_validation() -> None:
    with pytest.raises(InvalidInput, match="4 rows cannot be shared out evenly among 3 processes") as caught:
        validate_config(CognateConfig, tiny(processes=3))
    assert (caught.value.field, caught.value.reason) == ("trunk.train.batch", "UNEVEN_BATCH")
