"""What the pipeline gives, searched and packed with the tiny preset; and a plain model, packed as it came.

"Trained as long" is the same phase with one candidate, the unsearched architecture, and the same longer healing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, exactly, not_testable, stated
from agentforge.kit.whole_run import outputs, pipeline_models, run_phase

SEEDS = (42, 1337, 2023)
TERNARY, PLAIN = "ternary, 272 k, searched", "plain float32, 272 k, as it came"
TEST_ITEMS = 250  # of each family, or all that there are
SAME, SECONDS = 0.99, 60.0  # the bars
FILES = {
    "cpu_fp32": "float32", "cpu_int8": "8 bits", "cpu_4bit": "4 bits",
    "tensorrt_fp32": "TensorRT's, float32", "tensorrt_int8": "TensorRT's, 8 bits",
}  # fmt: skip
EXACT = ("cpu_fp32", "tensorrt_fp32")
_QUICK = ["profile.steps=5", "profile.this_cpu=false"]
_ALONE = [*_QUICK, "search.trials=1", "search.batch=1"]
_ALONE += ["search.budgets.accuracy_lost=1", "search.budgets.nats_lost=null"]  # the unsearched one, whatever it is
_ALONE += ["export.int8=null", "export.cpu=[]"]
_LESS = (
    ("bytes", "fewer bytes", "of the input's, counted from shapes"),
    ("flops", "fewer FLOPs a token", "of the input's, counted from shapes"),
    ("latency", "a shorter decode step here", "of the input's, median of interleaved steps"),
)


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase7_adas.experiments.old_python import replayed

    with TemporaryDirectory(prefix="af-road-") as scratch:
        home = Path(scratch)
        models = pipeline_models(home, seed)
        began = time.monotonic()
        searched = _run(home, models["ternary"], seed)
        seconds = time.monotonic() - began
        return {
            "seconds": seconds,
            "searched": _numbers(searched),
            "unsearched": _numbers(_run(home, models["ternary"], seed, *_ALONE)),
            "plain": _numbers(_run(home, models["plain"], seed, "search=null", *_QUICK)),
            "python38": replayed(outputs(searched)["adas_deployment_package"], home / "unpacked"),
        }


def _run(home: Path, model: Path, seed: int, *more: str) -> dict[str, Any]:
    return run_phase("adas", home, [f"seed={seed}", f"evaluation.test_items={TEST_ITEMS}", *more], inputs=[model])


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """A model that stayed as it came is as fast as itself."""
    found = {one["name"].removeprefix("adas/"): one["value"] for one in line["measurements"]}
    if found.get("search/chosen/bytes") == 1:
        found.setdefault("search/chosen/latency", 1.0)
    for one in line["measurements"]:
        if one["name"] == "adas/lost":
            found["lost_error"] = one["spread"]
    return {name: value for name, value in found.items() if not name.startswith(("cpu/", "search/front/"))}


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    searched = [one["searched"] for one in every]
    return [
        *_search(searched, [one["unsearched"] for one in every], every, TERNARY),
        *_files(searched, TERNARY),
        *_files([one["plain"] for one in every], PLAIN),
        *_device(every, TERNARY),
    ]


def _search(
    searched: Sequence[Mapping[str, float]], alone: Sequence[Mapping[str, float]],
    every: Sequence[Mapping[str, Any]], text: str,
) -> list[Row]:  # fmt: skip
    less = [one["input/accuracy"] - one["model/accuracy"] for one in searched]
    behind = [b["model/accuracy"] - a["model/accuracy"] for a, b in zip(searched, alone, strict=True)]
    return [
        *(
            at_most(f"{text}: the chosen one has {words}", 0.999, _values(searched, f"search/chosen/{name}"), "1",
                    method=method)
            for name, words, method in _LESS
        ),
        at_most(f"{text}: at no less accuracy than the input's", 0, less, "1",
                method="input less chosen, test items"),
        *_confirmed(searched, text),
        stated(f"{text}: accuracy, input", _values(searched, "input/accuracy"), "1"),
        stated(f"{text}: accuracy, chosen", _values(searched, "model/accuracy"), "1"),
        at_most(f"{text}: nor than the unsearched one's, trained as long", 0, behind, "1",
                method="unsearched less chosen, test items"),
        stated(f"{text}: accuracy, unsearched and trained as long", _values(alone, "model/accuracy"), "1"),
        at_most(f"{text}: the whole phase takes a minute at most", SECONDS, [one["seconds"] for one in every], "s",
                method="tiny preset, 750 test items for the preset's 180, on two cores with other jobs"),
    ]  # fmt: skip


def _confirmed(searched: Sequence[Mapping[str, float]], text: str) -> list[Row]:
    """How sure the numbers are, and what the items said that decided."""
    equal = f"{text}: smaller, faster, and no more lost than noise"
    return [
        stated(f"{text}: standard error of one such loss", _values(searched, "lost_error"), "1",
               method="item by item, test items"),
        exactly(equal, 1, _values(searched, "search/dominates"), "1",
               method="1: at most 1.645 standard errors lost on test items; else 0"),
        stated(f"{text}: accuracy lost on the items that decided the choice", _values(searched, "search/lost"), "1",
               method="input less chosen, selection items that ranked no candidate"),
    ]  # fmt: skip


def _files(searched: Sequence[Mapping[str, float]], text: str) -> list[Row]:
    found = []
    for name, words in FILES.items():
        same = _values(searched, f"{name}/same_answers")
        lost = [one["model/accuracy"] - one[f"{name}/accuracy"] for one in searched]
        claim = f"{text}: greedy answers of the file in {words} are PyTorch's"
        method = "test items, by onnxruntime"
        found += [
            at_least(claim, SAME, same, "1", method=method)
            if name in EXACT
            else stated(claim, same, "1", method=method),
            stated(f"{text}: accuracy lost by the file in {words}", lost, "1", method="PyTorch's less the file's"),
        ]
    for name in EXACT:
        found.append(stated(f"{text}: parity of {name}", _values(searched, f"{name}/parity"), "1",
                            method="largest difference of a logit, of the largest"))  # fmt: skip
    return found


def _device(every: Sequence[Mapping[str, Any]], text: str) -> list[Row]:
    claim = f"{text}: under Python 3.8 and onnxruntime 1.19 the unpacked package gives the golden answers"
    told = [one["python38"] for one in every]
    absent = next((one["missing"] for one in told if "missing" in one), None)
    if absent is not None:
        return [not_testable(claim, "all", absent)]
    method = f"share of golden prompts answered to the token, float32 file; {told[0]['versions']}"
    return [
        exactly(claim, 1, [one["files"]["cpu_fp32.onnx"] for one in told], "1", method=method),
        *(
            stated(f"{claim}: {name}", [one["files"][name] for one in told], "1")
            for name in told[0]["files"]
            if name != "cpu_fp32.onnx"
        ),
    ]


def _values(every: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [float(one[name]) for one in every]
