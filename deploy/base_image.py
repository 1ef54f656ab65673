"""A base image without a registry: Debian by debootstrap, from this machine's own apt sources. `make base-image`.

python -m deploy.base_image [--tag TAG] [--suite SUITE]       (as root: debootstrap wants it)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.build_environment import apt_lines, engine

TAG = "agentforge-base:bookworm"
PACKAGES = "ca-certificates,python3"
# What a container never reads. Copyright files stay: they are the licences, and the bill of materials reads them.
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/locale", "usr/share/man", "usr/share/info")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--tag", default=TAG)
    arguments.add_argument("--suite", default="bookworm")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        bootstrap(root, options.suite)
        trim(root)
        pack(root, options.tag)
    sys.stdout.write(f"{options.tag}\n")


def bootstrap(root: Path, suite: str) -> None:
    mirrors = [line.split()[1] for line in apt_lines(suite) if line.split()[2] == suite]
    if not mirrors:
        raise SystemExit(f"this machine's apt sources have no {suite}: name one that they have with --suite")
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(root), mirrors[0]]
    subprocess.run(command, check=True)


def trim(root: Path) -> None:
    for name in LEFT_OUT:
        for file in sorted((root / name).rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    for file in (root / "usr/share/doc").rglob("*"):
        if file.name != "copyright" and not file.is_dir():
            file.unlink()
    (root / "etc/apt/sources.list").write_text("")  # this machine's mirror is nobody else's business
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/hostname").unlink(missing_ok=True)


def pack(root: Path, tag: str) -> None:
    packing = ["tar", "--create", "--numeric-owner", "--sort=name", "--directory", str(root), "."]
    with subprocess.Popen(packing, stdout=subprocess.PIPE) as tar:
        importing = [engine(), "import", "--change", 'CMD ["bash"]', "-", tag]
        subprocess.run(importing, stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL)
    if tar.returncode:
        raise SystemExit(f"tar ended with {tar.returncode}")


if __name__ == "__main__":
    main()
