"""Build the image of PostgreSQL that tests take where no registry can be reached.

python -m deploy.postgres_for_tests [--base IMAGE] [--tag TAG]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

from deploy.build_environment import apt_lines, engine

FOLDER = Path(__file__).resolve().parent / "postgres-for-tests"
TAG = "agentforge-postgres-for-tests:latest"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--base", default="agentforge-base:bookworm")
    arguments.add_argument("--tag", default=TAG)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder, "apt.list")
        sources.write_text("\n".join([*apt_lines("bookworm"), ""]))
        command = [engine(), "build", "--tag", options.tag, "--network", "host", str(FOLDER)]
        command += ["--secret", f"id=apt_sources,src={sources}", "--build-arg", f"BASE={options.base}"]
        subprocess.run(command, check=True, env=os.environ | {"DOCKER_BUILDKIT": "1"})


if __name__ == "__main__":
    main()
