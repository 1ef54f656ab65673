"""The motion language model as the driving loop runs it: its whole rollout by onnxruntime, on one thread.

The same words give the same tokens, on one machine and version: one thread adds in one order. Another machine's
products may round otherwise, and a draw on the edge of two tokens then falls the other way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agentforge.phase7_adas.drive.onnx_file import checked, session
from agentforge.phase7_adas.drive.prediction.context import STARTS
from agentforge.phase7_adas.drive.prediction.rollout import ROLLOUTS, draws
from agentforge.phase7_adas.drive.truth import Ints

WEIGHTS: Final = Path(__file__).parent / "weights" / "motion_lm.onnx"


class Speaks(Protocol):
    def sample(self, words_NW: Ints, draws_RT: NDArray[np.float32]) -> Ints:
        """Motion tokens (N, R, TOKENS)."""


class Speaker:
    """Says what `MotionLM.sample` says, but for draws on such an edge. N must not be zero."""

    def __init__(self, made: bytes) -> None:
        self._session = session(made)
        self.sample(np.array([STARTS]), draws(ROLLOUTS))  # the first time lays out memory: not in a tick

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Speaker:
        reasons = "MOTION_LM_MISSING", "MOTION_LM_DIGEST"
        return cls(checked(path, reasons, "agentforge.phase7_adas.drive.prediction.export"))

    def sample(self, words_NW: Ints, draws_RT: NDArray[np.float32]) -> Ints:
        made: Ints = self._session.run(None, {"words": words_NW, "draws": draws_RT})[0]
        return made
