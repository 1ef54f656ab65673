"""The full preset's three specialists: parameters counted in the tensors, bytes on disk, saved and loaded again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.config import validate_config
from agentforge.kit.evidence import Row, Trial, at_most, exactly
from agentforge.kit.manifest import manifest, tree_digest
from agentforge.kit.phase import load_pipeline
from agentforge.phase1_cognate.config import SPECIALISTS, CognateConfig

PARAMETERS = 25_069_534  # the seeds' figure


def trials() -> list[Trial]:
    return [Trial(name, {"specialist": name}) for name in SPECIALISTS]


def measure(specialist: str) -> dict[str, Any]:
    import torch

    from agentforge.models import TitanConfig, TitanForCausalLM

    config = validate_config(CognateConfig, load_pipeline().preset("full", "cognate"))
    branch = config.specialists[specialist]
    fields = config.model.fields | {"act_threshold": branch.act_threshold, "memory_slots": branch.memory_slots}
    torch.manual_seed(branch.seed)
    model = TitanForCausalLM(TitanConfig.preset(config.model.size, vocab_size=config.data.vocabulary, **fields))
    shapes = {name: list(tensor.shape) for name, tensor in model.named_parameters()}  # tied tensors once
    with TemporaryDirectory(prefix="af-size-") as scratch:
        first, second = Path(scratch, "first"), Path(scratch, "second")
        model.save_pretrained(first)
        TitanForCausalLM.from_pretrained(first).save_pretrained(second)
        return {
            "parameters": sum(torch.Size(shape).numel() for shape in shapes.values()),
            "shapes": shapes,
            "memory_slots": branch.memory_slots,
            "act_threshold": branch.act_threshold,
            "file_bytes": (first / "model.safetensors").stat().st_size,
            "saved": tree_digest(manifest(first)),
            "saved_again": tree_digest(manifest(second)),
        }


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = list(results.values())
    slots = ", ".join(f"{result['memory_slots']:,}" for result in every)
    thresholds = ", ".join(f"{result['act_threshold']:g}" for result in every)
    counts = [float(result["parameters"]) for result in every]
    sizes = [result["file_bytes"] / 2**20 for result in every]
    alike = [float(result["shapes"] == every[0]["shapes"]) for result in every]
    same = [float(result["saved"] == result["saved_again"]) for result in every]
    return [
        exactly(
            "The full model has 25,069,534 parameters in each of the three specialists", PARAMETERS, counts, "1",
            theirs=True, method=f"counted in the tensors, tied ones once; {slots} memory slots, which are state",
        ),
        exactly(
            "The specialists differ in no tensor's shape, so that they can be merged", 1, alike, "1",
            method=f"names and shapes against the first's; halting at {thresholds}",
        ),
        at_most(
            "Each specialist is a file of 95 to 100 MB in fp32", 100, sizes, "MiB",
            theirs=True, method=f"model.safetensors; in units of 10^6 bytes {max(sizes) * 2**20 / 1e6:.1f}",
        ),
        exactly(
            "Saved, loaded and saved again it is the same to the byte", 1, same, "1",
            method="SHA-256 over all files of the directory, before and after",
        ),
    ]  # fmt: skip
