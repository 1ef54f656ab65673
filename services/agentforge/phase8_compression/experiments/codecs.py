"""Rate and distortion of SeedLM, VPTQ and hyper-compression on Gaussian weights, each beside a plain grid."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from agentforge.kit.evidence import Row, Trial, at_most, exactly, stated

SEEDS = (42, 1337, 2023)
SEEDLM = {8: 0.095, 12: 0.037, 16: 0.015}  # by the register's width; expected before there was code
ROUNDED = {3: 0.0759, 4: 0.0139}  # bits: to nearest, groups of 128, the largest weight met
NEAR = 0.15
LLOYD_MAX = {2: 0.1175, 4: 0.009497}  # bits: the best scalar of a Gaussian (Max 1960), without entropy coding
VPTQ = ("v2", "v4", "v8", "v4r", "v8r")
HYPER = ("lattice", "slanted", "wide", "line")
LARGE = 7_000_000  # parameters
WEIGHTS = "512 x 512 Gaussian weights; relative squared error; bits: of all packed streams, without entropy coding"

Results = Sequence[Mapping[str, Any]]


def trials() -> list[Trial]:
    return [Trial(str(seed), {"seed": seed}) for seed in SEEDS]


def measure(seed: int) -> dict[str, Any]:
    from agentforge.phase8_compression.experiments.distortion import measured

    return measured(seed)


def rows(results: Mapping[str, dict[str, Any]]) -> list[Row]:
    every = [results[str(seed)] for seed in SEEDS]
    return [*_grid(every), *_seedlm(every), *_vptq(every), *_hyper(every)]


def _grid(every: Results) -> list[Row]:
    found = []
    for bits, expected in ROUNDED.items():
        errors = _errors(every, f"nearest/b{bits}g128")
        found += _near(f"Rounding to nearest, {bits} bits, groups of 128", expected, errors)
    for bits in (2, 3, 4):
        for group in (64, 128):
            for fit in ("max", "mse"):
                found += _point(every, f"grid/b{bits}g{group}{fit}", f"Grid, groups of {group}, fit {fit}")
    return found


def _seedlm(every: Results) -> list[Row]:
    periods = [found / (2 ** int(width) - 1) for width, found in every[0]["periods"].items()]
    claim = "SeedLM's shift registers of 4 to 16 bits: period, to 2^K - 1"
    found = [exactly(claim, 1, periods, "1", method="walked until the first state comes again")]
    for width, expected in SEEDLM.items():
        name = f"seedlm/k{width}"
        found += _near(f"SeedLM, K {width}, blocks of 8 of 3 coefficients", expected, _errors(every, name))
        found += _point(every, name, f"SeedLM, K {width}")
        found += _beside(every, name)
        told = [one["points"][name]["seconds"] / one["weights"] * LARGE for one in every]
        method = "processor seconds of one thread, from those of this weight"
        found.append(stated(f"SeedLM, K {width}: to encode 7 M parameters", told, "s", method=method))
    return found


def _vptq(every: Results) -> list[Row]:
    found = []
    for name, bits in (("v2", 4), ("v4", 2)):
        lost = [error / LLOYD_MAX[bits] for error in _errors(every, f"vptq/{name}")]
        claim = f"VPTQ, vectors of {name[1:]}: error to that of the best scalar of {bits} bits"
        found.append(at_most(claim, 1, lost, "1", method=WEIGHTS))
    for name in VPTQ:
        residual = " and a second codebook" if name.endswith("r") else ""
        found += _point(every, f"vptq/{name}", f"VPTQ, vectors of {name[1]}{residual}")
        found += _beside(every, f"vptq/{name}")
    claim = "VPTQ with a gram: what outputs lose, to what they lose without it"
    method = "256 x 256 Gaussian weights, correlated inputs, vectors of 4; same codebook sizes"
    found.append(at_most(claim, 1, [one["second_order"]["gram"] for one in every], "1", method=method))
    told = [one["second_order"]["diagonal"] for one in every]
    found.append(stated("VPTQ with the gram's diagonal alone: the same", told, "1", method=method))
    return found


def _hyper(every: Results) -> list[Row]:
    found = []
    name, across = "hyper/lattice", "Hyper-compression, pairs in 12 bits (2.67 times below fp16)"
    ratios = [one["points"][name]["error"] / _grid_error(one, name) for one in every]
    claim = f"{across}: error to a grid's of equal bits"
    found.append(at_most(claim, 1, ratios, "1", method=f"{WEIGHTS}; {_INTERPOLATED}"))
    texts = (across, f"{across}, the paper's path", "Hyper-compression, pairs in 8 bits",
             "Hyper-compression, single weights in 4 bits, one class")  # fmt: skip
    for kind, text in zip(HYPER, texts, strict=True):
        found += _point(every, f"hyper/{kind}", text)
        found += _beside(every, f"hyper/{kind}")
    gains = [one["points"][name]["error"] / one["points"]["hyper/slanted"]["error"] for one in every]
    method = "no lattice in a plane is below 0.962 of a square grid"
    found.append(
        stated("The best winding to the paper's, which is a sheared square grid", gains, "1", method=method)
    )
    same = [float(one["line_is_grid"]) for one in every]
    claim = "Hyper-compression of single weights in one class is a uniform grid"
    return [*found, exactly(claim, 1, same, "1", method="each weight is the nearest of equally spaced values")]


_INTERPOLATED = "of grids in groups of 128, fit mse; log error interpolated between whole bits"


def _near(what: str, expected: float, errors: Sequence[float]) -> list[Row]:
    claim = f"{what}: error from the expected {expected}, as a share of it"
    return [at_most(claim, NEAR, [abs(error / expected - 1) for error in errors], "1", method=WEIGHTS)]


def _point(every: Results, name: str, text: str) -> list[Row]:
    return [
        stated(f"{text}: bits a weight", _told(every, name, "bits"), "bit"),
        stated(f"{text}: bits a weight, entropy-coded", _told(every, name, "coded_bits"), "bit"),
        stated(f"{text}: error", _errors(every, name), "1"),
    ]


def _beside(every: Results, name: str) -> list[Row]:
    """Below the least grid there is nothing to compare with."""
    found = []
    for bits, text in (("bits", "equal bits"), ("coded_bits", "equal entropy-coded bits")):
        told = [_grid_error(one, name, bits) for one in every]
        if not any(math.isnan(each) for each in told):
            found.append(stated(f"Grid at {text}: error", told, "1", method=_INTERPOLATED))
    return found


def _grid_error(one: Mapping[str, Any], name: str, bits: str = "bits") -> float:
    wanted = one["points"][name][bits]
    points = [point for known, point in one["points"].items() if known.startswith("grid/") and "g128mse" in known]
    places = sorted((point[bits], math.log(point["error"])) for point in points)
    for (low, less), (high, more) in itertools.pairwise(places):
        if low <= wanted <= high:
            return math.exp(less + (more - less) * (wanted - low) / (high - low))
    return math.nan


def _errors(every: Results, name: str) -> list[float]:
    return _told(every, name, "error")


def _told(every: Results, name: str, what: str) -> list[float]:
    return [one["points"][name][what] for one in every]
