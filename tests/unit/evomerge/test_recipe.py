"""mergekit's YAML, read as what it means there; what we would do otherwise is refused by name of the field."""

from pathlib import Path

import pytest

from agentforge.kit.errors import ForgeError
from agentforge.phase2_evomerge.streaming.merge import MergeRequest
from agentforge.phase2_evomerge.streaming.recipe import read_recipe

MODELS = "models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 0.5}}]\n"


def read(tmp_path: Path, text: str) -> MergeRequest:
    for name in "abc":
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "recipe.yml").write_text(text)
    return read_recipe(tmp_path / "recipe.yml", tmp_path / "out")


def test_linear(tmp_path: Path) -> None:
    found = read(tmp_path, f"merge_method: linear\ndtype: bfloat16\nparameters: {{normalize: false}}\n{MODELS}")
    assert found.method == "linear"
    assert found.models == (tmp_path / "a", tmp_path / "b")
    assert found.options == {"normalize": False, "weights": [1, 0.5]}
    assert (found.base, found.dtype) == (None, "bfloat16")


def test_slerp_starts_from_the_base_wherever_it_is_listed(tmp_path: Path) -> None:
    text = "merge_method: slerp\nbase_model: b\nparameters: {t: 0.3}\nmodels: [{model: a}, {model: b}]"
    found = read(tmp_path, text)
    assert found.models == (tmp_path / "b", tmp_path / "a")
    assert (found.options, found.base) == ({"t": 0.3}, None)


def test_ties_and_dare_have_their_defaults_there(tmp_path: Path) -> None:
    text = f"base_model: c\nparameters: {{density: 0.25, lambda: 0.5}}\n{MODELS}"
    ties = read(tmp_path, f"merge_method: ties\n{text}")
    assert ties.options == {"density": 0.25, "lam": 0.5, "weights": [1, 0.5]}
    assert ties.base == tmp_path / "c"
    dare = read(tmp_path, f"merge_method: dare_ties\n{text}")
    assert dare.method == "dare"
    theirs = {"weights": [1, 0.5], "normalize": False, "rescale": "norm"}
    assert dare.options == {"drop": 0.75, "lam": 0.5, "elect_signs": True, **theirs}
    plain = read(tmp_path, f"merge_method: dare_ties\n{text.replace('lambda', 'rescale: false, lambda')}")
    assert plain.options["lam"] == 0.125
    assert "rescale" not in plain.options
    whole = read(tmp_path, f"merge_method: dare_linear\nbase_model: c\n{MODELS}")
    assert whole.options == {"drop": 0.0, **theirs}


def test_a_base_that_is_listed_too_is_no_parent(tmp_path: Path) -> None:
    found = read(tmp_path, f"merge_method: task_arithmetic\nbase_model: a\n{MODELS}")
    assert found.models == (tmp_path / "b",)
    assert found.options == {"weights": [0.5]}


@pytest.mark.parametrize(
    ("text", "reason", "field"),
    [
        (f"merge_method: della\n{MODELS}", "UNKNOWN_METHOD", "merge_method"),
        ("merge_method: linear\nslices: []", "UNSUPPORTED_FIELD", "slices"),
        (f"merge_method: linear\ntokenizer_source: union\n{MODELS}", "UNSUPPORTED_FIELD", "tokenizer_source"),
        (f"merge_method: ties\nbase_model: c\nparameters: {{int8_mask: true}}\n{MODELS}", "UNSUPPORTED_FIELD",
         "parameters.int8_mask"),
        ("merge_method: ties\nbase_model: c\nmodels: [{model: a, parameters: {density: .2}}, {model: b}]",
         "BAD_RECIPE", "models[1].parameters.density"),
        ("merge_method: linear\nmodels: [{model: a, parameters: {weight: [0, 1]}}]", "BAD_RECIPE",
         "models[0].parameters.weight"),
        ("merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b}]", "BAD_RECIPE",
         "models[1].parameters.weight"),
        ("merge_method: linear\nmodels: [{model: org/name}]", "MODEL_NOT_FOUND", "models[0].model"),
        ("merge_method: linear", "BAD_RECIPE", "models"),
        ("merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]", "BAD_RECIPE", "parameters.t"),
        ("merge_method: slerp\nparameters: {t: 1}\nmodels: [{model: a}, {model: b}]", "BAD_RECIPE", "base_model"),
        ("[not, a, recipe]", "BAD_RECIPE", "recipe.yml"),
        ("{", "BAD_RECIPE", "recipe.yml"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, text: str, reason: str, field: str) -> None:
    with pytest.raises(ForgeError) as caught:
        read(tmp_path, text)
    assert caught.value.reason == reason
    assert caught.value.field.endswith(field)
