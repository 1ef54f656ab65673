#!/usr/bin/env python3
"""Serve this package's model over gRPC: `python3 serve.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # the folder stays as it was packed

from runtime.server import main  # type: ignore[import-not-found, unused-ignore]  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(main(Path(__file__).resolve().parent))
