"""What build_engine.sh asks: python3 -m runtime.tensorrt_plan ask|seal|others … in the package's folder.

Answers are lines of a key, a tab and a value, which bash can read; what is wrong goes to stderr, with exit code 7.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .errors import BrokenPackage
from .tensorrt_engines import LONGEST_ARGUMENT, MODELS, PROFILES, Device, Wanted, others, seal, wanted, why_not

BROKEN = 7  # the exit code of build_engine.sh for a package that is not whole


def main(arguments: list[str] | None = None) -> int:
    told = _parser().parse_args(arguments)
    device = Device(told.device.strip(), told.sm, told.tensorrt)
    engines = told.package / "engines"
    try:
        if told.verb == "others":
            lines = [(name, reason) for name, reason in others(engines, device)]
        else:
            want = wanted(told.package, device, told.profile, told.precision, told.dla)
            plan = engines / want.name
            if told.verb == "seal":
                made = {"l4t": told.l4t, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
                seal(told.partial, plan, want, made)
            lines = _answer(plan, want)
    except (BrokenPackage, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return BROKEN
    sys.stdout.write("".join("{}\t{}\n".format(*line) for line in lines))
    return 0


def shape_argument(shapes: dict[str, list[int]]) -> str:
    """As trtexec reads it: name:1x2,name:1."""
    return ",".join("{}:{}".format(name, "x".join(map(str, dims))) for name, dims in shapes.items())


def layer_argument(names: list[str]) -> str:
    return ",".join(f"{name}:fp32" for name in names)


def _answer(plan: Path, want: Wanted) -> list[tuple[str, str]]:
    lines = [(bound, shape_argument(want.shapes[bound])) for bound in ("min", "opt", "max")]
    lines.append(("layers", layer_argument(want.identity["fp32_layers"])))
    for name, value in lines:
        if len(value.encode()) > LONGEST_ARGUMENT:
            raise BrokenPackage(f"{name} of {plan.name} is {len(value):,} bytes long, too much for one argument")
    reason = why_not(plan, want) if plan.exists() else ""
    state = "refused" if reason else "ready" if plan.exists() else "absent"
    return [*lines, ("plan", plan.name), ("state", state), ("reason", reason)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="runtime.tensorrt_plan", description=__doc__)
    parser.add_argument("verb", choices=["ask", "seal", "others"])
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--sm", type=int, required=True)
    parser.add_argument("--tensorrt", required=True)
    parser.add_argument("--profile", choices=PROFILES)
    parser.add_argument("--precision", choices=list(MODELS))
    parser.add_argument("--dla", type=int)
    parser.add_argument("--l4t", default="")
    parser.add_argument("--partial", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
