#!/usr/bin/env python3
"""Check this package on this device and write verification.json: `python3 verify.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the folder stays as it was packed

try:
    from runtime.verification import main  # type: ignore[import-not-found, unused-ignore]
except Exception as error:  # it needs the standard library alone: what it finds otherwise is damage
    sys.stderr.write(f"runtime/ is damaged: {error}\n")
    raise SystemExit(2) from error

if __name__ == "__main__":
    raise SystemExit(main(Path(__file__).resolve().parent))
