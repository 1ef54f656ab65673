"""A moving picture from above: SVG that animates itself (SMIL), without a script; still for who wants no motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import HEADING, X, Y
from agentforge.phase7_adas.drive.view import shapes
from agentforge.phase7_adas.drive.view.moment import Moment
from agentforge.phase7_adas.drive.view.moving import movers, moving, shown, transform
from agentforge.phase7_adas.drive.view.shapes import n
from agentforge.phase7_adas.drive.view.strip import (
    GAP,
    HIGH,
    TITLE,
    VIEW,
    WIDE,
    caption,
    clip_path,
    legend,
    opening,
    picture_name,
    road_of,
    scene,
    view_from,
)
from agentforge.phase7_adas.drive.view.style import mode_class, style
from agentforge.phase7_adas.drive.view.words import description

BELOW = 78.0


def clip_svg(road: Road, moments: Sequence[Moment], title: str) -> str:
    """Plays in the run's own time, for ever. Between moments things go straight: five a second look smooth."""
    steps = np.diff([moment.t_us for moment in moments])
    if len(moments) < 2 or (steps <= 0).any() or (steps != steps[0]).any():
        raise ValueError("a clip needs moments that follow each other, evenly spaced")
    name = picture_name(title + " clip", moments)
    wide, high = WIDE + 2 * GAP, TITLE + HIGH + BELOW
    seconds = float(steps.sum()) / 1e6
    words = f"A moving picture of {seconds:.0f} seconds. {description([moments[0], moments[-1]])}"
    ground = road_of(road, moments)
    seen = _moving_scene(ground, moments, seconds)
    pictures = (
        f'<g class="moving">{_window(name, seen)}{_captions(moments, seconds)}</g>'
        f'<g class="still">{_window(name, _still_scene(ground, moments[-1]))}{_framed(moments[-1])}</g>'
    )
    return (
        f"{opening(name, wide, high, title, words)}{style(name)}"
        f"<defs>{clip_path(name)}</defs>"
        f'<rect class="page" width="{n(wide)}" height="{n(high)}"/>'
        f'<text class="strong" x="{n(GAP)}" y="23" font-size="15">{escape(title)}</text>'
        f'<g transform="translate({n(GAP)} {n(TITLE)})">{pictures}</g>{legend(GAP, high - 32, wide)}</svg>'
    )


def _window(name: str, inner: str) -> str:
    ground = f'<rect class="ground" width="{n(WIDE)}" height="{n(HIGH)}"/>'
    return f'<g clip-path="url(#{name}-window)">{ground}{inner}</g>'


def _still_scene(ground: str, moment: Moment) -> str:
    return f'<g transform="{view_from(moment)}">{ground}{scene(moment)}</g>'


def _moving_scene(ground: str, moments: Sequence[Moment], seconds: float) -> str:
    """The ground turns and shifts under the ego; bodies move on the ground."""
    headings = np.unwrap([moment.ego_6[HEADING] for moment in moments])
    turn = transform("rotate", [n(-math.degrees(float(heading))) for heading in headings], seconds)
    places = [f"{n(-float(moment.ego_6[X]))} {n(-float(moment.ego_6[Y]))}" for moment in moments]
    shift = transform("translate", places, seconds)
    things = "".join(moving(mover, len(moments), seconds) for mover in movers(moments))
    return f'<g transform="{VIEW}"><g>{turn}<g>{shift}{ground}{_plans(moments, seconds)}{things}</g></g></g>'


def _plans(moments: Sequence[Moment], seconds: float) -> str:
    """The plan of each moment until the next: plans jump, so they are not blended."""
    return "".join(
        shown(shapes.plan_shape(moment.plan_xy_T2), {frame}, len(moments), seconds)
        for frame, moment in enumerate(moments[:-1])
        if moment.plan_xy_T2 is not None
    )


def _captions(moments: Sequence[Moment], seconds: float) -> str:
    """Frame and caption of each moment until the next."""
    return "".join(
        shown(_framed(moment), {frame}, len(moments), seconds) for frame, moment in enumerate(moments[:-1])
    )


def _framed(moment: Moment) -> str:
    border = f'<rect class="frame {mode_class(moment.mode)}" width="{n(WIDE)}" height="{n(HIGH)}" rx="6"/>'
    return f"{border}{caption(moment)}"
