"""The files that pages load: ours, and Plotly's script as its package brings it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import plotly

_STATIC = Path(__file__).parent / "static"


@cache
def static_files() -> dict[str, Path]:
    """By name."""
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return {file.name: file for file in (script, *sorted(_STATIC.iterdir()))}
