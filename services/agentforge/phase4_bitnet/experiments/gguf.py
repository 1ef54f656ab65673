"""Whether llama.cpp makes of our GGUF files what torch makes of the model, and what a wrong file would look like.

Llamas of 24 M parameters, one for each seed, with random weights of the size of trained ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_least, at_most, exactly, not_testable, stated
from agentforge.models.gguf.verdict import CLOSE, EXACT

SEEDS = (42, 43, 44)
DENSE, TERNARY = ("F32", "F16", "Q8_0"), ("TQ2_0", "TQ1_0")
BROKEN = {
    "unpaired": "rows of one k in Hugging Face's order",
    "halved": "one scale halved",
    "theta": "theta of 500,000 for 10,000",
}
_FLOATS = "the file's tensors in F32 against torch: root mean square of the differences over the logits' deviation"
_RUN = "the file as it is against torch that rounds inputs in llama.cpp's blocks; the same measure"


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase4_bitnet.experiments.ggufs import measured

    return measured(seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    files = [each["files"] for each in every]
    n, size = files[0]["F32"]["parity"]["positions"], every[0]["parameters"]
    ids = [one["parity"]["texts_equal"] / one["parity"]["texts"] for each in files for one in each.values()]
    method = f"{files[0]['F32']['parity']['texts']} texts for each of {len(files[0])} files, special tokens too"
    found = [exactly("GGUF: texts whose token ids in llama.cpp are ours", 1, ids, "1", method=method)]
    method = f"logits of {n:,} positions, a Llama of {size:,} parameters; llama.cpp against torch in float32"
    claim = "GGUF F32: largest difference of a logit"
    found.append(at_most(claim, EXACT, _of(files, "F32", "model", "largest"), "1", method=method))
    for kind in (*DENSE, *TERNARY):
        found += _kind(kind, files)
    for name, what in BROKEN.items():
        off = [each["broken"][name] for each in every]
        found.append(at_least(f"GGUF TQ2_0 with {what}: off by", 100 * EXACT, off, "1", method=_FLOATS))
    why = "gguf-py 0.19 and llama.cpp 0.3.36 know no type I2_S: nothing here can write it, and read it for a check"
    return [*found, not_testable("bitnet.cpp's own format (I2_S)", "as above", why)]


def _kind(kind: str, files: Sequence[dict[str, Any]]) -> list[Row]:
    def stating(against: str, named: str) -> list[Row]:
        what = {"relative": "1", "largest": "1", "kl": "nat", "agreement": "1"}
        told = {"kl": "KL divergence", "agreement": "same most likely token"}
        return [
            stated(f"{kind} against {named}: {told.get(each, each)}", _of(files, kind, against, each), unit)
            for each, unit in what.items()
        ]

    sizes = [float(each[kind]["size"]) for each in files]
    ratios = [each["F32"]["size"] / each[kind]["size"] for each in files]
    content, run = (_of(files, kind, against, "relative") for against in ("content", "arithmetic"))
    return [
        at_most(f"GGUF {kind}: content off by", EXACT, content, "1", method=_FLOATS),
        at_most(f"GGUF {kind}: as it is run, off by", CLOSE, run, "1", method=_RUN),
        *stating("model", "our model"),
        *stating("floats", "inputs that are not rounded"),
        stated(f"{kind}: size of the file", sizes, "By"),
        stated(f"{kind}: times smaller than the F32 file", ratios, "1"),
    ]


def _of(files: Sequence[dict[str, Any]], kind: str, against: str, what: str) -> list[float]:
    return [float(each[kind]["parity"][against][what]) for each in files]
