"""Functions of fixed sizes, as mobile files hold them: filled up with what nothing sees, they answer the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from agentforge.edge.asking import answers
from agentforge.phase8_compression.formats import FORMATS, Options, agreement, agreements
from agentforge.phase8_compression.formats.mobile import Flat, engine, example, flat
from tests.unit.compression_formats import models


@pytest.mark.parametrize("model", ["packed memory", "llama"])
def test_fixed_sizes_give_the_models_answers(model: str, tmp_path: Path) -> None:
    module = flat(models.model(model), models.codec(), models.CONTEXT, tmp_path)
    assert [each.shape for each in example(module.facts, 1)][:2] == [(1, 1), (1, 1)]
    seen: set[int] = set()
    methods = {
        name: _checked(module, time, seen) for name, time in (("prefill", module.facts.piece), ("decode", 1))
    }
    found = answers(engine(tmp_path, "here", module.facts, methods), models.codec(), models.items(), batch=1)
    assert agreement(found, models.said(model)) == 1.0
    assert seen == {1, module.facts.piece}


def _checked(module: Flat, time: int, seen: set[int]) -> Callable[[dict[str, Any]], list[Any]]:
    """Runs the module itself, and holds the sizes that a file would be made of."""
    wanted = [each.shape for each in example(module.facts, time)]

    def run(given: dict[str, Any]) -> list[Any]:
        assert [each.shape for each in given.values()] == wanted
        seen.add(given["input_ids"].shape[1])
        with torch.no_grad():
            return [each.numpy() for each in module(*map(torch.from_numpy, given.values()))]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("model", ["titan", "llama"])
@pytest.mark.parametrize(("form", "package"), [("mobile_pte", "executorch"), ("mobile_tflite", "litert_torch")])
def test_the_runtime_of_phones_answers_as_pytorch_does(form: str, package: str, model: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"needs the package {package}, an extra of its own")
    asked = Options(context=models.CONTEXT, threads=1)
    made = FORMATS[form].make(models.model(model), models.codec(), tmp_path, asked)
    found = agreements(FORMATS[form], made, models.codec(), models.items(), models.said(model), batch=1)
    assert found == dict.fromkeys(made.runs, 1.0)
