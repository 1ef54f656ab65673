"""mergekit as oracle: the same numbers to 1e-6 in float32. AGENTFORGE_MERGEKIT names the Python that has it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from agentforge.models import TitanConfig, TitanForCausalLM
from agentforge.phase2_evomerge.methods.dare import mask
from agentforge.phase2_evomerge.streaming.merge import MergeRequest, merge_models

PYTHON = os.environ.get("AGENTFORGE_MERGEKIT", "")
DRIVER = Path(__file__).with_name("drive_mergekit.py")
SEED = 42
DENSITY = 0.25
WEIGHTS = (0.5, 1.0, 0.75)

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not PYTHON, reason="AGENTFORGE_MERGEKIT names no Python that has mergekit"),
]

SIZES = {
    "vocab_size": 96,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
}
KINDS = ("random", "titan", "llama")

# Name: their method, its parameters, density, how many models; our method and its options.
CASES: dict[str, tuple[str, dict[str, Any], float | None, int, str, dict[str, Any]]] = {
    "linear": ("linear", {}, None, 3, "linear", {"weights": WEIGHTS}),
    "linear sum": ("linear", {"normalize": False}, None, 3, "linear", {"weights": WEIGHTS, "normalize": False}),
    "slerp": ("slerp", {"t": 0.3}, None, 2, "slerp", {"t": 0.3}),
    "task arithmetic": (
        "task_arithmetic", {"lambda": 0.5}, None, 3, "task_arithmetic", {"weights": WEIGHTS, "lam": 0.5},
    ),
    "ties": (
        "ties", {"lambda": 0.5}, DENSITY, 3, "ties", {"weights": WEIGHTS, "density": DENSITY, "lam": 0.5},
    ),
    "ties sum": (
        "ties", {"normalize": False}, DENSITY, 3,
        "ties", {"weights": WEIGHTS, "density": DENSITY, "normalize": False},
    ),
    # mergekit rescales to the L1 norm of each tensor; the paper's 1/(1 - p) is a λ where it does not.
    "dare": (
        "dare_linear", {}, DENSITY, 3,
        "dare", {"weights": WEIGHTS, "drop": 1 - DENSITY, "normalize": False, "rescale": "norm"},
    ),
    "dare as in the paper": (
        "dare_linear", {"rescale": False, "lambda": 1 / DENSITY}, DENSITY, 3,
        "dare", {"weights": WEIGHTS, "drop": 1 - DENSITY, "normalize": False},
    ),
    "dare ties": (
        "dare_ties", {}, DENSITY, 3,
        "dare",
        {"weights": WEIGHTS, "drop": 1 - DENSITY, "normalize": False, "elect_signs": True, "rescale": "norm"},
    ),
    "dare ties as in the paper": (
        "dare_ties", {"rescale": False, "lambda": 1 / DENSITY}, DENSITY, 3,
        "dare", {"weights": WEIGHTS, "drop": 1 - DENSITY, "normalize": False, "elect_signs": True},
    ),
}  # fmt: skip


def model(kind: str) -> PreTrainedModel:
    if kind == "titan":
        return TitanForCausalLM(TitanConfig(**SIZES, memory_slots=64, memory_layers=[0], act_rank=3))
    return LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=kind == "llama"))


def make(kind: str, place: Path) -> None:
    """A base and three that went some way from it; "random": independent numbers of many sizes."""
    torch.manual_seed(0)
    made = model(kind)
    trunk = {name: each.clone() for name, each in made.state_dict().items()}
    for number, name in enumerate(("base", "a", "b", "c")):
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for key, parameter in made.named_parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(noise * noise.abs() if kind == "random" else trunk[key] + 0.02 * number * noise)
        made.save_pretrained(place / name)


def masks(place: Path) -> Path:
    """Our mask of each difference, found by its bytes."""
    base = load_file(place / "base/model.safetensors")
    found: dict[str, Tensor] = {}
    for number, name in enumerate("abc"):
        for key, parent in load_file(place / name / "model.safetensors").items():
            digest = hashlib.sha256((parent - base[key]).numpy().tobytes()).hexdigest()
            found[digest] = mask(SEED, key, number, parent, 1 - DENSITY)
    save_file(found, place / "masks.safetensors")
    return place / "masks.safetensors"


def recipe(place: Path, case: str) -> dict[str, Any]:
    method, parameters, density, count, _, _ = CASES[case]
    models = [
        {
            "model": str(place / name),
            "parameters": {"weight": weight} | ({} if density is None else {"density": density}),
        }
        for name, weight in zip("abc"[:count], WEIGHTS, strict=False)
    ]
    described = {"merge_method": method, "models": models, "parameters": parameters, "dtype": "float32"}
    if method == "slerp":
        return {
            **described,
            "models": [{"model": each["model"]} for each in models],
            "base_model": str(place / "a"),
        }
    return described if method == "linear" else {**described, "base_model": str(place / "base")}


@pytest.fixture(scope="module", params=KINDS)
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the models, and what mergekit made of them in every case: one start of it for all."""
    place = tmp_path_factory.mktemp(request.param)
    make(request.param, place)
    ours = str(masks(place))
    jobs = [
        {
            "recipe": recipe(place, case),
            "out": str(place / f"theirs {case}"),
            "masks": ours if case.startswith("dare") else "",
        }
        for case in CASES
    ]
    (place / "jobs.json").write_text(json.dumps(jobs))
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(place / "hf"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [PYTHON, str(DRIVER), str(place / "jobs.json")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return place


def difference(place: Path, case: str) -> float:
    """The largest one of any number, relative to the largest number of its tensor where that is above 1."""
    _, _, _, count, method, options = CASES[case]
    base = place / "base" if method not in ("linear", "slerp") else None
    models = tuple(place / name for name in "abc"[:count])
    out = place / f"ours {case}"
    merge_models(MergeRequest(method, models, out, base=base, options=options, seed=SEED))
    ours, theirs = (load_file(each / "model.safetensors") for each in (out, place / f"theirs {case}"))
    assert set(ours) == set(theirs)
    return max(
        float((ours[name] - theirs[name]).abs().max() / max(1.0, float(theirs[name].abs().max()))) for name in ours
    )


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_mergekits(merged: Path, case: str) -> None:
    found = difference(merged, case)
    print(f"{merged.name}, {case}: {found:.2e}")
    assert found <= 1e-6
