"""What V2X costs and what it stops, measured here; and what the channel's model says, told as a model.

python -m agentforge.phase7_adas.drive.v2x.measure
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from agentforge.kit.rng import Rng
from agentforge.phase7_adas.drive.v2x import bsm, cam, denm
from agentforge.phase7_adas.drive.v2x.bsm import CORE
from agentforge.phase7_adas.drive.v2x.channel import delivery_ratio
from agentforge.phase7_adas.drive.v2x.denm import Cause
from agentforge.phase7_adas.drive.v2x.envelope import HEAD, Envelope, What
from agentforge.phase7_adas.drive.v2x.load import STEP_US, Traffic
from agentforge.phase7_adas.drive.v2x.measure_load import measure_load
from agentforge.phase7_adas.drive.v2x.radio_spec import DSRC, PC5
from agentforge.phase7_adas.drive.v2x.receiver import Receiver
from agentforge.phase7_adas.drive.v2x.signing import Ed25519Signer, Ed25519Verifier
from agentforge.phase7_adas.drive.v2x.told import Told
from agentforge.phase7_adas.drive.v2x.udp import Listener, Speaker
from agentforge.phase7_adas.drive.v2x.wire_bsm import core_of

DISTANCES_M = (25, 50, 100, 150, 200, 300, 400, 500, 600, 800, 1000)
CROWDS = (1, 50, 200)
ATTACKED = 50
"""Stations of the stream that attacks are made from."""
REPEATS, BATCH = 300, 100
TOLD = Told(7, 5_000_000, 3.0, 4.0, 1.0, 20.0, -6.0)
PLACE = (48.0000123, 11.0000456)


def measure_v2x(seed: int, *, stations: int = 200, seconds: float = 10.0) -> dict[str, Any]:
    """`seed` is of the octets that are garbage and of nothing else: what is timed is the same each time."""
    return {
        "codecs": codecs(),
        "signatures": signatures(),
        "load": measure_load(stations, seconds),
        "attacks": attacks(seed),
        "delivery_by_the_model": delivery(),
    }


def codecs(repeats: int = REPEATS) -> dict[str, Any]:
    """Median microseconds of one message, in one process, warm; and octets."""
    core = core_of(TOLD, *PLACE, 5)
    trees = {
        "cam": cam.tree_of(TOLD, *PLACE, False),
        "cam with low-frequency container": cam.tree_of(TOLD, *PLACE, True),
        "denm": denm.tree_of(TOLD, *PLACE, Cause.EMERGENCY_BRAKING, 1, TOLD.t_us, False),
    }
    octets = bsm.encode(core)
    batch_NB = np.frombuffer(octets * BATCH, dtype=np.uint8).reshape(BATCH, -1)
    out: dict[str, Any] = {
        "bsm, pycrate": _timed(lambda: bsm.encode(core), lambda: bsm.decode(octets), octets, repeats),
        "bsm, fixed layout": _timed(
            lambda: CORE.write(core), lambda: CORE.read(batch_NB), octets, repeats, at_once=BATCH
        ),
    }
    for name, tree in trees.items():
        module = denm if name == "denm" else cam
        out[name] = _timed_of(module.encode, module.decode, tree, repeats)
    return out


def _timed_of(
    encode: Callable[[dict[str, Any]], bytes], decode: Callable[[bytes], Any], tree: dict[str, Any], repeats: int
) -> dict[str, float]:
    octets = encode(tree)
    return _timed(lambda: encode(tree), lambda: decode(octets), octets, repeats)


def _timed(
    encode: Callable[[], Any], decode: Callable[[], Any], octets: bytes, repeats: int, at_once: int = 1
) -> dict[str, float]:
    datagram = Envelope(What.BSM, 1, 1, 1, octets).covered()
    return {
        "encode_us": _median_us(encode, repeats), "decode_us": _median_us(decode, repeats) / at_once,
        "decoded_at_once": at_once, "octets": len(octets), "octets_with_envelope": len(datagram), "n": repeats,
    }  # fmt: skip


def _median_us(call: Callable[[], Any], repeats: int = REPEATS) -> float:
    call()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


def signatures() -> dict[str, float]:
    """Ed25519 over one BSM with its envelope."""
    signer = Ed25519Signer.from_seed(bytes(range(32)))
    covered = Envelope(What.BSM, 7, 1, TOLD.t_us, CORE.write(core_of(TOLD, *PLACE, 5))).covered()
    signature, verifier = signer.sign(covered), Ed25519Verifier({7: signer.public()})
    return {
        "sign_us": _median_us(lambda: signer.sign(covered)),
        "verify_us": _median_us(lambda: verifier.verify(7, covered, signature)),
        "octets": len(signature),
        "n": REPEATS,
    }


def attacks(seed: int) -> dict[str, Any]:
    """Over real UDP on loopback: a true stream, all of it again, garbage, and the stream with turned bits."""
    stream = recorded(ATTACKED, 1.0)
    rng = Rng(seed, "adas/drive/v2x/garbage").numpy()
    noise = [(t_us, rng.bytes(int(rng.integers(0, 200)))) for t_us, _ in stream for _ in range(5)]
    headed = [(t_us, datagram[: HEAD.size] + rng.bytes(CORE.octets)) for t_us, datagram in stream]
    turned = [(t_us, turned_bits(datagram, rng)) for t_us, datagram in stream]
    signer = Ed25519Signer.from_seed(bytes(range(32)))
    signed = [(t_us, datagram + signer.sign(datagram)) for t_us, datagram in stream]
    verifier = Ed25519Verifier(dict.fromkeys(range(1, ATTACKED + 1), signer.public()))
    listener = Listener()
    speaker, receiver = Speaker(listener.address), Receiver()
    try:
        out = {"true stream": _through(listener, speaker, receiver, stream)}
        end_us = stream[-1][0]
        out["replayed at once"] = _through(listener, speaker, receiver, [(end_us, each) for _, each in stream])
        out["replayed after 10 s"] = _through(
            listener, speaker, receiver, [(t_us + 10_000_000, each) for t_us, each in stream]
        )
        out["random octets"] = _through(listener, speaker, receiver, noise)
        out["random octets behind a true head"] = _through(listener, speaker, receiver, headed)
        out["one to four bits turned, unsigned"] = _through(listener, speaker, Receiver(), turned)
        out["one to four bits turned, signed"] = _through(
            listener,
            speaker,
            Receiver(verifier=verifier),
            [(t_us, turned_bits(each, rng)) for t_us, each in signed],
        )
    finally:
        listener.close()
        speaker.close()
    return out


def recorded(stations: int, seconds: float) -> list[tuple[int, bytes]]:
    """A stream of BSMs with the instants at which they were sent."""
    traffic = Traffic(stations, 0)
    return [
        (n * STEP_US, datagram)
        for n in range(round(seconds * 1e6 / STEP_US))
        for datagram in traffic.step(n, n * STEP_US)
    ]


def turned_bits(datagram: bytes, rng: np.random.Generator) -> bytes:
    octets = np.frombuffer(datagram, dtype=np.uint8).copy()
    for bit in rng.integers(8 * len(octets), size=int(rng.integers(1, 5))).tolist():
        octets[bit // 8] ^= 1 << bit % 8
    return octets.tobytes()


def _through(
    listener: Listener, speaker: Speaker, receiver: Receiver, stream: list[tuple[int, bytes]]
) -> dict[str, Any]:
    """Sends and receives in pieces that the socket's buffer holds."""
    received, accepted, dropped = receiver.received, receiver.accepted, receiver.dropped.copy()
    for begin in range(0, len(stream), 20):
        piece = stream[begin : begin + 20]
        speaker.send(datagram for _, datagram in piece)
        until_s, got = time.monotonic() + 1.0, 0
        while got < len(piece) and time.monotonic() < until_s:
            arrived = listener.receive()
            receiver.take(arrived, piece[-1][0])
            got += len(arrived)
    return {
        "sent": len(stream), "received": receiver.received - received, "accepted": receiver.accepted - accepted,
        "dropped": dict(receiver.dropped - dropped),
    }  # fmt: skip


def delivery() -> dict[str, Any]:
    """Measured on no radio: the expected part of messages that arrive, by channel.py's model and assumptions."""
    at_N = np.array(DISTANCES_M, dtype=np.float64)
    return {
        "distance_m": list(DISTANCES_M),
        **{
            f"{spec.name}, {crowd} stations": delivery_ratio(spec, at_N, crowd).tolist()
            for spec in (DSRC, PC5)
            for crowd in CROWDS
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure_v2x(1), indent=1) + "\n")
