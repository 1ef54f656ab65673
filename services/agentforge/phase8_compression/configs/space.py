"""What a candidate may have less of, and by which codecs it is stored. Free of torch: a service validates it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import Field

from agentforge.codecs.spec import Spec
from agentforge.kit.config import StrictModel

Share = Annotated[float, Field(gt=0, lt=1)]
CodecName = Literal[
    "float32", "float16", "grid8", "grid4", "grid3", "grid2", "hqq4", "hqq3", "hqq2", "gptq4", "gptq3", "gptq2",
    "vptq4", "vptq2", "vptq1", "seedlm4", "seedlm3", "hyper8", "hyper4",
]  # fmt: skip
Strategy = Literal["hybrid", "quantisation", "pruning", "distillation", "progressive", "seeds"]
SPECS: Mapping[CodecName, Spec] = {
    "float32": Spec("float", {"bits": 32}),
    "float16": Spec("float", {"bits": 16}),
    **{f"grid{bits}": Spec("grid", {"bits": bits, "fit": "mse"}) for bits in (8, 4, 3, 2)},  # type: ignore[misc]
    **{f"hqq{bits}": Spec("grid", {"bits": bits, "fit": "hqq", "zero": 1}) for bits in (4, 3, 2)},  # type: ignore[misc]
    **{f"gptq{bits}": Spec("grid", {"bits": bits, "fit": "gptq"}) for bits in (4, 3, 2)},  # type: ignore[misc]
    "vptq4": Spec("vptq", {"vector": 2}),
    "vptq2": Spec("vptq", {"vector": 4}),
    "vptq1": Spec("vptq", {"vector": 8}),
    "seedlm4": Spec("seedlm", {"width": 16, "block": 8, "rank": 3}),
    "seedlm3": Spec("seedlm", {"width": 8, "block": 8, "rank": 3}),
    "hyper8": Spec("hyper", {"group": 2, "bits": 16}),
    "hyper4": Spec("hyper", {"group": 2, "bits": 8}),
}
NEED_GRAMS = frozenset(name for name, spec in SPECS.items() if spec.settings.get("fit") == "gptq")
assert set(SPECS) == set(get_args(CodecName)), "every name has its codec"


class SpaceConfig(StrictModel):
    """Choices besides the model as it came. A gene that the model does not have is not searched."""

    layers: float = Field(1.0, gt=0, le=1, description="Least share of layers kept; 1: all of them.")
    mlp: list[Share] = Field([0.75, 0.5], description="Shares of MLP units kept.")
    heads: list[Share] = Field([], description="Shares of attention heads kept; a Titan keeps all of its heads.")
    sparsity: list[Literal["2:4", "0.2", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]] = Field(
        ["0.2", "0.4", "0.6"], description="Zeros: two of four in a row, or this share of a matrix."
    )
    vocabulary: list[int] = Field(
        [], description="Tokens kept, besides all: bytes, special tokens, and those that save most."
    )
    embeddings: list[CodecName] = Field(
        ["float16", "grid8", "grid4", "grid3"], description="Of embeddings and head."
    )
    linears: list[CodecName] = Field(
        ["float16", "grid8", "grid4", "gptq4", "gptq3"],
        description="Of plain matrices of layers; ternary ones are stored by their codes, always.",
    )
    rest: list[Literal["float32", "float16"]] = Field(["float16"], description="Of norms, gates and all else.")
