"""onnxruntime with weights of 4 bits. Keys and values stay in place: what goes in and comes out is one memory."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentforge.kit.errors import MissingTool


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = f"the package {error.name!r} is not installed"
        raise MissingTool(message, field=name, next_step=f"pip install {name}") from error


class Onnx:
    def __init__(self, file: Path) -> None:
        self._ort, _ = (_package(name) for name in ("onnxruntime", "onnx"))  # without onnx there is no file
        options = self._ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        self._session = self._ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        self._rooms = {
            each.name: self._value(np.zeros(each.shape, np.float32))
            for each in self._session.get_inputs()
            if each.name.endswith((".key", ".value"))
        }
        vocabulary = self._session.get_outputs()[0].shape[-1]
        self._out = np.zeros((1, vocabulary), np.float32)
        self._binding.bind_ortvalue_output("logits", self._value(self._out))
        for name, room in self._rooms.items():
            self._binding.bind_ortvalue_input(name, room)
            self._binding.bind_ortvalue_output(f"{name}.out", room)
        self.version = f"onnxruntime {self._ort.__version__}"

    def _value(self, array: Any) -> Any:
        return self._ort.OrtValue.ortvalue_from_numpy(array)

    def reset(self) -> None:
        self._seen = 0

    def read(self, ids: Sequence[int]) -> int:
        self._seen += len(ids)
        self._binding.bind_cpu_input("ids", np.array([ids], np.int64))
        self._binding.bind_cpu_input("seen", np.array([self._seen - 1], np.int32))
        self._binding.bind_cpu_input("total", np.array(self._seen, np.int32))
        self._session.run_with_iobinding(self._binding)
        return int(self._out.argmax())

    def logits(self) -> Tensor:
        return torch.from_numpy(self._out[0].copy())
