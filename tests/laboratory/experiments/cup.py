"""What both games use."""

import os
import time
from pathlib import Path


def note(key):
    """Leave a trace of each real measuring; go wrong where the environment says so."""
    with Path(os.environ["LAB_CALLS"]).open("a") as file:
        file.write(f"{key} {os.getpid()}\n")
    if os.environ.get("LAB_FAIL") == key:
        raise RuntimeError(f"the cup broke at {key}")
    if os.environ.get("LAB_HANG") == key:
        time.sleep(60)
