"""Build the nine images with plain docker, print their sizes, and copy their bills of materials out. `make images`.

    python -m deploy.build_images [NAME …] [--base IMAGE] [--variant cpu|cuda] [--tag TAG] [--sboms DIRECTORY]

NAME is gateway or a phase; without names all are built. pip's configuration, apt's sources and the CA of this
machine go in as build secrets, pip's local folders of wheels as an image of their own: none of them is in a layer
of the result.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.build_environment import PipSettings, apt_lines, engine, pip_settings
from deploy.image_sizes import table

ROOT = Path(__file__).resolve().parents[1]
PHASE = re.compile(r'"agentforge\.phase\d+_(\w+)\.')
WHEELS = "agentforge-wheels:local"
SBOM = "/usr/share/agentforge/sbom.json"


def main() -> None:
    phases = PHASE.findall((ROOT / "services/agentforge/pipeline.py").read_text())
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument("--base", default="agentforge-base:bookworm")
    arguments.add_argument("--variant", choices=["cpu", "cuda"], default="cpu")
    arguments.add_argument("--tag", default="latest")
    arguments.add_argument("--source", default="unknown", help="Where the sources are, for the label.")
    arguments.add_argument("--sboms", type=Path, default=ROOT / "build/images")
    options = arguments.parse_args()
    if unknown := set(options.names) - {"gateway", *phases}:
        arguments.error(f"no image is called {', '.join(sorted(unknown))}; there are gateway, {', '.join(phases)}")
    docker = engine()
    names = options.names or ["gateway", *phases]
    build = {
        "BASE": options.base,
        "VARIANT": options.variant,
        "PHASES": ",".join(phases),
        "VERSION": tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
        "REVISION": revision(),
        "SOURCE": options.source,
    }
    with secrets(docker, build) as given, tempfile.TemporaryDirectory() as folder:
        copy_sources(Path(folder))
        for name in names:
            build_one(docker, name, f"agentforge-{name}:{options.tag}", build, [*given, folder])
    for name in names:
        copy_sbom(docker, f"agentforge-{name}:{options.tag}", options.sboms / f"{name}.cdx.json")
    say(table(docker, options.base, [f"agentforge-{name}:{options.tag}" for name in names]))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def copy_sources(folder: Path) -> None:
    """What .dockerignore lets through, so that all nine are of the same sources, whoever works meanwhile."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    ignored = shutil.ignore_patterns(*(rule[3:] for rule in rules if rule.startswith("**/")))
    for name in ["deploy/Dockerfile", *(rule[1:] for rule in rules if rule.startswith("!"))]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, folder / name)


def build_one(docker: str, name: str, tag: str, build: dict[str, str], given: list[str]) -> None:
    """`given`: the secrets' arguments, and last the folder of sources."""
    say(f"building {tag}")
    named = build if name == "gateway" else build | {"PHASE": name}
    command = [docker, "build", "--tag", tag, "--network", "host"]
    command += ["--target", "gateway" if name == "gateway" else "phase"]
    for key, value in named.items():
        command += ["--build-arg", f"{key}={value}"]
    command += ["--file", f"{given[-1]}/deploy/Dockerfile", *given]
    subprocess.run(command, check=True, env=os.environ | {"DOCKER_BUILDKIT": "1"})


def revision() -> str:
    """Of the sources; marked where they are not as committed."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


@contextmanager
def secrets(docker: str, build: dict[str, str]) -> Iterator[list[str]]:
    """Arguments that hand this machine's settings to the build, for as long as it lasts."""
    pip = pip_settings()
    for place in pip.left_out:
        say(f"left out of the build: {place} (an index in a folder; pip's find-links is taken along)")
    with tempfile.TemporaryDirectory() as folder:
        given = {"pip_conf": Path(folder, "pip.conf"), "apt_sources": Path(folder, "apt.list")}
        given["pip_conf"].write_text(pip.text)
        given["apt_sources"].write_text("\n".join([*apt_lines("bookworm"), ""]))
        if pip.certificates:
            given["ca"] = pip.certificates
        if pip.folders:
            import_wheels(docker, pip)
            build["WHEELS"] = WHEELS
        yield [word for key, file in given.items() for word in ("--secret", f"id={key},src={file}")]


def import_wheels(docker: str, pip: PipSettings) -> None:
    """pip's folders as the root of an image, numbered, since plain docker takes no second build context."""
    packing = ["tar", "--create", "--dereference", "--sort=name", "--owner=0", "--group=0"]
    for number, folder in enumerate(pip.folders):
        moved = f"--transform=s,^{folder.name},{number},"
        packing += [moved, "--directory", str(folder.parent), folder.name]
    with subprocess.Popen(packing, stdout=subprocess.PIPE) as tar:
        subprocess.run([docker, "import", "-", WHEELS], stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL)
    if tar.returncode:
        raise SystemExit(f"tar ended with {tar.returncode}")


def copy_sbom(docker: str, tag: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run([docker, "create", tag], check=True, capture_output=True, text=True).stdout.strip()
    try:
        subprocess.run([docker, "cp", f"{made}:{SBOM}", str(file)], check=True)
    finally:
        subprocess.run([docker, "rm", made], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
