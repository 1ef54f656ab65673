"""What cannot be merged is refused: by a service without torch where files tell it, else before any evolution."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from agentforge.client import PhaseClient
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.errors import ForgeError
from agentforge.kit.refs import ArtifactRef
from agentforge.phase2_evomerge.config import PHASE
from agentforge.phase2_evomerge.recipes import groups_of
from tests import pico
from tests.harness import Service, phase_service, running
from tests.refusals import refused
from tests.unit.evomerge.phases import ask, given, small

THREE = ("one", "two", "three")
BROKEN = "layers.0.mlp.up.weight"
FREE: dict[str, Any] = {"strict": False}


def of_merge(method: str, **options: Any) -> dict[str, Any]:
    return {"algorithm": "merge", "merge": {"method": method, "options": options}}


def ternary(place: Path) -> None:
    pico.branch(place)
    (place / "ternary.json").write_text("{}")


def cut(place: Path) -> None:
    pico.branch(place)
    file = place / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-40])


def sharded(place: Path) -> None:
    pico.with_noise(pico.titan(), 3).save_pretrained(place, max_shard_size="40KB")
    pico.tokenizer().save_pretrained(place)
    shards = sorted(place.glob("model-*.safetensors"))
    assert len(shards) > 1
    shards[-1].unlink()


def nan(place: Path) -> None:
    pico.branch(place)
    tensors = load_file(place / "model.safetensors")
    tensors[BROKEN].view(-1)[3] = math.nan
    save_file(tensors, place / "model.safetensors", {"format": "pt"})


def other_tokenizer(place: Path) -> None:
    """Two tokens of the same length have changed places."""
    words = train_tokenizer(["a b c"], len(pico.tokenizer()))
    state = json.loads(words.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    pico.save(pico.titan(), place)
    (place / "tokenizer.json").write_text(json.dumps(state))


def no_tokenizer(place: Path) -> None:
    pico.titan().save_pretrained(place)


def nothing(place: Path) -> None:
    place.mkdir()
    (place / "notes.txt").write_text("no model")


MAKERS: dict[str, Callable[[Path], object]] = {
    **dict.fromkeys((*THREE, "four", "trunk"), pico.branch),
    "wider": lambda place: pico.save(pico.titan(hidden_size=64), place),
    "deeper": lambda place: pico.save(pico.titan(num_hidden_layers=2), place),
    "llama": lambda place: pico.save(pico.llama(num_hidden_layers=1), place),
    "pondering": lambda place: pico.save(pico.titan(act_steps_infer=1), place),
    "cut": cut,
    "ternary": ternary,
    "sharded": sharded,
    "nan": nan,
    "other-tokenizer": other_tokenizer,
    "no-tokenizer": no_tokenizer,
    "nothing": nothing,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("bad") / "home"
    for name, make in MAKERS.items():
        (home / "mine").mkdir(parents=True, exist_ok=True)
        make(home / "mine" / name)
    return home


@pytest.fixture(scope="module")
def service(home: Path) -> Service:
    return phase_service(PHASE.name, home, "agentforge.pipeline")


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[PhaseClient]:
    with running(service) as client:
        yield client


def refs(*names: str) -> list[ArtifactRef]:
    return [ArtifactRef(name, "trunk" if name == "trunk" else "model", f"mine/{name}", "") for name in names]


SETTINGS: list[tuple[dict[str, Any], str, str]] = [
    (of_merge("lineal"), "merge.method", "INVALID_VALUE"),
    (of_merge("ties", density=2), "merge.options.density", "INVALID_VALUE"),
    (of_merge("ties", densty=0.2), "merge.options.densty", "UNKNOWN_FIELD"),
    (of_merge("linear", weights=[1, -1]), "merge.options.weights", "INVALID_VALUE"),
    (of_merge("slerp", t=2), "merge.options.t", "INVALID_VALUE"),
    (of_merge("dare", drop=1.0), "merge.options.drop", "INVALID_VALUE"),
    ({"weights": {"speed": 0.5}}, "weights.perplexity", "WEIGHTS_SUM"),
    ({"weights": {"speed": -0.1, "accuracy": 0.6}}, "weights.speed", "INVALID_VALUE"),
    ({"evaluation": {"families": {}}}, "evaluation.families", "INVALID_VALUE"),
    ({"evaluation": {"families": {"poetry": []}}}, "evaluation.families", "INVALID_VALUE"),
    ({"evaluation": {"families": {"nested": [99]}}}, "evaluation.families", "INVALID_VALUE"),
    ({"evaluation": {"items": 3}}, "evaluation.items", "INVALID_VALUE"),
    ({"population": 10}, "population", "INVALID_VALUE"),
    ({"population": 4}, "population", "INVALID_VALUE"),
    ({"population": 68}, "population", "INVALID_VALUE"),
    ({"generations": 0}, "generations", "INVALID_VALUE"),
    ({"algorithm": "annealing"}, "algorithm", "INVALID_VALUE"),
    ({"recipe": {"highest": 0.5}}, "recipe.highest", "INVALID_VALUE"),
    ({"recipe": {"sigma": math.nan}}, "recipe.sigma", "NOT_FINITE"),
    ({"algorithm": "genetic", "recipe": {"given": {"rest": [1.0]}}}, "recipe.given", "INVALID_VALUE"),
    ({"genetic": {"mutation": {"sigma": 0}}}, "genetic.mutation.sigma", "INVALID_VALUE"),
    ({"combination": {"drop": 1}}, "combination.drop", "INVALID_VALUE"),
]


@pytest.mark.parametrize(("values", "field", "reason"), SETTINGS)
def test_settings(client: PhaseClient, home: Path, values: dict[str, Any], field: str, reason: str) -> None:
    answer = client.validate(values)
    assert [(each.field, each.reason) for each in answer.violations] == [(field, reason)], answer
    with pytest.raises(ForgeError) as caught:
        client.start("refused", values)
    assert (caught.value.exit_code, caught.value.reason, caught.value.field) == (2, reason, field)
    assert not (home / "runs").exists()


# name: (config, inputs, field, reason, what the message must name)
INPUTS: dict[str, tuple[dict[str, Any], tuple[str, ...], str, str, tuple[str, ...]]] = {
    "two": ({}, ("trunk", "one", "two"), "inputs.models", "WRONG_MODEL_COUNT", ("2 models", "exactly 3")),
    "four": ({}, ("trunk", *THREE, "four"), "inputs.models", "WRONG_MODEL_COUNT", ("4 models",)),
    "Llama, strict": ({}, ("trunk", "one", "two", "llama"), "inputs.llama", "WRONG_ARCHITECTURE", ("llama",)),
    "no trunk": ({}, THREE, "inputs.trunk", "BASE_REQUIRED", ("cma_es",)),
    "no trunk, TIES": (of_merge("ties"), THREE, "inputs.trunk", "BASE_REQUIRED", ("ties",)),
    "four, SLERP": (FREE | of_merge("slerp"), (*THREE, "four"), "merge.method", "PARENT_COUNT", ("at most 3",)),
    "weights": (of_merge("linear", weights=[1, 2]), THREE, "merge.options.weights", "WEIGHT_COUNT", ("2 weights",)),
    "t": (of_merge("slerp", t=0.3), THREE, "merge.options.t", "T_WITH_THREE_PARENTS", ("3 are given",)),
    "another width": (
        {}, ("trunk", "one", "two", "wider"), "inputs: hidden_size", "MIXED_ARCHITECTURES", ("wider", "64", "32"),
    ),
    "another depth": (
        {}, ("trunk", "one", "two", "deeper"), "inputs: num_hidden_layers", "MIXED_ARCHITECTURES", ("deeper", "2"),
    ),
    "another depth, trunk": (
        {"base": "mean"}, ("deeper", "one", "two"), "inputs: num_hidden_layers", "MIXED_ARCHITECTURES", ("one",),
    ),
    "Llama beside Titan": (
        {**FREE, "base": "mean"}, ("one", "two", "llama"), "inputs: ", "MIXED_ARCHITECTURES", ("llama",),
    ),
    "ponders less": (
        {}, ("trunk", "one", "two", "pondering"), "inputs: act_steps_infer", "MIXED_ARCHITECTURES", ("pondering",),
    ),
    "other tokenizer": ({}, ("trunk", "one", "two", "other-tokenizer"), "inputs: ", "TOKENIZERS_DIFFER", ("'a'",)),
    "no tokenizer": (
        {}, ("trunk", "one", "two", "no-tokenizer"), "inputs.no-tokenizer", "NO_TOKENIZER", ("tokenizer.json",),
    ),
    "missing shard": (
        {}, ("trunk", "one", "two", "sharded"), "inputs.sharded", "MISSING_SHARD", ("model-0000", "tensor"),
    ),
    "ternary": ({}, ("trunk", "one", "two", "ternary"), "inputs.ternary", "TERNARY_MODEL", ("latents",)),
    "cut file": ({}, ("trunk", "one", "two", "cut"), "inputs.cut", "BROKEN_FILE", ("model.safetensors",)),
    "no model": ({}, ("trunk", "one", "two", "nothing"), "inputs.nothing", "NOT_A_MODEL", ("config.json",)),
}  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_inputs(client: PhaseClient, home: Path, name: str) -> None:
    config, names, field, reason, named = INPUTS[name]
    found = refused(client, home, small(**config), refs(*names))
    assert found.field.startswith(field)
    assert found.reason == reason
    assert all(each in found.message for each in named), found.message


def count_of(home: Path) -> int:
    return sum(tensor.numel() for tensor in load_file(home / "mine" / "one" / "model.safetensors").values())


@pytest.mark.parametrize(("share", "fits"), [(1.0, True), (1.04, True), (0.96, True), (1.06, False), (0.94, False)])
def test_strict_mode_takes_models_of_the_expected_size(
    client: PhaseClient, home: Path, share: float, fits: bool
) -> None:
    count = count_of(home)
    config = small(parameters=round(count * share))
    if fits:
        assert not client.validate(config, inputs=refs("trunk", *THREE), check_inputs=True).violations
        return
    found = client.validate(config, inputs=refs("trunk", *THREE), check_inputs=True).violations
    assert [(each.field, each.reason) for each in found] == [(f"inputs.{name}", "WRONG_SIZE") for name in THREE]
    assert f"{count:,} parameters" in found[0].message


def test_by_default_that_is_the_full_model(client: PhaseClient, home: Path) -> None:
    found = client.validate({}, inputs=refs("trunk", *THREE), check_inputs=True).violations
    assert {each.reason for each in found} == {"WRONG_SIZE"}
    assert "25,069,534" in found[0].message


@pytest.mark.parametrize("names", [THREE, ("trunk", *THREE)])
def test_what_is_well_is_taken(client: PhaseClient, names: tuple[str, ...]) -> None:
    config = small(base="mean") if "trunk" not in names else small()
    assert not client.validate(config, inputs=refs(*names), check_inputs=True).violations


def test_none_of_it_needed_torch(client: PhaseClient, service: Service, home: Path) -> None:
    assert not client.validate(small(), inputs=refs("trunk", *THREE), check_inputs=True).violations
    assert "libtorch" not in Path(f"/proc/{service.pid}/maps").read_text()


@pytest.mark.parametrize("algorithm", ["cma_es", "genetic", "nsga2"])
def test_a_weight_that_is_no_number_is_named_with_its_model(home: Path, tmp_path: Path, algorithm: str) -> None:
    error = fails(home, tmp_path, ("one", "two", "nan"), algorithm=algorithm)
    assert error.reason == "NOT_FINITE"
    assert error.field == f"inputs.nan: {BROKEN}"
    assert "mine/nan" in error.message


def test_merge_names_the_tensor_and_the_parent_too(home: Path, tmp_path: Path) -> None:
    error = fails(home, tmp_path, ("one", "two", "nan"), **of_merge("linear"))
    assert BROKEN in error.message
    assert "nan" in error.message
    assert "NaN" in error.message


def test_items_that_no_parent_can_read_are_told_before_the_evolution(home: Path, tmp_path: Path) -> None:
    long = {"families": {"recall": [16], "nested": [1]}, "items": 20, "test_items": 20}
    error = fails(home, tmp_path, THREE, evaluation=long)
    assert (error.reason, error.field) == ("SEQUENCE_TOO_LONG", "evaluation.families.recall")
    assert f"the model sees {pico.WINDOW}" in error.message


@pytest.mark.parametrize(
    ("change", "field", "named"),
    [
        ({"embed_tokens": None}, "recipe.given", "embed_tokens"),
        ({"layers.9": [1, 0, 0]}, "recipe.given", "layers.9"),
        ({"layers.0": [1, 0]}, "recipe.given.layers.0", "2 weights for 3 models"),
        ({"layers.0": [1, 0, 0, 0]}, "recipe.given.layers.0", "4 weights for 3 models"),
    ],
)
def test_recipes_of_other_models(
    home: Path, tmp_path: Path, change: dict[str, list[float] | None], field: str, named: str
) -> None:
    groups = groups_of(load_file(home / "mine" / "one" / "model.safetensors"))
    recipe = {group: [1, 0, 0] for group in groups} | change
    given = {group: weights for group, weights in recipe.items() if weights is not None}
    error = fails(home, tmp_path, THREE, recipe={"given": given})
    assert (error.reason, error.field) == ("WRONG_RECIPE", field)
    assert named in error.message


def fails(home: Path, tmp_path: Path, names: tuple[str, ...], **changes: Any) -> ForgeError:
    """On a volume of its own; no checkpoint is made, and no output."""
    own = tmp_path / "home"
    own.mkdir()
    (own / "mine").mkdir()
    for name in (*names, "trunk"):
        copy = own / "mine" / name
        copy.mkdir()
        for file in (home / "mine" / name).iterdir():
            (copy / file.name).hardlink_to(file)
    needs_trunk = changes.get("algorithm") != "merge"
    run = ask(own, "bad", given(own, *names, trunk="trunk" if needs_trunk else ""), **changes)
    with pytest.raises(ForgeError) as caught:
        run.go()
    assert not run.output.exists()
    assert not list(run.run.checkpoints_path.glob("step-*"))
    return caught.value
