"""A strip of moments from above, each seen with the ego's way to the right."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from html import escape

import numpy as np

from agentforge.phase7_adas.drive.road import Road
from agentforge.phase7_adas.drive.truth import HEADING, LENGTH, SPEED, WIDTH, Kind, X, Y
from agentforge.phase7_adas.drive.view import shapes
from agentforge.phase7_adas.drive.view.moment import Moment
from agentforge.phase7_adas.drive.view.shapes import n
from agentforge.phase7_adas.drive.view.style import mode_class, style
from agentforge.phase7_adas.drive.view.words import description, heading_deg, mode_word, nearest_m, seconds

AHEAD_M, BEHIND_M, ASIDE_M = 50.0, 14.0, 11.0
PX_PER_M = 7.5
WIDE, HIGH = (AHEAD_M + BEHIND_M) * PX_PER_M, 2 * ASIDE_M * PX_PER_M
GAP, CAPTION, TITLE, LEGEND = 14.0, 24.0, 34.0, 30.0
LEGEND_OF = (
    ("ego", "ego"),
    ("vehicle", "vehicle"),
    ("cyclist", "cyclist"),
    ("pedestrian", "pedestrian"),
    ("obstacle", "obstacle"),
    ("track", "track"),
    ("foreseen", "foreseen"),
    ("plan", "plan"),
)


def pick(moments: Sequence[Moment], count: int = 6) -> list[Moment]:
    """The moments that tell most: first, last, where the mode changes for the worse, the nearest; then evenly."""
    if len(moments) <= count:
        return list(moments)
    last = len(moments) - 1
    chosen = [0, last, *(at for at in range(1, len(moments)) if moments[at].mode > moments[at - 1].mode)]
    nearest = min(range(len(moments)), key=lambda at: nearest_m(moments[at])[0])
    if min(abs(nearest - at) for at in chosen) > len(moments) // (3 * count):
        chosen.append(nearest)  # else a picture very like it is there
    chosen = sorted(list(dict.fromkeys(chosen))[:count])
    while len(chosen) < count:
        widest = max(range(len(chosen) - 1), key=lambda k: chosen[k + 1] - chosen[k])
        chosen.insert(widest + 1, (chosen[widest] + chosen[widest + 1]) // 2)
    return [moments[at] for at in chosen]


def strip_svg(road: Road, moments: Sequence[Moment], title: str, columns: int = 2) -> str:
    """A picture that needs nothing else; the same moments give the same bytes."""
    if not moments:
        raise ValueError("a strip of no moments")
    name = picture_name(title, moments)
    rows = -(-len(moments) // columns)
    wide = columns * WIDE + (columns + 1) * GAP
    high = TITLE + rows * (HIGH + CAPTION + GAP) + LEGEND
    # not <use>: rules of style() do not reach what it copies
    ground = road_of(road, moments)
    panels = []
    for at, moment in enumerate(moments):
        x = GAP + (at % columns) * (WIDE + GAP)
        y = TITLE + (at // columns) * (HIGH + CAPTION + GAP)
        panels.append(f'<g transform="translate({n(x)} {n(y)})">{_panel(name, moment, ground)}</g>')
    middle = f'<text class="strong" x="{n(GAP)}" y="23" font-size="15">{escape(title)}</text>'
    return (
        f"{opening(name, wide, high, title, description(moments))}{style(name)}"
        f"<defs>{clip_path(name)}</defs>"
        f'<rect class="page" width="{n(wide)}" height="{n(high)}"/>{middle}{"".join(panels)}'
        f"{legend(GAP, high - 12, wide)}</svg>"
    )


def picture_name(title: str, moments: Sequence[Moment]) -> str:
    """Of class and ids: pictures in one page do not take each other's."""
    digest = hashlib.sha256(title.encode())
    for moment in moments:
        digest.update(f"{moment.t_us} {moment.mode}".encode() + moment.ego_6.tobytes())
    return f"af{digest.hexdigest()[:10]}"


def opening(name: str, wide: float, high: float, title: str, words: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" role="img" viewBox="0 0 {n(wide)} {n(high)}" '
        f'width="{n(wide)}" height="{n(high)}" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(words)}</desc>'
    )


def clip_path(name: str) -> str:
    return f'<clipPath id="{name}-window"><rect width="{n(WIDE)}" height="{n(HIGH)}" rx="6"/></clipPath>'


def road_of(road: Road, moments: Sequence[Moment]) -> str:
    s, _ = road.to_road(np.array([[moment.ego_6[X], moment.ego_6[Y]] for moment in moments]))
    return shapes.road_shape(road, float(s.min()) - BEHIND_M - 20, float(s.max()) + AHEAD_M + 20)


def view_from(moment: Moment) -> str:
    """The transform from the ground to a panel: the ego at its place, its way to the right."""
    x, y = float(moment.ego_6[X]), float(moment.ego_6[Y])
    return f"{VIEW} rotate({n(-heading_deg(moment))}) translate({n(-x)} {n(-y)})"


VIEW = f"translate({n(BEHIND_M * PX_PER_M)} {n(HIGH / 2)}) scale({n(PX_PER_M)} {n(-PX_PER_M)})"


def _panel(name: str, moment: Moment, ground: str) -> str:
    frame = f'<rect class="frame {mode_class(moment.mode)}" width="{n(WIDE)}" height="{n(HIGH)}" rx="6"/>'
    return (
        f'<g clip-path="url(#{name}-window)"><rect class="ground" width="{n(WIDE)}" height="{n(HIGH)}"/>'
        f'<g transform="{view_from(moment)}">{ground}{scene(moment)}</g></g>{frame}'
        f"{caption(moment)}"
    )


def scene(moment: Moment) -> str:
    """Everything but the road, in metres on the ground."""
    parts = [] if moment.predictions is None else [shapes.predictions_shape(moment.predictions)]
    parts += [] if moment.plan_xy_T2 is None else [shapes.plan_shape(moment.plan_xy_T2)]
    others = moment.others
    for kind, state, size in zip(others.kind_N, others.state_N6, others.size_N3, strict=True):
        shape = shapes.body_shape(int(kind), float(size[LENGTH]), float(size[WIDTH]))
        parts.append(shapes.placed(shape, float(state[X]), float(state[Y]), float(state[HEADING])))
    ego, size = moment.ego_6, moment.ego_size_3
    shape = shapes.body_shape(Kind.VEHICLE, float(size[LENGTH]), float(size[WIDTH]), ego=True)
    parts.append(shapes.placed(shape, float(ego[X]), float(ego[Y]), float(ego[HEADING])))
    parts += [] if moment.tracks is None else [shapes.tracks_shape(moment.tracks, float(ego[HEADING]))]
    return "".join(parts)


def caption(moment: Moment) -> str:
    note = f'<tspan class="quiet" dx="10">{escape(moment.note)}</tspan>' if moment.note else ""
    return (
        f'<text x="2" y="{n(HIGH + 17)}"><tspan class="strong">{seconds(moment)}</tspan>'
        f'<tspan class="quiet" dx="10">{moment.ego_6[SPEED]:.1f} m/s</tspan>'
        f'<tspan class="strong word {mode_class(moment.mode)}" dx="10">{mode_word(moment)}</tspan>{note}</text>'
    )


def legend(left: float, y: float, right: float) -> str:
    """What the colours mean, in as many rows as fit between left and right; the first at y."""
    parts = []
    x = left
    for style_name, word in LEGEND_OF:
        takes = 38 + 7 * len(word)
        if x + takes > right:
            x, y = left, y + 20
        if style_name in ("foreseen", "plan"):
            line = f'<path class="{style_name}" d="M0 0h2.6"/>'
            mark = f'<g transform="translate({n(x)} {n(y - 4)}) scale(6)">{line}</g>'
        elif style_name == "track":
            mark = (
                f'<g transform="translate({n(x)} {n(y - 9)}) scale(6)">'
                '<rect class="track" width="2.6" height="1.7" rx=".3"/></g>'
            )
        else:
            mark = f'<rect class="{style_name}" x="{n(x)}" y="{n(y - 9)}" width="16" height="10" rx="2"/>'
        parts.append(f'{mark}<text class="quiet" x="{n(x + 21)}" y="{n(y)}" font-size="12">{word}</text>')
        x += takes
    return "".join(parts)
