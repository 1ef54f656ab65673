"""Measures for `adapters`: a Llama and adapters made on the spot, merged here and by PEFT alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, cast

import peft
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from agentforge.data.generate import ItemStream
from agentforge.data.splits import Split
from agentforge.data.tasks import FAMILIES
from agentforge.data.tokenizer import train_tokenizer
from agentforge.kit.rng import Rng
from agentforge.phase6_baking.adapters.merge import merged, write
from agentforge.phase6_baking.configs.adapters import AdaptersConfig, Method
from agentforge.train.loading import load_model

WEIGHTS, DENSITY = (0.8, 0.6), 0.6
NEW = 16  # tokens generated
_SHAPE: dict[str, Any] = {
    "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 352,
    "num_hidden_layers": 6, "max_position_embeddings": 128, "tie_word_embeddings": True,
}  # fmt: skip
_ALONE = """
import sys
sys.modules["peft"] = None  # any import of it fails
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
AutoTokenizer.from_pretrained(sys.argv[1])
ids = torch.tensor([[int(each) for each in sys.argv[2].split()]])
print(*model.generate(input_ids=ids, max_new_tokens=int(sys.argv[3]), do_sample=False)[0].tolist())
"""


def measured(method: str | None, seed: int) -> dict[str, Any]:
    """`method` None: of one adapter."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        return _measured(Path(scratch), method, seed)


@torch.no_grad()
def _measured(place: Path, method: str | None, seed: int) -> dict[str, Any]:
    base = _base(place / "base", seed)
    given = [_adapter(base, place / f"adapter-{number}", seed, number) for number in range(2 if method else 1)]
    config = AdaptersConfig()
    if method:
        config = AdaptersConfig(method=cast(Method, method), weights=list(WEIGHTS), density=DENSITY)
    loaded = load_model(base)
    model = merged(loaded.model, given, config, seed)
    (place / "out").mkdir()
    write(place / "out", loaded, model)
    theirs = _theirs(base, given, config if method else None, seed)
    ids_BT = torch.randint(0, model.config.vocab_size, (8, 64), generator=Rng(seed, "standing/ids").torch())
    unmerged, saved = theirs(input_ids=ids_BT).logits, load_model(place / "out").model
    plain = load_model(base).model
    own, changed = saved.state_dict(), (unmerged - plain(input_ids=ids_BT).logits).abs().max()
    found = {
        "difference": float((saved(input_ids=ids_BT).logits - unmerged).abs().max()), "changed": float(changed),
        "logits": unmerged.numel(), "from_sum": _from_sum(theirs, len(given)) if method else 0.0,
    }  # fmt: skip
    expected = theirs.merge_and_unload().state_dict()
    if own.keys() != expected.keys():
        raise AssertionError(f"tensors differ: {own.keys() ^ expected.keys()}")
    alike = [
        torch.equal(own[name], tensor) and own[name].dtype == tensor.dtype for name, tensor in expected.items()
    ]
    ids, said = (
        ids_BT[0, :8].tolist(),
        model.generate(input_ids=ids_BT[:1, :8], max_new_tokens=NEW, do_sample=False),
    )
    return {
        **found, "equal": sum(alike) / len(alike), "tensors": len(alike),
        "alone": float(_alone(place / "out", ids) == said[0].tolist()),
    }  # fmt: skip


def _base(place: Path, seed: int) -> Path:
    streams = [ItemStream(name, Split.TRAIN, 0) for name in FAMILIES]
    tokenizer = train_tokenizer((item.text for each in streams for item in islice(each, 200)), 512)
    torch.manual_seed(seed)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **_SHAPE)).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def _adapter(base: Path, place: Path, seed: int, number: int) -> Path:
    """All of its factors are drawn: it changes every matrix, about as much as a training does."""
    settings = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model: Any = peft.get_peft_model(load_model(base).model, settings)
    dice = Rng(seed, "standing/adapter", number).torch()
    for name, tensor in sorted(model.named_parameters()):
        if "lora_" in name:
            tensor.copy_(torch.randn(tensor.shape, generator=dice) * 0.03)
    model.save_pretrained(place)
    return place


def _theirs(base: Path, given: Sequence[Path], config: AdaptersConfig | None, seed: int) -> Any:
    """By PEFT's own documented calls, nothing of ours between."""
    loader: Any = AutoModelForCausalLM
    model: Any = peft.PeftModel.from_pretrained(loader.from_pretrained(base), given[0], adapter_name="first")
    if config is not None:
        model.load_adapter(given[1], adapter_name="second")
        torch.manual_seed(Rng(seed, "baking/adapters").seed)
        model.add_weighted_adapter(
            ["first", "second"],
            list(config.weights),
            "both",
            combination_type=config.method,
            density=config.density,
        )
        model.set_adapter("both")
    return model.eval()


def _from_sum(theirs: Any, count: int) -> float:
    """Of all layers together: what the combined adapter adds, against the weighted sum of what each adds."""
    names, apart, whole = ("first", "second")[:count], 0.0, 0.0
    lora: Any = peft.tuners.lora.LoraLayer
    for layer in (each for each in theirs.modules() if isinstance(each, lora)):
        deltas = [w * layer.get_delta_weight(name) for w, name in zip(WEIGHTS, names, strict=True)]
        sum_OI = torch.stack(deltas).sum(0)
        apart += float((layer.get_delta_weight("both") - sum_OI).square().sum())
        whole += float(sum_OI.square().sum())
    return float((apart / whole) ** 0.5)


def _alone(directory: Path, ids: Sequence[int]) -> list[int]:
    arguments = [sys.executable, "-c", _ALONE, str(directory), " ".join(map(str, ids)), str(NEW)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return [int(each) for each in done.stdout.splitlines()[-1].split()]
