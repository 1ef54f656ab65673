"""What of the driving pipeline is shown in a run of the phase. Free of torch and numpy: a service validates it."""

from __future__ import annotations

from pydantic import Field

from agentforge.kit.config import StrictModel

PACKAGES = ("numpy", "scipy", "onnxruntime", "pycrate_asn1rt")
"""What driving imports, of the extra [drive]."""


class DriveConfig(StrictModel):
    minutes: float = Field(20.0, gt=0, le=1e6, description="Generated minutes, over all scenarios in turn, varied.")
    scene_every_s: float = Field(
        2.0, ge=0.05, le=3600, description="Generated seconds between scenes told, of each scenario's first drive."
    )
    parts: int = Field(
        100, ge=0, le=1_000_000,
        description="Test scenes on which perception is measured by itself, beside the other parts; 0: none is.",
    )  # fmt: skip
