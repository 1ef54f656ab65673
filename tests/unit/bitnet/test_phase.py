"""The whole phase: what it measures, and that what it gives on is what it measured."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.data.splits import Split
from agentforge.models.ternary.linear import ternary_layers
from agentforge.models.ternary.unpacking import load_packed
from agentforge.models.thoughts.sampling import Sampling
from agentforge.models.thoughts.saving import HABITS, HEAD, load_thinker, save_thinker
from agentforge.models.thoughts.thinker import Habits, Thinker
from agentforge.models.thoughts.tokens import find_marks
from agentforge.phase4_bitnet.config import BoundsConfig
from agentforge.phase4_bitnet.judging import judge, lost
from agentforge.phase4_bitnet.start import load_start
from agentforge.train.evaluate import answers, item_loss
from agentforge.train.loading import load_model
from tests import pico
from tests.attempts import Attempt, given_model
from tests.unit.bitnet.phases import FAMILIES, ask

BOTH = pytest.mark.parametrize("case", ["titan", "llama"])
WAYS = ("input", "rounded", "finetuned")


@pytest.fixture(scope="module")
def runs(volume: Path, calm: Attempt) -> dict[str, Attempt]:
    packed = {"packing": {"packed": "1.6"}, "ternary": {"scale": "group", "group": 8}}
    return {"titan": ask(volume, "whole", "titan", **packed).go(), "llama": calm}


@BOTH
def test_the_numbers_have_their_names(runs: dict[str, Attempt], case: str) -> None:
    run = runs[case]
    wanted = {f"bitnet/{who}/{what}" for who in WAYS for what in ("loss", "perplexity", "accuracy")}
    wanted |= {f"bitnet/{who}/accuracy/{family}" for who in WAYS for family in FAMILIES}
    wanted |= {f"bitnet/{who}/{what}/nats" for who in WAYS[1:] for what in ("lost", "within")}
    wanted |= {
        f"bitnet/packed/{width}_bits/{part}/{what}"
        for width in ("2", "1.6")
        for part in ("linear_layers", "whole_file")
        for what in ("size", "ratio")
    }
    assert not (wanted | {"bitnet/packed/loss", "bitnet/training/finetuned/loss"}) - run.names()
    assert {name: len(run.values(name)) for name in wanted} == dict.fromkeys(wanted, 1)
    layers = run.samples("bitnet/layers")[0]["layers"]
    assert len(layers) == {"titan": 8, "llama": 14}[case]
    for layer in layers:
        assert run.values(f"bitnet/layer/{layer['name']}/output_error") == [layer["error"]]
        assert run.values(f"bitnet/layer/{layer['name']}/sensitivity") == [layer["sensitivity"]]
    told = json.loads(run.files["training.json"])["bitnet"]
    assert told["layers"] == layers
    assert wanted >= {f"bitnet/{name}" for name in told["test"] if name.split("/")[0] in WAYS} - {
        f"bitnet/{who}/{what}/accuracy" for who in WAYS for what in ("lost", "within")
    }
    assert all(told["test"][name.removeprefix("bitnet/")] == run.values(name)[0] for name in wanted)


@BOTH
def test_the_output_is_ternary_and_says_what_was_measured(runs: dict[str, Attempt], case: str) -> None:
    run = runs[case]
    loaded = load_model(run.output)
    layers = ternary_layers(loaded.model)
    assert len(layers) == {"titan": 8, "llama": 14}[case]
    assert all(set(layer.codes().unique().tolist()) <= {-1, 0, 1} for layer in layers.values())
    assert {layer.mode.strength for layer in layers.values()} == {1.0}
    start = load_start(run.context().inputs.one("model"), run.config)
    items = start.items(Split.TEST, 10)
    batch = run.config.evaluation.batch
    found = {"input": start.model, "finetuned": loaded.model}
    if case == "titan":
        found["packed"] = load_packed(run.run.output_path / "packed")
    for who, model in found.items():
        loss = item_loss(model, start.codec, items, name="x", batch=batch).value
        assert loss == pytest.approx(run.values(f"bitnet/{who}/loss")[0], abs=1e-9), who
    latents = load_start(run.context().inputs.one("model"), run.config).model
    assert not torch.equal(next(latents.parameters()), next(loaded.model.parameters())), "it was trained"
    nats = run.values("bitnet/finetuned/loss")[0] - run.values("bitnet/input/loss")[0]
    assert run.values("bitnet/finetuned/lost/nats") == [nats]
    assert run.values("bitnet/finetuned/within/nats") == [float(nats <= 0.12)]
    assert math.log(run.values("bitnet/rounded/perplexity")[0]) == pytest.approx(
        run.values("bitnet/rounded/loss")[0]
    )


@BOTH
def test_the_input_is_not_touched(runs: dict[str, Attempt], volume: Path, case: str) -> None:
    assert [given_model(volume, case)] == runs[case].refs, "the digest from before"


def test_sizes_are_those_of_the_packed_file(runs: dict[str, Attempt]) -> None:
    run = runs["titan"]
    file = run.run.output_path / "packed/packed.safetensors"
    assert run.values("bitnet/packed/1.6_bits/whole_file/size") == [file.stat().st_size]
    assert (file.parent / "tokenizer.json").is_file()
    assert not (runs["llama"].run.output_path / "packed").exists()
    two, less = (run.values(f"bitnet/packed/{width}_bits/linear_layers/size")[0] for width in ("2", "1.6"))
    assert two > less


def test_what_is_lost_is_told_also_where_it_is_too_much(volume: Path) -> None:
    wild = {"lr": 30.0, "muon_lr": 30.0, "schedule": "constant", "steps": 2}
    run = ask(volume, "spoiled", "llama", train=wild).go()
    assert run.values("bitnet/finetuned/lost/nats")[0] > 0.12
    assert run.values("bitnet/finetuned/within/nats") == [0.0]
    assert "(bound +0.12: not kept)" in run.files["README.md"].decode()


def test_the_share_of_answers_that_is_lost() -> None:
    values = {"input/loss": 1.0, "a/loss": 1.1, "b/loss": 0.5}
    values |= {"input/accuracy": 0.8, "a/accuracy": 0.6, "b/accuracy": 0.88}
    values |= {"input_thinking/accuracy": 0.0, "a_thinking/accuracy": 0.5}
    said: list[str] = []
    found = {
        one.name.removeprefix("bitnet/"): one.value
        for who in ("a", "b")
        for one in lost(who, values, BoundsConfig(accuracy=0.2), 10, said.append)
    }
    assert found == pytest.approx(
        {
            "a/lost/nats": 0.1, "a/within/nats": 1, "a/lost/accuracy": 0.25, "a/within/accuracy": 0,
            "b/lost/nats": -0.5, "b/within/nats": 1, "b/lost/accuracy": -0.1, "b/within/accuracy": 1,
        }
    )  # fmt: skip
    assert said == ["bitnet/a_thinking/lost/accuracy is not measured: the input answers nothing rightly"]


OTHERS: dict[str, dict[str, Any]] = {
    "one": {
        "train": {"dtype": "bfloat16", "accumulation": 2, "optimiser": "adamw", "grokfast": {"filter": "ema"}},
        "ternary": {"scale": "channel", "norm": True},
        "warmup": 0.0,
    },
    "another": {
        "loss": {"task": 0.0, "distillation": 1.0, "temperature": 2.0},
        "calibration": {"thresholds": False, "sensitivity": 0},
        "packing": {"embeddings": 4},
    },
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_ways(volume: Path, name: str) -> None:
    run = ask(volume, f"{name}-way", "llama", **OTHERS[name]).go()
    start = load_start(run.context().inputs.one("model"), run.config)
    model, items = load_model(run.output).model, start.items(Split.TEST, 10)
    assert item_loss(model, start.codec, items, name="x", batch=16).value == run.values("bitnet/finetuned/loss")[0]
    modes = {(layer.mode.scale, layer.mode.norm) for layer in ternary_layers(model).values()}
    assert modes == {("channel", True) if name == "one" else ("tensor", False)}
    if name == "another":
        assert {(each.mode.threshold, each.mode.fit) for each in ternary_layers(model).values()} == {
            (0.5, "absmean")
        }
        assert not [said for said in run.names() if said.endswith("/sensitivity")]


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
        assert len(run.values(f"bitnet/{who}_thinking/accuracy")) == 1
        assert len(run.values(f"bitnet/{who}/accuracy")) == 1
    assert "finetuned_thinking" in run.files["README.md"].decode()


def test_layers_that_stay_plain_are_plain_in_the_output(volume: Path, calm: Attempt) -> None:
    errors = {each["name"]: each["error"] for each in calm.samples("bitnet/layers")[0]["layers"]}
    bound = sorted(errors.values())[7]
    run = ask(volume, "mixed", "llama", calibration={"high_precision": "measured", "bound": bound}).go()
    chosen = ternary_layers(load_model(run.output).model).keys()
    assert chosen == {name for name, error in errors.items() if error <= bound}
    assert "High precision keep" in run.files["README.md"].decode()


def test_patience_goes_by_the_loss_at_full_strength(volume: Path) -> None:
    run = ask(volume, "patient", "llama", train={"evaluate_every": 1, "patience": 4}, warmup=0.9).go()
    told = run.values("bitnet/training/selection_loss")
    assert len(told) == 4
    start = load_start(run.context().inputs.one("model"), run.config)
    loaded = load_model(run.output).model
    items = start.items(Split.SELECTION, run.config.evaluation.items)
    assert item_loss(loaded, start.codec, items, name="x", batch=16).value == pytest.approx(min(told), abs=1e-6)


def test_the_same_answers_come_from_the_output(runs: dict[str, Attempt]) -> None:
    run = runs["llama"]
    start = load_start(run.context().inputs.one("model"), run.config)
    items, again = start.items(Split.TEST, 10), load_model(run.output)
    judged = judge(run.context(), start, {"input": again.model})
    assert judged.values["input/accuracy"] == run.values("bitnet/finetuned/accuracy")[0]
    twice = [answers(load_model(run.output).model, start.codec, items) for _ in range(2)]
    assert twice[0] == twice[1]


def test_an_output_with_other_codes_is_not_loaded(runs: dict[str, Attempt], tmp_path: Path) -> None:
    from agentforge.kit.errors import DataLoss

    shutil.copytree(runs["llama"].output, tmp_path / "it")
    shutil.copyfile(runs["llama"].run.home / "mine/llama/model.safetensors", tmp_path / "it/model.safetensors")
    with pytest.raises(DataLoss, match="do not give the codes"):
        load_model(tmp_path / "it")
