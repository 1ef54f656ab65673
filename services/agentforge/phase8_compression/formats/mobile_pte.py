"""ExecuTorch: one .pte with the methods prefill and decode, its products on XNNPACK."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentforge.kit.errors import FailedPrecondition, Violation
from agentforge.phase8_compression.formats.face import Described, Format, Made, Options
from agentforge.phase8_compression.formats.graphs import cannot_export

if TYPE_CHECKING:
    from agentforge.data.codec import Codec
    from agentforge.data.items import Item

FILE = "model.pte"


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from agentforge.phase8_compression.formats.mobile import GRAPH, TOKENIZER, example, flat, lossless

    module = flat(model, codec, options.context, directory)
    times = {"prefill": module.facts.piece, "decode": 1}
    try:
        with torch.no_grad():
            programs = {
                name: torch.export.export(module, example(module.facts, time), strict=False)
                for name, time in times.items()
            }
        lowered = to_edge_transform_and_lower(programs, partitioner=[XnnpackPartitioner()])
        data = lowered.to_executorch().buffer
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        message = f"ExecuTorch cannot take this {type(model).__name__}: {str(error).strip().splitlines()[0]}"
        step = "Leave the format mobile_pte out."
        raise FailedPrecondition(message, reason="CANNOT_EXPORT", field="mobile_pte", next_step=step) from error
    (directory / FILE).write_bytes(data)
    return Made(directory, (FILE, GRAPH, TOKENIZER), {FILE: lossless(model)}, {"tokens": times})


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    """One by one: the file takes one row."""
    from executorch.runtime import Runtime

    from agentforge.edge.asking import answers as asked
    from agentforge.edge.profiles import facts_of
    from agentforge.phase8_compression.formats.mobile import GRAPH, engine

    program = Runtime.get().load_program(str(made.path(FILE)))
    methods = {name: _method(program.load_method(name)) for name in made.told["tokens"]}
    facts = facts_of(json.loads(made.path(GRAPH).read_bytes()))
    return asked(engine(made.directory, FILE, facts, methods), codec, items, batch=1)


def _method(method: Any) -> Callable[[dict[str, Any]], list[Any]]:
    import torch

    def run(given: dict[str, Any]) -> list[Any]:
        found = method.execute([torch.from_numpy(each) for each in given.values()])
        return [each.numpy().copy() for each in found]

    return run


def cannot(described: Described, options: Options) -> list[Violation]:
    return cannot_export("formats.mobile_pte", described)


FORMAT = Format("mobile_pte", (FILE,), True, {"executorch": "executorch"}, make, answers, cannot)
