"""A fake of TensorRT 8.5.2's Python module: the names that a runtime needs, with the rules of the real ones on
shapes, addresses and order (names and signatures from python/src/infer/pyCore.cpp of its open-source release).

An "engine" is JSON: {"inputs": {name: [type, dims; a word stands for a size that varies]}, "outputs": the same,
"profile": {name: [min, opt, max]}}. Running one calls `compute` of the module with arrays by name.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from enum import Enum
from math import prod
from typing import Any

import numpy as np

from tests.fakes.cudart_11 import STREAM, FakeCudart

__version__ = "8.5.2.2"


class DataType(Enum):
    FLOAT, HALF, INT8, INT32, BOOL = range(5)


class TensorIOMode(Enum):
    NONE, INPUT, OUTPUT = range(3)


float32, float16, int32 = DataType.FLOAT, DataType.HALF, DataType.INT32
_TYPES = {"float32": float32, "int32": int32}


class Logger:
    WARNING = 2

    def __init__(self, severity: int) -> None:
        self.severity = severity


class Runtime:
    def __init__(self, logger: Logger) -> None:
        self.logger = logger  # must outlive the engines

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
        try:
            return Engine(json.loads(serialized_engine))
        except ValueError:
            return None


class Engine:
    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.tensors: dict[str, Any] = {**told["inputs"], **told["outputs"]}
        self.num_io_tensors = len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.told["inputs"] else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return _TYPES[self.tensors[name][0]]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return [tuple(bound) for bound in self.told["profile"][name]]

    def create_execution_context(self) -> Context:
        return Context(self)


class Context:
    cuda: FakeCudart  # set by the test
    compute: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self.engine.get_tensor_profile_shape(name, 0)
        within = len(shape) == len(low) and all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))
        if within:
            self.shapes[name] = tuple(shape)
        return within

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self.engine.told["inputs"]:
            return self.shapes[name]
        sizes = {} if self.infer_shapes() else self._sizes()
        return tuple(sizes.get(dim, -1) if isinstance(dim, str) else dim for dim in self.engine.tensors[name][1])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self.engine.tensors:
            return False
        self.addresses[name] = memory
        return True

    def infer_shapes(self) -> list[str]:
        return [name for name in self.engine.told["inputs"] if name not in self.shapes]

    def execute_async_v3(self, stream_handle: int) -> bool:
        names = list(self.engine.tensors)
        if stream_handle != STREAM or self.infer_shapes() or not all(self.addresses.get(name) for name in names):
            return False
        for name in names:  # every buffer is the device's and large enough
            if len(self.cuda.blocks.get(self.addresses[name], b"")) < 4 * prod(self.get_tensor_shape(name)):
                return False
        self.cuda.queue.append(self._compute)
        return True

    def _sizes(self) -> dict[str, int]:
        """batch, time, past, stored by the inputs' shapes; one that two inputs see differently is an error."""
        sizes: dict[str, int] = {}
        for name, (_, dims) in self.engine.told["inputs"].items():
            for dim, size in zip(dims, self.shapes[name], strict=True):
                assert not isinstance(dim, str) or sizes.setdefault(dim, size) == size, f"{name}: {dim}"
        return sizes

    def _array(self, name: str) -> np.ndarray:
        shape, kind = self.get_tensor_shape(name), np.dtype(self.engine.tensors[name][0])
        memory = (ctypes.c_char * (prod(shape) * kind.itemsize)).from_address(self.addresses[name])
        return np.frombuffer(memory, kind).reshape(shape)

    def _compute(self) -> None:
        made = type(self).compute({name: self._array(name) for name in self.engine.told["inputs"]})
        for name in self.engine.told["outputs"]:
            self._array(name)[...] = made[name]
