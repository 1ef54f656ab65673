"""The TensorRT backend against fakes of TensorRT 8.5 and of CUDA's runtime."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from agentforge.edge.device.runtime import tensorrt_backend, tensorrt_cuda
from agentforge.edge.device.runtime.contract import load_graph
from agentforge.edge.device.runtime.errors import EdgeError, NotPossible
from agentforge.edge.device.runtime.generate import Engine
from agentforge.edge.device.runtime.state import State
from agentforge.edge.device.runtime.tensorrt_backend import TensorRTBackend, engines_here
from agentforge.edge.device.runtime.tensorrt_engines import PROFILES, Device, Wanted, seal, wanted
from agentforge.edge.profiles import facts_of
from tests.fakes import tensorrt_8_5
from tests.fakes.cudart_11 import FakeCudart
from tests.unit.edge_jetson.board import GRAPH, XAVIER, Board

XAVIER_HERE = Device(XAVIER, 72, "8.5.2")


class Here(Board):
    """A board with engines for the fake TensorRT."""

    def build(self, precision: str = "fp16", device: Device = XAVIER_HERE, dla: int | None = None) -> list[Wanted]:
        self.engines.mkdir(exist_ok=True)
        facts = facts_of(GRAPH)
        wants = [wanted(self.package, device, profile, precision, dla) for profile in PROFILES]
        for want in wants:
            told = {
                "inputs": {name: (kind, shape) for name, kind, shape in facts.inputs()},
                "outputs": {name: (kind, shape) for name, kind, shape in facts.outputs()},
                "profile": {name: [want.shapes[each][name] for each in want.shapes] for name in want.shapes["min"]},
            }
            partial = self.engines / "it.partial"
            partial.write_text(json.dumps(told))
            seal(partial, self.engines / want.name, want, {})
        return wants


def compute(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A function of all inputs that, as the graph, looks at no entry whose position is -1."""
    batch, time = inputs["input_ids"].shape
    seen = (inputs["past_position"] >= 0)[:, None, :, None]
    told = sum((inputs[f"window.{v}.{part}"] * seen).sum() for v in (0, 1) for part in ("key", "value"))
    stored = (inputs["memory.1.position"] >= 0)[:, :, None]
    told += (inputs["memory.1.key"] * stored).sum() + inputs["memory.1.momentum"].sum()
    x_BT = inputs["input_ids"] + 10.0 * inputs["position"]
    column = np.arange(11, dtype=np.float32)
    made = {"logits": np.float32(0.01) * (x_BT[:, -1:] * column + told), "memory.1.new_momentum": x_BT[:, -1]}
    entry = np.broadcast_to(x_BT[:, None, :, None], (batch, 2, time, 4))
    made.update({f"new.{v}.{part}": entry + v for v in (0, 1) for part in ("key", "value")})
    wide = np.broadcast_to(x_BT[:, :, None], (batch, time, 8))
    made.update({"memory.1.new_key": wide, "memory.1.new_value": wide, "memory.1.new_score": x_BT})
    made["memory.1.new_rank"] = x_BT
    return {name: np.asarray(array, np.float32) for name, array in made.items()}


class Direct:
    name, version, file = "direct", "1", "none"

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return compute(inputs)


@pytest.fixture
def cuda() -> FakeCudart:
    return FakeCudart()


@pytest.fixture
def here(tmp_path: Path, cuda: FakeCudart, monkeypatch: pytest.MonkeyPatch) -> Here:
    board = Here(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_8_5)
    monkeypatch.setattr(tensorrt_cuda, "load_library", lambda: cuda)
    monkeypatch.setattr(tensorrt_backend, "BOARD", str(board.root / "proc/device-tree/model"))
    monkeypatch.setattr(tensorrt_8_5.Context, "cuda", cuda, raising=False)
    monkeypatch.setattr(tensorrt_8_5.Context, "compute", staticmethod(compute), raising=False)
    return board


def test_a_text_goes_through_both_engines_as_through_the_function(here: Here, cuda: FakeCudart) -> None:
    """From an empty state (sizes of 0) over the memory's chunks and round the ring of the window."""
    here.build()
    backend = TensorRTBackend(here.package)
    assert (backend.name, backend.version, backend.file) == ("tensorrt", "8.5.2.2", "model.onnx")
    graph = load_graph(here.package / "models" / "graph.json")
    ids = [int(each) for each in np.random.default_rng(0).integers(0, 11, 50)]
    texts = [ids[:1], ids[1:30], *([each] for each in ids[30:])]
    states = [State(graph), State(graph)]
    for text in texts:
        by_engine = Engine(backend, graph).feed(states[0], [text])
        by_function = Engine(Direct(), graph).feed(states[1], [text])
        np.testing.assert_array_equal(by_engine, by_function)
    assert states[0].inputs["memory.1.key"].shape[1] == 16
    backend.close()
    assert cuda.used == 0
    assert cuda.streams == 0


def test_which_engine_is_taken(here: Here) -> None:
    with pytest.raises(NotPossible, match=r"build_engine\.sh builds one.*is not built"):
        engines_here(here.package)
    here.build("int8")
    assert engines_here(here.package) == [("int8", "model_int8_qdq.onnx")]
    here.build("fp16", dla=0)
    assert engines_here(here.package) == [("fp16", "model.onnx"), ("int8", "model_int8_qdq.onnx")]
    assert TensorRTBackend(here.package, "int8").file == "model_int8_qdq.onnx"
    with pytest.raises(NotPossible, match="fp32"):
        TensorRTBackend(here.package, "fp32")


def test_no_foreign_engine_is_loaded(here: Here, cuda: FakeCudart) -> None:
    here.build(device=Device("NVIDIA Jetson Xavier NX", 72, "8.5.2"))
    for plan in here.plans:  # under the names of this board's engines
        want = wanted(here.package, XAVIER_HERE, plan.name.split(".")[0], "fp16")
        plan.with_suffix(".json").rename((here.engines / want.name).with_suffix(".json"))
        plan.rename(here.engines / want.name)
    with pytest.raises(NotPossible, match="was built on 'NVIDIA Jetson Xavier NX', this is 'NVIDIA Jetson AGX"):
        TensorRTBackend(here.package, "fp16")
    here.build()
    here.plans[0].write_text("{")
    with pytest.raises(NotPossible, match="changed or cut short"):
        TensorRTBackend(here.package)
    here.build()
    (here.package / "models" / "model.onnx").write_text("another model")
    with pytest.raises(NotPossible, match="is not built"):
        TensorRTBackend(here.package)
    assert cuda.streams == 0


def inputs(time: int = 1, past: int = 4) -> dict[str, np.ndarray]:
    sizes = {"batch": 1, "time": time, "past": past, "stored": 0}
    return {name: np.zeros([sizes[dim] if isinstance(dim, str) else dim for dim in shape], kind)
            for name, kind, shape in facts_of(GRAPH).inputs()}  # fmt: skip


def test_what_does_not_fit_is_told(here: Here, cuda: FakeCudart, monkeypatch: pytest.MonkeyPatch) -> None:
    here.build()
    backend = TensorRTBackend(here.package)
    with pytest.raises(EdgeError, match=r"input_ids from \(1, 2\) to \(1, 8\), not \(1, 9\)"):
        backend.run(inputs(time=9))
    with pytest.raises(EdgeError, match=r"past_position from \(1, 1\) to \(1, 32\), not \(1, 33\)"):
        backend.run(inputs(past=33))
    with pytest.raises(EdgeError, match=r"reads memory\.1\.score, which was not given"):
        backend.run({name: array for name, array in inputs().items() if name != "memory.1.score"})
    assert backend.run(inputs())["logits"].shape == (1, 11)
    cuda.memory = cuda.used
    with pytest.raises(EdgeError, match="cudaMalloc failed with 2: out of memory"):
        backend.run(inputs(past=32))
    cuda.memory = 1 << 24
    assert backend.run(inputs(past=32))["logits"].shape == (1, 11)  # it is whole after a failure
    monkeypatch.setattr(tensorrt_8_5.Context, "execute_async_v3", lambda self, stream: False)
    with pytest.raises(EdgeError, match="did not run"):
        backend.run(inputs())


def test_a_host_without_tensorrt_says_so(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(NotPossible, match="python3-libnvinfer"):
        engines_here(here.package)


def test_no_cuda_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_cuda, "LIBRARIES", ("libcudart-of-nobody.so",))
    with pytest.raises(NotPossible, match="libcudart-of-nobody"):
        tensorrt_cuda.capability()
