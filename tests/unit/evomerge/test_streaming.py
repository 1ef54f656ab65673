"""Merging directories: to the bit what the methods make of loaded models, whatever the files look like."""

import json
from pathlib import Path

import pytest
import torch

from agentforge.phase2_evomerge.methods import METHODS, method
from agentforge.phase2_evomerge.streaming.merge import MergeRequest, merge_models
from tests.unit.evomerge.directories import contents, load, save, save_sharded, weights
from tests.unit.evomerge.tensors import same_bits, sources

NAMES = ("linear", "slerp", "ties", "dare", "task_arithmetic")


def request(tmp_path: Path, name: str, *models: Path, out: str = "out", **others: object) -> MergeRequest:
    base = tmp_path / "base" if METHODS[name].needs_base else None
    return MergeRequest(name, models, tmp_path / out, base=base, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_result_is_that_of_loaded_models_to_the_bit(
    tmp_path: Path, name: str, sharded: bool, dtype: torch.dtype
) -> None:
    tensors = [
        {key: each.to(dtype) if each.is_floating_point() else each for key, each in weights(seed).items()}
        for seed in range(4)
    ]
    write = save_sharded if sharded else save
    _, *models = [
        write(tmp_path / place, each) for place, each in zip(("base", "a", "b", "c"), tensors, strict=True)
    ]
    report = merge_models(request(tmp_path, name, *models, seed=7))
    merged = load(report.out)
    assert set(merged) == set(tensors[0])
    for key in merged:
        if key == "table":
            assert torch.equal(merged[key], tensors[0][key])
            continue
        start, *parents = (each[key].float() for each in tensors)
        expected = method(name).merge(sources(*parents, base=start, name=key, seed=7), METHODS[name].Options())
        assert merged[key].dtype == dtype
        assert same_bits(merged[key].float(), expected.to(dtype).float()), key
    assert report.tensors == len(merged)


def test_the_threads_of_torch_change_nothing_and_are_as_before(tmp_path: Path) -> None:
    save(tmp_path / "base", weights(0))
    models = [save(tmp_path / name, weights(seed)) for seed, name in enumerate("ab", 1)]
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(contents(merge_models(request(tmp_path, "ties", *models, out=f"o{threads}")).out))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NAMES)
def test_one_model_twice_is_that_model(tmp_path: Path, name: str) -> None:
    base = save(tmp_path / "base", weights(0))
    merged = load(merge_models(request(tmp_path, name, base, base)).out)
    torch.testing.assert_close(merged, weights(0), atol=1e-6, rtol=1e-6)


def test_large_outputs_are_sharded_with_an_index_and_hold_the_same(tmp_path: Path) -> None:
    models = [save(tmp_path / name, weights(seed)) for seed, name in enumerate("ab")]
    whole = load(merge_models(request(tmp_path, "linear", *models)).out)
    out = merge_models(request(tmp_path, "linear", *models, out="o", max_shard_bytes=60)).out
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(whole)
    assert {each.name for each in out.glob("*.safetensors")} == set(index["weight_map"].values())
    assert len(set(index["weight_map"].values())) > 1
    assert all(same_bits(load(out)[key].float(), whole[key].float()) for key in whole)
    again = merge_models(request(tmp_path, "linear", out, out, out="p")).out
    assert (again / "model.safetensors").is_file()


def test_dtype_is_that_asked_for_also_in_the_config(tmp_path: Path) -> None:
    one = save(tmp_path / "a", weights(0), torch_dtype="float32", _name_or_path="/somewhere")
    two = save(tmp_path / "b", {k: v.half() if v.is_floating_point() else v for k, v in weights(1).items()})
    out = merge_models(request(tmp_path, "linear", one, two, dtype="bfloat16")).out
    config = json.loads((out / "config.json").read_text())
    assert config["dtype"] == config["torch_dtype"] == "bfloat16"
    assert "_name_or_path" not in config
    merged = load(out)
    assert merged["embed.weight"].dtype == torch.bfloat16
    assert merged["table"].dtype == torch.int64


def test_the_record_names_models_and_digests_and_no_place(tmp_path: Path) -> None:
    save(tmp_path / "base", weights(0))
    models = [save(tmp_path / name, weights(seed)) for seed, name in enumerate("ab", 1)]
    out = merge_models(request(tmp_path, "dare", *models, options={"drop": 0.5}, seed=3)).out
    record = json.loads((out / "merge.json").read_text())
    assert record["options"]["drop"] == 0.5
    assert (record["method"], record["seed"], record["base"]["name"]) == ("dare", 3, "base")
    assert [each["name"] for each in record["models"]] == ["a", "b"]
    assert len(record["models"][0]["files"]["model.safetensors"]) == 64
    assert str(tmp_path) not in "".join(each.read_text() for each in (out / "merge.json", out / "README.md"))
    assert (out / "model.safetensors").stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    return int(Path("/proc/self/status").read_text().partition("Umask:")[2].split()[0], 8)
