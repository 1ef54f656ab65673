"""The whole phase: what it measures, and that what it gives on is what it measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.data.splits import Split
from agentforge.models.ternary.linear import ternary_layers
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.saving import HABITS, HEAD, load_thinker, save_thinker
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.models.thoughts.tokens import find_marks
from agentforge.phase5_training.judging import risen
from agentforge.phase5_training.publish import DIFFICULTY
from agentforge.phase5_training.start import load_start
from agentforge.train.evaluate import answers, item_loss
from agentforge.train.loading import load_model
from tests import pico
from tests.attempts import Attempt, given_model
from tests.unit.training.phases import ALL, FAMILIES, ask

WAYS = ("input", "trained")
BOTH = pytest.mark.parametrize("case", ["everything", "plain"])


@pytest.fixture
def runs(everything: Attempt, plain: Attempt) -> dict[str, Attempt]:
    return {"everything": everything, "plain": plain}


@BOTH
def test_the_numbers_have_their_names(runs: dict[str, Attempt], case: str) -> None:
    run = runs[case]
    wanted = {f"{who}/{what}" for who in WAYS for what in ("loss", "perplexity", "accuracy", "calibration_error")}
    wanted |= {f"{who}/accuracy/{family}" for who in WAYS for family in FAMILIES}
    wanted |= {f"{who}/weight_spread" for who in WAYS} | {"forgotten/accuracy"}
    assert {name: len(run.values(f"forge/{name}")) for name in wanted} == dict.fromkeys(wanted, 1)
    told = json.loads(run.files["training.json"])["training"]
    assert all(told["test"][name] == run.values(f"forge/{name}")[0] for name in wanted)
    assert next(point["step"] for point in told["curves"]["supervised"] if "loss" in point) == 1
    assert "forge/loss" in run.names()


def test_every_part_tells_what_it_did(everything: Attempt) -> None:
    parts = {"self_model_loss/1", "quantised/flip_share", "dream/rows", "rewards/reward"}
    assert {f"forge/{part}" for part in parts} <= everything.names()
    curve = json.loads(everything.files[DIFFICULTY])
    assert {point["family"] for point in curve} == {"nested"}, "recall has one difficulty: nothing to steer"
    assert [point["step"] for point in curve] == [0, 0, 4], "of the 8 steps awake"
    card = everything.files["README.md"].decode()
    for part in ("four stages", "Grokfast (ema)", "self-modelling", "dreams", "difficulty (edge)", "exact rewards"):
        assert part in card


def test_with_nothing_on_the_card_says_so(plain: Attempt) -> None:
    assert "nothing beside the plain loop" in plain.files["README.md"].decode()
    assert DIFFICULTY not in plain.files
    assert "ternary.json" not in plain.files


@BOTH
def test_the_output_is_what_was_measured_and_still_of_its_kind(runs: dict[str, Attempt], case: str) -> None:
    run = runs[case]
    loaded = load_model(run.output)
    assert bool(ternary_layers(loaded.model)) == (case == "everything")
    start = load_start(run.context().inputs.one("model"), run.config)
    items, batch = start.items(Split.TEST, 10), run.config.evaluation.batch
    for who, model in (("input", start.model), ("trained", loaded.model)):
        loss = item_loss(model, start.codec, items, name="x", batch=batch).value
        assert loss == pytest.approx(run.values(f"forge/{who}/loss")[0], abs=1e-9), who
        right = [item.answer for item in items]
        said = answers(model, start.codec, items, batch=batch)
        share = sum(one.strip().startswith(other) for one, other in zip(said, right, strict=True)) / len(items)
        assert share == pytest.approx(run.values(f"forge/{who}/accuracy")[0], abs=0.2)
    assert any(
        not torch.equal(ours, theirs)
        for ours, theirs in zip(loaded.model.parameters(), start.model.parameters(), strict=True)
    )


@BOTH
def test_the_input_is_not_touched(runs: dict[str, Attempt], volume: Path, case: str) -> None:
    model = {"everything": "ternary", "plain": "llama"}[case]
    assert [given_model(volume, model)] == runs[case].refs, "the digest from before"


OTHERS: dict[str, dict[str, Any]] = {
    "ternary_llama": {"quantised": {"scaling": "gradient"}, "train": {"dtype": "bfloat16", "accumulation": 2}},
    "titan": {
        "edge": {"kind": "easy_to_hard", "every": 2, "items": 8, "settling": 1},
        "selfmodel": {"weight": 0.0},
    },
    "llama": {"data": {"mix": {"nested": 1, "nested_drill": 2}}, "pace": {"kind": "stages"}},
}


@pytest.mark.parametrize("model", OTHERS)
def test_other_ways(volume: Path, model: str) -> None:
    run = ask(volume, f"other-{model}", model, **OTHERS[model]).go()
    assert len(run.values("forge/trained/accuracy")) == 1
    start = load_start(run.context().inputs.one("model"), run.config)
    loss = item_loss(load_model(run.output).model, start.codec, start.items(Split.TEST, 10), name="x", batch=16)
    assert loss.value == run.values("forge/trained/loss")[0]


def test_a_thinker_goes_on_thinking_and_is_measured_again(volume: Path) -> None:
    model = pico.llama()
    place = pico.save(model, volume / "mine/thinker")
    thinker = Thinker(model, find_marks(pico.tokenizer()), Habits(Sampling(2, 3), 2, threshold=0.1))
    save_thinker(place, thinker, {"made": "by hand"})
    run = ask(volume, "thinks", "thinker").go()
    for name in (HABITS, HEAD):
        assert run.files[name] == (place / name).read_bytes()
    loaded = load_model(run.output)
    assert load_thinker(loaded.directory, loaded.model, loaded.tokenizer) is not None
    for who in WAYS:
        assert len(run.values(f"forge/{who}_thinking/accuracy")) == 1
    assert "trained_thinking" in run.files["README.md"].decode()


def test_its_output_can_be_trained_on(volume: Path, everything: Attempt) -> None:
    """Of a model that was trained already, for one of the users' usual second thoughts."""
    shutil.copytree(everything.output, volume / "mine/made")
    run = ask(volume, "again", "made", **{**ALL, "rewards": {"steps": 0}}).go()
    assert run.values("forge/input/loss") == everything.values("forge/trained/loss")


def test_what_rose_and_what_was_forgotten() -> None:
    values = {"input/accuracy": 0.5, "trained/accuracy": 0.6}
    values |= {
        "input/accuracy/a": 0.9,
        "input/accuracy/b": 0.1,
        "trained/accuracy/a": 0.7,
        "trained/accuracy/b": 0.5,
    }
    said: list[str] = []
    found = {one.name: one.value for one in risen(values, 10, said.append)}
    assert found.keys() == {"forge/risen/accuracy", "forge/forgotten/accuracy"}
    assert found["forge/risen/accuracy"] == pytest.approx(0.2)
    assert found["forge/forgotten/accuracy"] == pytest.approx(0.1)


def test_a_rise_from_nothing_is_no_number() -> None:
    values = {"input/accuracy": 0.0, "trained/accuracy": 0.5, "input/accuracy/a": 0.0, "trained/accuracy/a": 0.5}
    said: list[str] = []
    assert [one.name for one in risen(values, 10, said.append)] == ["forge/forgotten/accuracy"]
    assert said == ["forge/risen/accuracy is not measured: the input answers nothing rightly"]
