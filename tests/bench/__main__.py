"""All figures, or those that are named: python -m tests.bench startup events."""

from __future__ import annotations

import importlib
import sys

NAMES = ("startup", "overhead", "events", "memory", "decode", "ranks")

for name in sys.argv[1:] or NAMES:
    importlib.import_module(f"tests.bench.{name}").main()
