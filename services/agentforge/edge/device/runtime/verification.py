"""What verify.py does: first the digests, with nothing but the standard library; then all that runs the model."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from .errors import BrokenPackage, EdgeError, NotPossible
from .package import BACKENDS, Package

OK, MISMATCH, BROKEN = 0, 1, 2


def main(root: Path, arguments: list[str] | None = None) -> int:
    options = parser(root).parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    say = _to_stderr if options.json else _to_stdout
    try:
        package = Package(options.package)
        faults = package.faults()
        if faults:
            raise BrokenPackage("the package is not what was packed:\n  " + "\n  ".join(faults))
        say(f"{package.name} {package.version}: every file is what the manifest says (sha256)")
        from .checks import verify  # not sooner: a damaged file must be named, not stumbled over

        report = verify(package, options, say)
    except ImportError as error:
        sys.stderr.write(f"{error}: install what requirements.txt names\n")
        return BROKEN
    except (EdgeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return MISMATCH if isinstance(error, NotPossible) else BROKEN
    out = options.out or options.package / "verification.json"
    out.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    say(f"{report['summary']}; written to {out}")
    if options.json:
        _to_stdout(json.dumps(report, sort_keys=True))
    return OK if report["ok"] else MISMATCH


def parser(root: Path) -> argparse.ArgumentParser:
    said = argparse.ArgumentParser(
        description="Check the package on this device. Exit code 0: well; 1: answers differ; 2: broken or tampered."
    )
    said.add_argument("--package", type=Path, default=root, help="the unpacked package")
    said.add_argument("--backend", choices=BACKENDS, default="auto", help="auto: all that are there")
    said.add_argument("--file", default="", help="this file of models/ only")
    said.add_argument("--threads", type=int, default=0, help="of onnxruntime; 0: one for each core")
    said.add_argument("--steps", type=int, default=128, help="decode steps to time, each")
    said.add_argument("--out", type=Path, help="default: verification.json in the package")
    said.add_argument("--json", action="store_true", help="the report on stdout, words on stderr")
    return said


def _to_stdout(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def _to_stderr(words: str) -> None:
    sys.stderr.write(words + "\n")
