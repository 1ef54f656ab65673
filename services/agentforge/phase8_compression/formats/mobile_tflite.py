"""LiteRT: one .tflite with the signatures prefill and decode."""

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

FILE = "model.tflite"


def make(model: Any, codec: Codec, directory: Path, options: Options) -> Made:
    import litert_torch

    from agentforge.phase8_compression.formats.mobile import GRAPH, TOKENIZER, example, flat, lossless

    module = flat(model, codec, options.context, directory)
    times = {"prefill": module.facts.piece, "decode": 1}
    try:
        made = litert_torch
        for name, time in times.items():
            made = made.signature(name, module, example(module.facts, time))
        made.convert().export(str(directory / FILE))
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        message = f"LiteRT cannot take this {type(model).__name__}: {str(error).strip().splitlines()[0]}"
        step = "Leave the format mobile_tflite out."
        raise FailedPrecondition(message, reason="CANNOT_EXPORT", field="mobile_tflite", next_step=step) from error
    return Made(
        directory, (FILE, GRAPH, TOKENIZER), {FILE: lossless(model)}, {"tokens": times, "threads": options.threads}
    )


def answers(made: Made, codec: Codec, items: Sequence[Item], *, batch: int, file: str = "") -> list[str]:
    """One by one: the file takes one row."""
    from ai_edge_litert.interpreter import Interpreter

    from agentforge.edge.asking import answers as asked
    from agentforge.edge.profiles import facts_of
    from agentforge.phase8_compression.formats.mobile import GRAPH, engine

    interpreter = Interpreter(model_path=str(made.path(FILE)), num_threads=made.told["threads"] or None)
    methods = {name: _method(interpreter.get_signature_runner(name)) for name in made.told["tokens"]}
    facts = facts_of(json.loads(made.path(GRAPH).read_bytes()))
    return asked(engine(made.directory, FILE, facts, methods), codec, items, batch=1)


def _method(runner: Any) -> Callable[[dict[str, Any]], list[Any]]:
    wanted = runner.get_input_details()

    def run(given: dict[str, Any]) -> list[Any]:
        named = {f"args_{place}": array for place, array in enumerate(given.values())}
        found = runner(**{name: array for name, array in named.items() if name in wanted})
        return [found[f"output_{place}"] for place in range(len(found))]

    return run


def cannot(described: Described, options: Options) -> list[Violation]:
    return cannot_export("formats.mobile_tflite", described)


FORMAT = Format(
    "mobile_tflite", (FILE,), True, {"litert_torch": "litert", "ai_edge_litert": "litert"}, make, answers, cannot
)
