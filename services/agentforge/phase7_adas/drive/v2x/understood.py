"""From octets to messages: BSMs all at once by their fixed layout, CAM and DENM one by one by pycrate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from agentforge.phase7_adas.drive.truth import Floats, Kind
from agentforge.phase7_adas.drive.v2x import cam, denm
from agentforge.phase7_adas.drive.v2x.bsm import CORE
from agentforge.phase7_adas.drive.v2x.envelope import (
    HEAD,
    HEAD_DTYPE,
    LATEST_US,
    MAGIC,
    SIGNATURES,
    VERSION,
    Envelope,
    Malformed,
    What,
    delta_time,
    opened,
)
from agentforge.phase7_adas.drive.v2x.heard import Heard, heard_of_cores
from agentforge.phase7_adas.drive.v2x.pycrated import Undecodable

Screen: TypeAlias = Callable[[int, int, int], str]
"""Of station, sequence and stamp: why it is dropped, or nothing."""
BSM_PREFIX = MAGIC + bytes([VERSION, What.BSM])
BSM_END = HEAD.size + CORE.octets
BSM_SIZES = frozenset(BSM_END + octets for octets in SIGNATURES)


class Item(NamedTuple):
    what: What
    station: int
    sequence: int
    generated_us: int
    signed_to: int
    """Octets of the datagram that a signature covers; what follows is the signature."""
    datagram: bytes
    tree: dict[str, Any] | None
    """Of a DENM."""


@dataclass(frozen=True)
class Understood:
    items: list[Item]
    heard_N8: Floats
    """Columns of Heard; of a DENM the event's place."""


def understood(datagrams: Sequence[bytes], dropped: Counter[str], screen: Screen, most_trees: int) -> Understood:
    """`screen` says by the envelope alone why one is not worth decoding; pycrate decodes `most_trees` at most."""
    trees = 0
    groups: dict[int, list[bytes]] = {size: [] for size in sorted(BSM_SIZES)}
    items: list[Item] = []
    rows: list[Heard] = []
    for each in datagrams:
        if len(each) in BSM_SIZES and each[:4] == BSM_PREFIX:
            groups[len(each)].append(each)
            continue
        try:
            envelope = opened(each)
            reason = screen(envelope.station, envelope.sequence, envelope.generated_us)
            if reason or trees >= most_trees:
                raise Malformed(reason or "overload")
            trees += envelope.what is not What.BSM
            item, heard = _one(envelope, each)
        except Malformed as error:
            dropped[error.reason] += 1
            continue
        items.append(item)
        rows.append(heard)
    parts = [np.array(rows).reshape(-1, len(Heard._fields))]
    for group in groups.values():
        if group:
            parts.append(_bsms(group, items, dropped))
    return Understood(items, np.concatenate(parts))


def _bsms(group: list[bytes], items: list[Item], dropped: Counter[str]) -> Floats:
    """Of datagrams of one length. Adds to items those that are well-formed; gives their rows."""
    octets_NB = np.frombuffer(b"".join(group), dtype=np.uint8).reshape(len(group), -1)
    head_N = octets_NB[:, : HEAD.size].copy().view(HEAD_DTYPE)[:, 0]
    core_NF, decodes_N = CORE.read(octets_NB[:, HEAD.size : BSM_END])
    station_N, stamp_N = head_N["station"].astype(np.int64), head_N["generated_us"].astype(np.uint64)
    agrees_N = core_NF[:, CORE.at["id"]] == station_N
    agrees_N &= core_NF[:, CORE.at["secMark"]] == (stamp_N // np.uint64(1000) % np.uint64(60_000)).astype(np.int64)
    long_N, garbage_N = head_N["octets"] != CORE.octets, stamp_N > LATEST_US
    good_N = ~long_N & ~garbage_N & decodes_N & agrees_N
    if not good_N.all():
        dropped["length"] += int(long_N.sum())
        dropped["garbage"] += int((~long_N & garbage_N).sum())
        dropped["undecodable"] += int((~long_N & ~garbage_N & ~decodes_N).sum())
        dropped["inconsistent"] += int((~long_N & ~garbage_N & decodes_N & ~agrees_N).sum())
    kept = np.flatnonzero(good_N)
    many = len(kept)
    columns = zip(
        repeat(What.BSM, many),
        station_N[kept].tolist(),
        head_N["sequence"][kept].tolist(),
        stamp_N[kept].tolist(),
        repeat(BSM_END, many),
        [group[at] for at in kept.tolist()],
        repeat(None, many),
        strict=True,
    )
    items += map(Item._make, columns)
    return heard_of_cores(core_NF[kept])


def _one(envelope: Envelope, datagram: bytes) -> tuple[Item, Heard]:
    if envelope.what is What.BSM:  # every BSM that is as long as one went the other way
        raise Malformed("length")
    try:
        decode = cam.decode if envelope.what is What.CAM else denm.decode
        tree = decode(envelope.payload)
    except Undecodable as error:
        raise Malformed("undecodable") from error
    item = Item(
        envelope.what, envelope.station, envelope.sequence, envelope.generated_us,
        HEAD.size + len(envelope.payload), datagram, tree if envelope.what is What.DENM else None,
    )  # fmt: skip
    header = tree["header"]
    if header["stationID"] != envelope.station:
        raise Malformed("inconsistent")
    if envelope.what is What.CAM:
        return item, _cam(tree, header, envelope)
    management = tree["denm"]["management"]
    stated_ms, origin = management["referenceTime"], management["actionID"]["originatingStationID"]
    if (
        header["messageID"] != denm.MESSAGE_ID
        or stated_ms > envelope.generated_us // 1000
        or origin != envelope.station
    ):
        raise Malformed("inconsistent")
    return item, Heard(*denm.degrees_of(tree), 0.0, 0.0, 1.0, 1.0, 1.0, float(Kind.OBSTACLE))


def _cam(tree: dict[str, Any], header: dict[str, Any], envelope: Envelope) -> Heard:
    stated = tree["cam"]["generationDeltaTime"]
    if header["messageID"] != cam.MESSAGE_ID or stated != delta_time(envelope.generated_us):
        raise Malformed("inconsistent")
    heard = cam.heard_of(tree)
    if heard is None:
        raise Malformed("bodiless")
    return heard
