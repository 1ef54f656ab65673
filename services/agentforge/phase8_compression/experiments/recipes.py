"""One model, stored by one recipe after the other, read back and asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from agentforge.codecs.model import load_compressed
from agentforge.data.codec import Codec
from agentforge.data.splits import Split
from agentforge.kit.config import validate_config
from agentforge.models.ternary.linear import frozen
from agentforge.phase8_compression.config import CompressionConfig
from agentforge.phase8_compression.configs.space import CodecName
from agentforge.phase8_compression.start import Start
from agentforge.phase8_compression.workshop import Workshop
from agentforge.phase8_compression.worth import families, worth_of
from agentforge.train.evaluate import text_bits
from agentforge.train.loading import load_model
from agentforge.train.machine import settled

_FAMILIES = {"arithmetic": [2], "recall": [2, 3, 4], "nested": [1, 2, 3]}
_UNITS = 8


def start_of(directory: Path, seed: int, *, healing: int, tokens: int, test_items: int) -> Start:
    """The tiny preset's families; every codec there is, and the vocabulary that recipes name."""
    codecs = list(get_args(CodecName))
    training = {"steps": healing, "batch": 32, "warmup": 5, "threads": 1}
    config = validate_config(CompressionConfig, {
        "seed": seed, "data": {"families": _FAMILIES, "length": 64},
        "space": {"mlp": [0.75, 0.5], "sparsity": ["0.2", "0.4", "0.6", "2:4"], "vocabulary": [tokens],
                  "embeddings": codecs, "linears": codecs},
        "search": {"trials": 1, "batch": 1}, "healing": training, "final": None,
        "evaluation": {"test_items": test_items},
    })  # fmt: skip
    loaded = load_model(directory)
    return Start(loaded.directory, loaded.model, Codec(loaded.tokenizer), config, training["batch"])


def measured(
    directory: Path, seed: int, recipes: Mapping[str, Mapping[str, Any]], scratch: Path, *,
    healing: int, tokens: int, test_items: int,
) -> dict[str, Any]:  # fmt: skip
    start = start_of(directory, seed, healing=healing, tokens=tokens, test_items=test_items)
    with settled(start.config.machine):
        shop = Workshop(start, scratch)
        return {
            name: _one(shop, number, _genes(shop, recipe)) for number, (name, recipe) in enumerate(recipes.items())
        }


def _genes(shop: Workshop, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A share of units stands for their number."""
    genes = {**shop.space.unsearched, **recipe}
    if isinstance(genes.get("mlp_units"), float):
        whole = int(shop.space.choices["mlp_units"][0])
        genes["mlp_units"] = math.ceil(genes["mlp_units"] * whole / _UNITS) * _UNITS
    unknown = {gene: value for gene, value in genes.items() if value not in shop.space.choices.get(gene, (value,))}
    assert not unknown, unknown
    return genes


def _one(shop: Workshop, number: int, genes: dict[str, Any]) -> dict[str, Any]:
    made = shop.made(number, genes)
    place = shop.place(number)
    size = shop.store(made, place)
    return asked(shop.start, load_compressed(place), made.words.codec, size)


def asked(start: Start, model: Any, codec: Codec, size: int) -> dict[str, Any]:
    """On the test split."""
    batch = start.config.evaluation.batch
    items = start.items(Split.TEST, start.config.evaluation.test_items)
    worth = worth_of(model, codec, items, size, batch)
    by_family = families(items, worth.right)
    with frozen(model):
        bits = text_bits(model, codec, [item.text for item in items], name="bits", length=64, batch=batch)
    return {
        "bytes": size, "accuracy": sum(by_family.values()) / len(by_family), "families": by_family,
        "nats": worth.nats, "bits_per_byte": bits.value,
        "float32_bytes": 4 * sum(each.numel() for each in start.model.parameters()),
    }  # fmt: skip
