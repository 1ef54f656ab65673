"""onnxruntime on the CPU. Contiguous arrays go in without a copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from .errors import BrokenPackage


class OnnxBackend:
    name = "onnxruntime"

    def __init__(self, file: Path, threads: int = 0) -> None:
        """`threads` 0: as many as there are cores."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Its threads would wait for the next step by spinning: a core of the device, and its heat, for nothing.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # its warnings concern devices that were not asked for
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no base class for its errors
            raise BrokenPackage(f"onnxruntime cannot load {file.name}: {error}") from error
        self.file, self.version = file.name, str(onnxruntime.__version__)
        self._outputs = [each.name for each in self._session.get_outputs()]
        self._wanted = {each.name for each in self._session.get_inputs()}

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        # A graph has no input that it does not use (the scores of a memory that fades by nothing, say).
        fed = {name: array for name, array in inputs.items() if name in self._wanted}
        values = self._session.run(self._outputs, fed)
        return {name: values[number] for number, name in enumerate(self._outputs)}
