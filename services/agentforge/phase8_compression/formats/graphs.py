"""What the two ONNX formats share: the export of a model, a folder that onnxruntime runs, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import InvalidInput, Violation
from agentforge.phase8_compression.formats.face import Described, Made

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item
    from agentforge.edge.graph.export import Exported

GRAPH, TOKENIZER = "graph.json", "tokenizer.json"


def exported(model: Any, codec: Codec, context: int | None = None) -> Exported:
    from agentforge.edge.graph.export import export

    return export(model, bos=codec.lead[0] if codec.lead else None, eos=codec.eos, context=context)


def beside(directory: Path, made: Exported, codec: Codec) -> None:
    """What a runtime must know of the state, and the tokenizer."""
    (directory / GRAPH).write_bytes(canonical_json(made.facts.record))
    codec.tokenizer.backend_tokenizer.save(str(directory / TOKENIZER))


def answered(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str, threads: int) -> list[str]:
    """By onnxruntime. `file`: empty for the main one."""
    from agentforge.edge.asking import answers, engine_of
    from agentforge.edge.device.runtime.errors import ContextFull

    name = file or next(iter(made.runs))
    try:
        return answers(engine_of(made.path(name), threads), codec, items, batch=batch)
    except ContextFull as error:
        step = "Ask for a longer context."
        raise InvalidInput(f"{name}: {error}", reason="CONTEXT_FULL", field="context", next_step=step) from error


def cannot_export(where: str, described: Described) -> list[Violation]:
    """A memory that forgets at random."""
    if described.get("memory") and described.get("memory_write") == "random":
        message = "memory_write is random: a runtime elsewhere cannot draw the same numbers"
        step = "Take a model with surprise_novelty or fifo, or leave the format out."
        return [Violation(where, message, "CANNOT_EXPORT", step)]
    return []
