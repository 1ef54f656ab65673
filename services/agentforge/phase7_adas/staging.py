"""The package's directory, part by part, and its archive."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from agentforge.data.items import Item
from agentforge.edge.device.protoset import protoset
from agentforge.edge.package.archive import pack
from agentforge.edge.package.layout import top_folder
from agentforge.edge.package.manifest import About, Source, Target, Variant, write_manifest
from agentforge.edge.package.signing import sign_staged
from agentforge.edge.readme import readme
from agentforge.edge.triton import triton_files
from agentforge.kit.digests import canonical_json, digest_file
from agentforge.phase7_adas.golden import golden
from agentforge.phase7_adas.graphs import TENSORRT, Files
from agentforge.phase7_adas.start import Start

ARCHIVE = "adas_deployment_package.tar.gz"
_DEVICE = "agentforge.edge.device"
_SQUARES = ("Add", "ReduceMean", "Pow")  # of a norm, from its root back
_NOT_HERE = (
    "TensorRT: no engine was built or run here; build_engine.sh builds one on the device, verify.py checks it.",
    "Latency, memory and power on the device: verify.py measures them there.",
    "The service under systemd, and Triton with the configs in triton/.",
)


def stage(directory: Path, start: Start, model: Any, files: Files, told: Told) -> Path:
    """The top folder, with everything but the manifest's signature."""
    top = directory / top_folder(start.config.package.name)
    _models(top, files)
    _tokenizer(top, start)
    if files.cache:
        (top / "calibration").mkdir()
        (top / "calibration/calibration.cache").write_text(files.cache)
        (top / "calibration/provenance.json").write_bytes(canonical_json(files.provenance))
    (top / "golden").mkdir()
    (top / "golden/golden.json").write_bytes(canonical_json(golden(start, files, told.items)))
    _device_files(top, files)
    about = _about(start, model, files, told)
    (top / "README.md").write_text(readme(about.model_dump(by_alias=True), top.name))
    write_manifest(top, about)
    return top


class Told:
    """What the rest of the phase found, for the manifest."""

    def __init__(self, items: list[Item], verified: list[str], digest: str) -> None:
        self.items, self.verified, self.digest = items, verified, digest


def packed(top: Path, target: Path, key: Any) -> Path:
    """`key`: None where nothing is signed."""
    if key is not None:
        sign_staged(top, key)
    pack(top, target)
    return target


def _models(top: Path, files: Files) -> None:
    (top / "models").mkdir(parents=True)
    for name in (*files.variants, "graph.json"):
        shutil.copyfile(files.path(name), top / "models" / name)
    (top / "models/profiles.json").write_bytes(canonical_json(files.profiles))
    (top / "models/fp32_layers.txt").write_text("".join(f"{name}\n" for name in fp32_layers(files.path(TENSORRT))))


def fp32_layers(file: Path) -> list[str]:
    """Nodes that half precision would spoil: the norms' means of squares, their roots, and the division by them."""
    import onnx

    graph = onnx.load(file).graph
    makers = {output: node for node in graph.node for output in node.output}
    roots = {node.output[0]: node for node in graph.node if node.op_type == "Sqrt"}
    kept = {node.name for node in graph.node if node.op_type == "Div" and node.input[1] in roots}
    for node in roots.values():
        kept.add(node.name)
        for operator in _SQUARES:
            maker = makers.get(node.input[0])
            if maker is None or maker.op_type != operator:
                break
            kept.add(maker.name)
            node = maker
    return [node.name for node in graph.node if node.name in kept]


def _tokenizer(top: Path, start: Start) -> None:
    (top / "tokenizer").mkdir()
    start.codec.tokenizer.save_pretrained(top / "tokenizer")
    for extra in [each for each in (top / "tokenizer").iterdir() if each.suffix not in (".json", ".txt")]:
        extra.unlink()


def _device_files(top: Path, files: Files) -> None:
    device = resources.files(_DEVICE)
    for name in ("verify.py", "serve.py", "requirements.txt"):
        (top / name).write_bytes(device.joinpath(name).read_bytes())
    jetson = device.joinpath("jetson")
    (top / "build_engine.sh").write_bytes(jetson.joinpath("build_engine.sh").read_bytes())
    (top / "systemd").mkdir()
    unit = "agentforge-edge.service"
    (top / "systemd" / unit).write_bytes(jetson.joinpath(unit).read_bytes())
    (top / "runtime").mkdir()
    for each in device.joinpath("runtime").iterdir():
        if each.name.endswith(".py"):
            (top / "runtime" / each.name).write_bytes(each.read_bytes())
    (top / "edge.proto").write_bytes(device.joinpath("edge.proto").read_bytes())
    (top / "edge.protoset").write_bytes(protoset())
    inputs = list(files.profiles["decode"]["opt"])
    for path, text in triton_files(files.facts.record, inputs=inputs).items():
        (top / path).parent.mkdir(parents=True)
        (top / path).write_text(text)


def _about(start: Start, model: Any, files: Files, told: Told) -> About:
    config = start.config
    source = Source(
        parameters=sum(each.numel() for each in model.parameters()), kind=str(model.config.model_type),
        sources={"adas_model": told.digest},
    )  # fmt: skip
    absent = ["Thoughts before hard tokens: the graph is the model without them."] if start.thinks else []
    absent.append("Tools: the service gives calls out as text; whoever asked runs them.")
    return About(
        name=config.package.name, version=config.package.version, model=source, target=Target(),
        variants={name: Variant(**each) for name, each in files.variants.items()}, profiles=files.profiles,
        precision=_precision(files),
        verified=told.verified, not_verified_here=list(_NOT_HERE), not_in_package=absent,
    )  # fmt: skip


def _precision(files: Files) -> dict[str, JsonValue]:
    kept: list[JsonValue] = [*files.kept]
    return {"default": "fp16", "float32_layers": "models/fp32_layers.txt", "float_in_int8": kept}


def model_digest(directory: Path) -> str:
    return digest_file(directory / "model.safetensors")
