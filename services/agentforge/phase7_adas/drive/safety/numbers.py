"""Whether arrays hold nothing but numbers."""

from __future__ import annotations

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats


def numbers(*arrays: Floats) -> bool:
    """Looked for among bytes, which for small arrays takes half the time of `all`."""
    return all(b"\0" not in np.isfinite(one).tobytes() for one in arrays)
