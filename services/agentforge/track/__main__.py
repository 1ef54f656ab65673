"""`python -m agentforge.track wandb|otel RUN_ID [--phase PHASE]`: what the gateway starts for a run."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from agentforge.kit.errors import ForgeError
from agentforge.kit.paths import home
from agentforge.track.source import PIPELINE
from agentforge.track.tell import tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="agentforge.track")
    parser.add_argument("kind", choices=("wandb", "otel"))
    parser.add_argument("run_id")
    parser.add_argument("--phase", default=PIPELINE)
    given = parser.parse_args()
    os.environ.pop("WANDB_SERVICE", None)  # a caller that uses wandb itself would lend its background process
    with contextlib.suppress(OSError):
        os.nice(10)  # the work comes before the talk about it
    try:
        tell(given.kind, home(), given.run_id, given.phase)
    except ForgeError as error:
        print(f"{error.reason}: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
