"""What the files and the package are made by. Free of torch: a service validates it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from agentforge.kit.config import StrictModel, Unfit
from agentforge.kit.errors import InvalidInput
from agentforge.phase7_adas.analysis.devices import device

_MANY = 1_000_000  # beyond, a number of items is a slip: it would only exhaust memory or patience


class Int8Config(StrictModel):
    """The TensorRT file in 8 bits: ranges of activations are from the calibration split."""

    items: int = Field(32, ge=1, le=_MANY, description="Calibration items of each family.")
    per_channel: bool = Field(
        False, description="A scale for each output of a weight; not proven on TensorRT 8.5 with rank-3 inputs."
    )
    sensitivity: int = Field(
        16, ge=0, le=_MANY, description="Selection items of each family for the scan of layers; 0: no scan."
    )
    bound: float = Field(
        0.02, ge=0, description="Nats per answer token that 8 bits may cost by the scan; layers beyond stay float."
    )


class ExportConfig(StrictModel):
    context: int | None = Field(
        None, ge=8, le=2**31 - 1, description="Most tokens of a text; null: what the model takes."
    )
    cpu: list[Literal["int8", "4bit"]] = Field(
        ["int8", "4bit"], description="Files for onnxruntime besides the one in float32."
    )
    block: Literal[16, 32, 64, 128] = Field(32, description="Inputs that share a scale in 4 bits.")
    int8: Int8Config | None = Field(Int8Config(), description="The TensorRT file in 8 bits; null: none.")


class PackageConfig(StrictModel):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")] = Field(
        "titan", description="Of the package: its folder is agentforge-NAME."
    )
    version: str = Field(
        "1.0.0", pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?$", description="Of the package."
    )
    prompts: int = Field(
        8, ge=1, le=1_000, description="Golden prompts: questions of the test split, all families."
    )
    tokens: int = Field(24, ge=1, le=10_000, description="Most tokens of a golden answer.")
    sign: bool = Field(
        False, description="Signed with the ed25519 key in the file that AGENTFORGE_SIGNING_KEY names."
    )


class ProfileConfig(StrictModel):
    steps: int = Field(64, ge=5, le=_MANY, description="Timed decode steps of each file.")
    devices: list[str] = Field(
        ["agx-xavier", "xavier-nx", "agx-orin"],
        description="Devices to estimate for, as agx-xavier or, in a power mode, xavier-nx@15 W.",
    )
    this_cpu: bool = Field(True, description="This machine, too, from bandwidth and products measured on it.")

    @field_validator("devices")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            known_device(name)
        return names


def known_device(name: str) -> str:
    try:
        device(name)
    except InvalidInput as error:
        raise Unfit("", error.message, reason=error.reason, next_step=error.next_step) from None
    return name
