"""Whether the ternary model can be a GGUF file: told before any work, from files and config, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentforge.data.tokenizer import read_backend
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.models.gguf.fits import check_architecture, misfit, norm_misfit
from agentforge.models.gguf.tools import missing
from agentforge.models.gguf.vocabulary import check_tokenizer
from agentforge.phase4_bitnet.config import BitNetConfig

_FIELD = "packing.gguf"


def check_gguf(config: BitNetConfig, directory: Path, described: dict[str, Any], widths: dict[str, int]) -> None:
    """`widths`: inputs of each layer that will be ternary."""
    kind = config.packing.gguf
    if kind is None:
        return
    check_architecture(described)
    check_tokenizer(read_backend(directory))
    group = config.ternary.group
    fits = (misfit(name, width, kind, group=group) for name, width in sorted(widths.items()))
    found = [*missing(_FIELD), *(each for each in fits if each is not None)]
    if config.ternary.norm:
        found.append(norm_misfit("each ternary layer"))
    if config.packing.embeddings == 4:
        message = "embeddings of 4 bits are not written to a GGUF file"
        found.append(Violation(_FIELD, message, "EMBEDDINGS_MISFIT", "Take packing.embeddings 8 or 32."))
    if found:
        raise InvalidInput.of(found)
