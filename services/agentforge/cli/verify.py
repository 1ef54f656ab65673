"""`agentforge verify`: what can be known here of a package for a device, a run's outputs or a compressed model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.kit.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from agentforge.edge.package.verdict import Verification


@dataclass(frozen=True)
class VerifyOptions:
    path: Path
    public_key: Path | None
    require_signature: bool
    replay: bool
    trust_code: bool
    as_json: bool


def verify(options: VerifyOptions) -> int:
    """Exit code 1 when something is not what it should be; what is wrong with the request is raised."""
    if not options.path.exists():
        message = f"there is nothing at {options.path}"
        raise NotFound(message, reason="PACKAGE_NOT_FOUND", field="path", next_step="Correct the path.")
    kinds = (_outputs, _exported, _compressed) if options.path.is_dir() else ()
    found = next((each for kind in kinds if (each := kind(options)) is not None), None)
    if found is None:
        found = _package(options)
    if options.as_json:
        print(json.dumps(found.record(), indent=2, ensure_ascii=False))
    else:
        _print(found)
    return 1 if found.failures else 0


def _outputs(options: VerifyOptions) -> Verification | None:
    from agentforge.cli.outputs import verify_outputs
    from agentforge.kit.paths import home

    found = verify_outputs(home(), options.path)
    if found is not None:
        _check_unsigned(options, "of a run, and runs do not sign")
    return found


def _exported(options: VerifyOptions) -> Verification | None:
    from agentforge.cli.exported import is_exported, verify_exported

    if not is_exported(options.path):
        return None
    if options.require_signature and options.public_key is None:
        message = "a signature is required, and no public key was given to check it with"
        raise InvalidInput(
            message, reason="NO_PUBLIC_KEY", field="--public-key", next_step="Give --public-key FILE."
        )
    return verify_exported(options.path, options.public_key)


def _compressed(options: VerifyOptions) -> Verification | None:
    from agentforge.train.directory import is_compressed

    if not is_compressed(options.path):
        return None
    _check_unsigned(options, "a compressed model, which bears no signature")
    from agentforge.cli.compressed import verify_compressed

    return verify_compressed(options.path)


def _check_unsigned(options: VerifyOptions, what: str) -> None:
    if options.require_signature:
        message = f"{options.path} is {what}; packages are signed"
        step = "Leave --require-signature out."
        raise InvalidInput(message, reason="CONFLICTING_OPTIONS", field="--require-signature", next_step=step)


def _package(options: VerifyOptions) -> Verification:
    from agentforge.edge.package.verify import is_package, verify_package

    if not is_package(options.path):
        message = f"{options.path} is no package (it holds no manifest.json), and no finished run's output"
        step = (
            "Give a .tar.gz of phase adas, the top folder (agentforge-<name>) of an unpacked one, or runs/ID/PHASE."
        )
        raise InvalidInput(message, reason="NOT_A_PACKAGE", field="path", next_step=step)
    return verify_package(
        options.path, public_key=options.public_key, require_signature=options.require_signature,
        replay=options.replay, trust_code=options.trust_code,
    )  # fmt: skip


def _print(found: Verification) -> None:
    print(_plain(f"{found.name} {found.version}".strip() or found.path))
    for check in found.checks:
        mark = {"ok": "ok", "failed": "FAIL"}.get(check.status, "-")
        print(f"{mark:<5} {check.name:<22} {_plain(check.fact)}")
        if check.next_step:
            print(f"{'':<28} next: {_plain(check.next_step)}")
    if not found.failures:
        _list("Not verified here:", found.not_verified_here)
        _list("Not in the package:", found.not_in_package)
    failed, unmade = len(found.failures), sum(check.status == "not checked" for check in found.checks)
    rest = f"; {unmade} not made" if unmade else ""
    made = len(found.checks) - unmade
    print(f"refused: {failed} of {made} checks failed{rest}" if failed else f"verified: {made} checks{rest}")


def _list(title: str, sentences: Sequence[str]) -> None:
    if sentences:
        print(title)
    for sentence in sentences:
        print(f"  - {_plain(sentence)}")


def _plain(text: str) -> str:
    """One line without a terminal's control codes: what a package says of itself is a stranger's."""
    return "".join(each if each.isprintable() else "�" for each in " ".join(text.split()))
