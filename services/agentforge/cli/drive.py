"""`agentforge drive`: scenarios of the driving pipeline, and what became of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.kit.errors import InvalidInput, MissingTool

if TYPE_CHECKING:
    from agentforge.phase7_adas.drive.closed_loop.outcome import Outcome
    from agentforge.phase7_adas.drive.evidence.results import Result
    from agentforge.phase7_adas.drive.showing import Shown


@dataclass(frozen=True)
class DriveOptions:
    names: tuple[str, ...]
    listed: bool
    minutes: float | None
    seed: int
    jobs: int
    out: Path | None
    parts: int
    record: Path | None
    replay: Path | None
    pack: Path | None
    as_json: bool


def run_drive(options: DriveOptions) -> int:
    try:
        _check(options)
        if options.listed:
            return _list(as_json=options.as_json)
        if options.pack is not None:
            return _pack(options.pack, as_json=options.as_json)
        if options.replay is not None:
            return _replay(options.replay, as_json=options.as_json)
        return _record(options, options.record) if options.record is not None else _drive(options)
    except ModuleNotFoundError as error:
        from agentforge.phase7_adas.configs.driving import PACKAGES

        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        message = f"driving needs the package {package!r}, which is not installed"
        step = "Install it: pip install 'agentforge[drive]'."
        raise MissingTool(message, field=package, next_step=step) from error


def _check(options: DriveOptions) -> None:
    """What cannot be asked for at once."""
    modes = {"--record": options.record, "--replay": options.replay, "--pack": options.pack}
    asked = [name for name, path in modes.items() if path is not None]
    if not asked:
        return
    besides = {
        asked[-1]: len(asked) > 1, "--minutes": options.minutes is not None, "--out": options.out is not None,
        "--parts": options.parts > 0, "--list": options.listed,
        "SCENARIO": bool(options.names) and asked[0] != "--record",
    }  # fmt: skip
    for other, given in besides.items():
        if given:
            message = f"{asked[0]} and {other} do not go together"
            step = "Drive for a report, record one scenario, replay one recording, or pack: one at a time."
            raise InvalidInput(message, field=other, next_step=step)
    if options.record is not None and len(options.names) != 1:
        message = f"--record takes one scenario, and {len(options.names)} were named"
        raise InvalidInput(message, field="SCENARIO", next_step="`agentforge drive --list` names them.")


def _pack(path: Path, *, as_json: bool) -> int:
    from agentforge.phase7_adas.drive.deployment.agent import deploy

    told = deploy(path)
    if as_json:
        print(json.dumps({**told, "path": str(path)}))
        return 0
    print(f"  {path}: {told['bytes']:,} bytes, sha256 {told['sha256']}")
    print(f"  Run here: {told['pictures']} pictures and {told['words']} sentences answered as by the pipeline;")
    camera, motion = told["camera_ms"]["p50"], told["motion_ms"]["p50"]
    print(f"  camera {camera:.1f} ms, motion {motion:.1f} ms (medians, this machine).")
    print(f"  On the device: python3 {path.name} --verify (it needs numpy and onnxruntime)")
    return 0


def _record(options: DriveOptions, path: Path) -> int:
    from agentforge.phase7_adas.drive.closed_loop.again import record
    from agentforge.phase7_adas.drive.showing import chosen

    (task,) = chosen(options.names, None, options.seed)
    outcome = record(task, path)
    if options.as_json:
        print(json.dumps({"outcome": asdict(outcome), "recording": str(path), "bytes": path.stat().st_size}))
        return 0
    _outcome(len(task.scenario), outcome)
    print(f"\nThe recording: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def _replay(path: Path, *, as_json: bool) -> int:
    """1 where the verdicts are not those of the recording."""
    from agentforge.phase7_adas.drive.closed_loop.again import replay

    found = replay(path)
    if as_json:
        print(json.dumps(asdict(found)))
        return 0 if found.holds else 1
    name = f"{found.scenario or 'no scenario'}, seed {found.seed}"
    by = "by this code" if found.same_code else f"by other code ({found.code[:12] or 'which it does not say'})"
    print(f"  {path}: {name}, recorded {by}; {found.ticks:,} ticks driven again")
    print(f"  modes: {', '.join(f'{mode} {count:,}' for mode, count in found.modes.items())}")
    if not found.recorded:
        print("  It holds no verdicts to compare with.")
        return 0
    print(f"  {found.equal:,} of {found.recorded:,} verdicts are equal to the bit")
    if found.first is not None:
        print(f"  They part after {found.first['t_us'] / 1e6:.2f} s:")
        print(f"    recorded {json.dumps(found.first['recorded'])}\n    now      {json.dumps(found.first['now'])}")
    return 0 if found.holds else 1


def _list(*, as_json: bool) -> int:
    from agentforge.phase7_adas.drive.scenarios.catalogue import SCENARIOS

    if as_json:
        rows = [
            {"name": one.name, "family": one.family.value, "summary": one.summary, "seconds": one.seconds,
             "wanted": one.wanted.value}
            for one in SCENARIOS.values()
        ]  # fmt: skip
        print(json.dumps(rows))
        return 0
    width = max(len(name) for name in SCENARIOS)
    family = ""
    for one in SCENARIOS.values():
        if one.family.value != family:
            family = one.family.value
            print(f"\n{family}")
        print(f"  {one.name:{width}}  {one.summary}")
    return 0


def _drive(options: DriveOptions) -> int:
    from agentforge.phase7_adas.drive.showing import chosen, show

    wanted = chosen(options.names, options.minutes, options.seed)
    width = max((len(task.scenario) for task in wanted), default=0)
    told = repr if options.as_json else partial(_outcome, width)
    shown = show(wanted, options.out, options.jobs, told, _parts(options))
    if options.as_json:
        print(json.dumps({"outcomes": [asdict(one) for one in shown.outcomes],
                          "results": [one.told() for one in shown.results]}))  # fmt: skip
    else:
        _tell(shown, options.out)
    return 0


def _parts(options: DriveOptions) -> dict[str, list[Result]]:
    """What is said of it goes to stderr: stdout is the answer."""
    if not options.parts:
        return {}
    from agentforge.phase7_adas.drive.closed_loop.parts import Sizes, measured

    return measured(Sizes(options.parts), told=lambda line: print(f"  {line}", file=sys.stderr, flush=True))


def _tell(shown: Shown, out: Path | None) -> None:
    print()
    _results(shown.results)
    if out is not None:
        from agentforge.phase7_adas.drive.showing import PAGE

        print(f"\nThe report: {out / PAGE}")


def _outcome(width: int, one: Outcome) -> None:
    what = f"hit somebody ({one.caused} of {one.collisions} by its own fault)" if one.collisions else one.ended
    wanted = "" if one.ended is one.wanted else f", wanted: {one.wanted}"
    stops = f", {one.false_stops} false stops" if one.false_stops else ""
    noticed = "" if one.detected_ms is None else f", fault named {one.named} after {one.detected_ms:.0f} ms"
    answer = noticed if one.reacted_ms is None else f"{noticed}, answered {one.reacted_ms:.0f} ms later"
    print(f"  {one.scenario:{width}}  {what}{wanted}{stops}{answer}", flush=True)


def _results(found: Sequence[Result]) -> None:
    from agentforge.phase7_adas.drive.evidence.results import HERE

    width = max(len(one.key) for one in found)
    for one in found:
        sure = "" if one.low is None or one.high is None else f" ({one.low:.4g} to {one.high:.4g})"
        bar = "" if one.bar is None else f", {one.sense} {one.bar:.4g}: {one.verdict}"
        unit = "" if one.unit == "1" else f" {one.unit}"
        source = "" if one.source == HERE else f" [{one.source}]"
        print(f"  {one.key:{width}}  {one.value:.4g}{unit}{sure}{bar}{source}")
    print("  Generated worlds and sensors; intervals at 95 %.")
