"""`agentforge merge` on a small Titan and a small Llama, loaded again by transformers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from agentforge.cli.app import app
from agentforge.models import TitanConfig, TitanForCausalLM
from tests.unit.cli.program import Program

SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


def make(kind: str, directory: Path, seed: int) -> None:
    torch.manual_seed(seed)
    if kind == "titan":
        titan = TitanForCausalLM(TitanConfig(**SIZES, memory_slots=64, memory_layers=[0], act_rank=3))
        titan.save_pretrained(directory)
    else:
        tied = kind == "llama-tied"
        LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied)).save_pretrained(directory)


@pytest.mark.parametrize("kind", ["titan", "llama", "llama-tied"])
def test_a_merged_model_is_loaded_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    for seed, name in enumerate(("base", "a", "b", "c")):
        make(kind, tmp_path / name, seed)
    models = [tmp_path / name for name in "abc"]
    capsys.readouterr()
    said = ["linear", *models, "--out", tmp_path / "out", "--set", "weights=[2, 1, 1]", "--json"]
    assert app(["merge", *map(str, said)], standalone_mode=False) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(last) == {"out", "method", "seconds", "tensors", "bytes"}
    loaded, found = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    states = [AutoModelForCausalLM.from_pretrained(model).state_dict() for model in models]
    for name, tensor in loaded.state_dict().items():
        one, two, three = (state[name] for state in states)
        torch.testing.assert_close(tensor, one / 2 + two / 4 + three / 4, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        assert loaded(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_a_recipe_is_followed(forge: Program, tmp_path: Path) -> None:
    for seed, name in enumerate(("base", "a", "b")):
        make("titan", tmp_path / name, seed)
    (tmp_path / "r.yml").write_text("merge_method: ties\nbase_model: base\nmodels: [{model: a}, {model: b}]\n")
    done = forge("merge", tmp_path / "r.yml", "--out", tmp_path / "out2", "--dtype", "bfloat16")
    assert done.code == 0, done.err
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out2", dtype="auto").dtype == torch.bfloat16


def test_what_is_wrong_is_told_with_exit_code_2(forge: Program, tmp_path: Path) -> None:
    make("llama", tmp_path / "a", 0)
    out = ("--out", tmp_path / "out")
    for arguments, said in (
        (("lienar", tmp_path / "a"), "Did you mean 'linear'"),
        (("linear", tmp_path / "nowhere"), "nowhere"),
        (("ties", tmp_path / "a"), "--base"),
        (("linear", tmp_path / "a", "--set", "weihgts=[1]"), "Did you mean 'weights'"),
        (("missing.yml",), "missing.yml"),
        (("missing.yml", tmp_path / "a"), "a recipe says it all"),
    ):
        done = forge("merge", *arguments, *out)
        assert done.code == 2, done.err
        assert said in done.err
    assert not (tmp_path / "out").exists()
    refused = forge("merge", "lienar", tmp_path / "a", *out, "--json")
    assert json.loads(refused.err)["error"]["reason"] == "UNKNOWN_METHOD"


def test_it_imports_no_transformers(tmp_path: Path) -> None:
    """Its import would take longer than the merge."""
    make("llama", tmp_path / "a", 0)
    code = f"""
import sys
from agentforge.cli.app import app
app(["merge", "linear", {str(tmp_path / "a")!r}, "--out", {str(tmp_path / "out")!r}], standalone_mode=False)
sys.exit("transformers" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
    assert (tmp_path / "out/model.safetensors").is_file()
