"""Make the detector's committed files anew: train, export, fit confidence. Minutes on one core.

python -m agentforge.phase7_adas.drive.perception.remake --out DIR [--seed 1] [--scenes N] [--steps N]
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from agentforge.phase7_adas.drive.perception.agent import Perception
from agentforge.phase7_adas.drive.perception.confidence import Confidence
from agentforge.phase7_adas.drive.perception.detector import Detector
from agentforge.phase7_adas.drive.perception.fitting import fitted
from agentforge.phase7_adas.drive.perception.training import Recipe, train

CALIBRATION_SCENES = 1500


def remake(out: Path, recipe: Recipe, calibration: int = CALIBRATION_SCENES) -> dict[str, Any]:
    """Writes camera.onnx, camera.json and confidence.json; gives what camera.json says."""
    losses: list[float] = []
    start = time.perf_counter()
    net = train(recipe, lambda step, loss: losses.append(loss))
    return finish(out, recipe, net, losses, time.perf_counter() - start, calibration)


def finish(
    out: Path, recipe: Recipe, net: Any, losses: list[float], seconds: float, calibration: int
) -> dict[str, Any]:
    import torch

    from agentforge.phase7_adas.drive.perception.export import difference, exported, write

    made = exported(net)
    last = losses[-max(1, len(losses) // 20) :]
    facts = {
        "made_by": "agentforge.phase7_adas.drive.perception.remake",
        "recipe": vars(recipe),
        "parameters": sum(each.numel() for each in net.parameters()),
        "measured": {
            "loss_at_the_end": round(float(np.mean(last)), 4),
            "training_seconds": round(seconds, 1),
            "largest_difference_to_pytorch": difference(net, made),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }
    write(made, facts, out / "camera.onnx")
    perception = Perception(detector=Detector(out / "camera.onnx"), confidence=Confidence.blank())
    fitted(perception, calibration, recipe.seed).write(out / "confidence.json")
    facts["confidence_sha256"] = hashlib.sha256((out / "confidence.json").read_bytes()).hexdigest()
    write(made, facts, out / "camera.onnx")
    return facts


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--scenes", type=int, default=Recipe.scenes)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--calibration", type=int, default=CALIBRATION_SCENES)
    asked = parser.parse_args(arguments)
    recipe = Recipe(seed=asked.seed, scenes=asked.scenes, steps=asked.steps)
    facts = remake(asked.out, recipe, asked.calibration)
    sys.stdout.write(f"{asked.out}/camera.onnx: loss {facts['measured']['loss_at_the_end']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
