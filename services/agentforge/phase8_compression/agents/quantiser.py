"""QuantizationAgent: by which codec each tensor of a candidate is stored, and what second-order ways must know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentforge.codecs.spec import Spec
from agentforge.data.codec import Codec
from agentforge.data.splits import Split
from agentforge.models.ternary.linear import ternary_layers
from agentforge.phase8_compression.configs.space import NEED_GRAMS, SPECS
from agentforge.phase8_compression.recipe import IN_EMBEDDINGS, IN_LINEARS, IN_REST
from agentforge.phase8_compression.start import Start
from agentforge.shrink.anatomy import EMBEDDINGS, anatomy, matrices
from agentforge.shrink.asking import Genes
from agentforge.shrink.grams import grams
from agentforge.shrink.masks import Zeros
from agentforge.shrink.qat import Rounded
from agentforge.train.parts import Part
from agentforge.train.state import own_tensors

_AS_IT_CAME = "float32"
_FEW_BITS = 8  # 8 bits lose nothing that a training could win back


def plan_of(model: Any, genes: Genes) -> dict[str, Spec]:
    """By tensor; ternary weights are not in it, since their codes are what they are. Scales and buffers of whole
    numbers stay exact whatever the gene says: the file keeps them as they are."""
    ternary = {f"{name}.weight" for name in ternary_layers(model)}
    found = {name: _spec(genes, IN_REST) for name in own_tensors(model) if name not in ternary}
    for group, names in matrices(model, anatomy(model)).items():
        gene = IN_EMBEDDINGS if group == EMBEDDINGS else IN_LINEARS
        found |= dict.fromkeys(names, _spec(genes, gene))
    return found


def learnable(plan: Mapping[str, Spec]) -> dict[str, Spec]:
    """The same plan, of grids that a training can go through: rounding twice must be rounding once."""
    return {name: _learnable(spec) for name, spec in plan.items()}


def kept_through_training(model: Any, plan: Mapping[str, Spec], zeros: Zeros) -> dict[str, Part]:
    """`plan`: learnable. What is rounded holds its own zeros: a cut latent must not set a group's scale."""
    grids = {name: spec for name, spec in plan.items() if spec.settings.get("fit") == "max"}
    others = {name: mask for name, mask in zeros.kept.items() if name not in grids}
    return {"zeros": Zeros(model, others), "rounding": Rounded(model, grids, kept=zeros.kept)}


def grams_for(start: Start, model: Any, codec: Codec, plan: Mapping[str, Spec]) -> dict[str, Any]:
    """Of the inputs of those matrices whose codec asks for them, over calibration items."""
    second_order = {str(SPECS[name]) for name in NEED_GRAMS}
    names = [name for name, spec in plan.items() if str(spec) in second_order]
    if not names:
        return {}
    items = start.items(Split.CALIBRATION, start.config.search.calibration)
    return grams(model, codec, items, names, batch=start.config.evaluation.batch)


def bits_told(genes: Genes, model: Any) -> float:
    """compression/quantization_bits: of the matrices in layers; 1.58 where they are ternary."""
    if ternary_layers(model) and IN_LINEARS not in genes:
        return 1.58
    spec = _spec(genes, IN_LINEARS)
    return float(spec.settings.get("bits", 32))


def _learnable(spec: Spec) -> Spec:
    fits = spec.codec == "grid" and int(spec.settings["bits"]) < _FEW_BITS
    return Spec("grid", {"bits": spec.settings["bits"], "fit": "max"}) if fits else spec


def _spec(genes: Genes, gene: str) -> Spec:
    return SPECS[str(genes.get(gene, _AS_IT_CAME))]  # type: ignore[index]
