"""Colours and strokes of pictures, for light and dark; lengths of strokes are metres on the ground."""

from __future__ import annotations

from typing import Final

from agentforge.phase7_adas.drive.messages import Mode
from agentforge.phase7_adas.drive.truth import Kind

_LIGHT: Final = {
    "page": "#ffffff",
    "text": "#1f2328",
    "quiet": "#57606a",
    "ground": "#dfe5d8",
    "road": "#b9bec6",
    "line": "#ffffff",
    "middle": "#dba400",
    "ego": "#0b57d0",
    "vehicle": "#4a5260",
    "cyclist": "#7a2fd0",
    "pedestrian": "#a8480a",
    "obstacle": "#7f1d1d",
    "glass": "#ffffff",
    "track": "#00605a",
    "foreseen": "#00605a",
    "plan": "#0b57d0",
}
_DARK: Final = {
    "page": "#0d1117",
    "text": "#e6edf3",
    "quiet": "#9aa4af",
    "ground": "#1b221a",
    "road": "#3b414b",
    "line": "#a9b1bb",
    "middle": "#c8a742",
    "ego": "#6cb0ff",
    "vehicle": "#c3cad3",
    "cyclist": "#cba6ff",
    "pedestrian": "#ffb066",
    "obstacle": "#ff9a94",
    "glass": "#20262e",
    "track": "#5fe3d2",
    "foreseen": "#5fe3d2",
    "plan": "#6cb0ff",
}
_MODES: Final = {
    Mode.NORMAL: ("#1a7f37", "#4ac26b"),
    Mode.DEGRADED: ("#8a6100", "#e3b341"),
    Mode.MINIMAL_RISK: ("#b3470b", "#ff9a57"),
    Mode.EMERGENCY: ("#c21f26", "#ff7b72"),
    Mode.STOPPED: ("#57606a", "#afb8c1"),
}
KIND_CLASS: Final = {
    Kind.VEHICLE: "vehicle",
    Kind.CYCLIST: "cyclist",
    Kind.PEDESTRIAN: "pedestrian",
    Kind.OBSTACLE: "obstacle",
}
_RULES: Final = """
.NAME{color-scheme:light dark;font:13px/1.3 system-ui,sans-serif}
.NAME text{fill:var(--text)}.NAME .quiet{fill:var(--quiet)}.NAME .strong{font-weight:600}
.NAME .page{fill:var(--page)}.NAME .ground{fill:var(--ground)}.NAME .road{fill:var(--road)}
.NAME .line{fill:none;stroke:var(--line);stroke-width:.18}.NAME .dashes{stroke-dasharray:3 5}
.NAME .middle{stroke:var(--middle)}
.NAME .ego{fill:var(--ego)}.NAME .vehicle{fill:var(--vehicle)}.NAME .cyclist{fill:var(--cyclist)}
.NAME .pedestrian{fill:var(--pedestrian)}.NAME .obstacle{fill:var(--obstacle)}.NAME .glass{fill:var(--glass)}
.NAME .track{fill:none;stroke:var(--track);stroke-width:.28;stroke-dasharray:.9 .5}
.NAME .foreseen{fill:none;stroke:var(--foreseen);stroke-width:.3;stroke-linecap:round}
.NAME .plan{fill:none;stroke:var(--plan);stroke-width:.55;stroke-linecap:round;stroke-linejoin:round;opacity:.75}
.NAME .frame{fill:none;stroke-width:3}
.NAME .still{display:none}
@media (prefers-reduced-motion:reduce){.NAME .moving{display:none}.NAME .still{display:inline}}
"""


def mode_class(mode: Mode) -> str:
    return f"mode{int(mode)}"


def style(name: str) -> str:
    """A style element whose rules hold for the class `name` alone, so that a page may hold many pictures."""
    light = _variables(_LIGHT, 0)
    dark = _variables(_DARK, 1)
    modes = "".join(
        f".{name} .{mode_class(mode)}{{stroke:var(--{mode_class(mode)})}}"
        f".{name} .{mode_class(mode)}.word{{fill:var(--{mode_class(mode)});stroke:none}}"
        for mode in Mode
    )
    rules = _RULES.replace("NAME", name).replace("\n", "")
    dark_rule = f"@media (prefers-color-scheme:dark){{.{name}{{{dark}}}}}"
    return f"<style>.{name}{{{light}}}{dark_rule}{rules}{modes}</style>"


def _variables(colours: dict[str, str], which: int) -> str:
    named = {**colours, **{mode_class(mode): both[which] for mode, both in _MODES.items()}}
    return ";".join(f"--{name}:{colour}" for name, colour in named.items())
