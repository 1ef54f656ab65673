"""All that can be known of a package without its device: `agentforge verify PACKAGE`.

Nothing of the package is read further before its digests hold (and its signature, where a key is given). What runs
code of the package, the replay of its golden prompts, comes last, when all else is well, and only if that code is
this installation's own, or a key, or the user, vouches for it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from agentforge.edge.package.device_files import check_calibration, check_python, check_shell
from agentforge.edge.package.graphs import check_graphs
from agentforge.edge.package.layout import MANIFEST, SIGNATURE, UNLISTED, made_on_device
from agentforge.edge.package.manifest import MAX_BYTES, Manifest, read_manifest
from agentforge.edge.package.replay import check_golden, replay_golden, strange_code
from agentforge.edge.package.signing import load_public_key, signer, verify_signature
from agentforge.edge.package.unpack import MAX_SIGNATURE, unpack
from agentforge.edge.package.verdict import Verification
from agentforge.kit.errors import DataLoss, InvalidInput, NotFound
from agentforge.kit.files import disk_errors
from agentforge.kit.manifest import manifest as files_below

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ON_DEVICE = (
    "engines: TensorRT itself reads model.onnx for the first time in build_engine.sh",
    "latency, memory and power on the device: verify.py measures them there",
)


def is_package(path: Path) -> bool:
    """Whether `path` is to be taken for one, whole or not."""
    return path.is_file() or (path / MANIFEST).is_file()


def verify_package(
    path: Path,
    *,
    public_key: Path | None = None,
    require_signature: bool = False,
    replay: bool = True,
    trust_code: bool = False,
) -> Verification:
    """Raises for what the caller must change; what is wrong with the package is in the result."""
    if require_signature and public_key is None:
        message = "a signature is required, and no public key is given to check it with"
        step = "Give the maker's: --public-key FILE."
        raise InvalidInput(message, reason="NO_PUBLIC_KEY", field="public_key", next_step=step)
    key = None if public_key is None else load_public_key(public_key)
    if not path.exists():
        raise NotFound(f"there is nothing at {path}", reason="PACKAGE_NOT_FOUND", field=str(path))
    found = Verification(str(path))
    with tempfile.TemporaryDirectory(prefix="agentforge-verify-") as name:
        aside = Path(name)
        top = path if path.is_dir() else _unpacked(path, aside, found)
        manifest = top and _trusted(top, found, key)
        if top and manifest:
            place = _copied(top, aside, manifest) if path.is_dir() else top
            _examine(place, manifest, found)
            if replay:
                _replay(place, manifest, found, trusted=trust_code)
            else:
                found.not_checked("replay", "golden prompts were not asked again, as was wished")
        else:
            found.not_checked("content", "graphs and code of what is not the maker's package are not looked at")
    return found


def _unpacked(path: Path, aside: Path, found: Verification) -> Path | None:
    try:
        top = unpack(path, aside)
    except (DataLoss, InvalidInput) as error:
        found.failed_by("archive", error)
        return None
    found.ok("archive", f"{path.stat().st_size:,} bytes; regular files only, each as its manifest lists it")
    return top


def _copied(top: Path, aside: Path, manifest: Manifest) -> Path:
    """The files that hold, and no others, in a place where running them changes nothing of the user's."""
    place = aside / top.resolve().name
    with disk_errors(aside):
        for path in manifest.files:
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(top / path, place / path)
        shutil.copy(top / MANIFEST, place / MANIFEST)
    return place


def _trusted(top: Path, found: Verification, key: Ed25519PublicKey | None) -> Manifest | None:
    """The manifest, once it is what the key signed and the files are what it says."""
    with found.about("manifest"):
        data = _small(top / MANIFEST, MAX_BYTES)
        manifest = read_manifest(data)
        found.name, found.version = manifest.name, manifest.version
        found.not_in_package = manifest.not_in_package
        found.not_verified_here = manifest.not_verified_here or ON_DEVICE
        with found.about("signature"):
            _check_signature(top / SIGNATURE, data, found, key)
        with found.about("files"):
            _check_digests(top, manifest, found)
        return None if found.failures else manifest
    return None


def _check_signature(file: Path, manifest: bytes, found: Verification, key: Ed25519PublicKey | None) -> None:
    signature = _small(file, MAX_SIGNATURE) if file.exists() else None
    if key is None:
        named = "there is none" if signature is None else f"one by key {signer(signature)[:16]}…"
        found.not_checked("signature", f"{named}; no public key was given", "--public-key FILE checks it.")
    elif signature is None:
        step = "Ask its maker for a signed one."
        raise DataLoss("the package is not signed", reason="UNSIGNED", field=SIGNATURE, next_step=step)
    else:
        found.signed_by = verify_signature(manifest, signature, key)
        found.ok("signature", f"ed25519, key {found.signed_by[:16]}…, over {MANIFEST}", SIGNATURE)


def _check_digests(top: Path, manifest: Manifest, found: Verification) -> None:
    here = {entry["path"]: entry["sha256"] for entry in files_below(top)}
    before = len(found.failures)
    for path, record in manifest.files.items():
        if path not in here:
            found.failed("files", f"{path} is missing", "PACKAGE_FILE_MISSING", path)
        elif here[path] != record.sha256:
            fact = f"{path} is not what the manifest says: digest {here[path][:12]}…, not {record.sha256[:12]}…"
            found.failed("files", fact, "PACKAGE_FILE_ALTERED", path)
    for path in sorted(here.keys() - manifest.files.keys() - UNLISTED):
        if not made_on_device(path):
            cached = "A cache can hold other code than the file beside it. " if "__pycache__" in path else ""
            fact = f"{path} is not in the manifest"
            found.failed("files", fact, "PACKAGE_FOREIGN_FILE", path, f"{cached}Take it away.")
    if len(found.failures) == before:
        found.ok("files", f"{len(manifest.files)}, {manifest.total:,} bytes, each with its digest (sha256)")


def _examine(top: Path, manifest: Manifest, found: Verification) -> None:
    check_graphs(top, manifest, found)
    check_calibration(top, manifest, found)
    check_python(top, manifest, found)
    check_shell(top, found)
    check_golden(top, found)


def _replay(top: Path, manifest: Manifest, found: Verification, *, trusted: bool) -> None:
    strange = [] if trusted or found.signed_by else strange_code(manifest)
    if found.failures:
        found.not_checked("replay", "code of a package that is refused is not run")
    elif strange:
        fact = f"{strange[0]} is not this agentforge's, and no key vouches for it: it is not run"
        found.not_checked("replay", fact, "--public-key FILE, or --trust-remote-code if you know where it is from.")
    else:
        replay_golden(top, found)


def _small(file: Path, most: int) -> bytes:
    if not file.is_file():
        message = f"there is no {file.name}"
        raise InvalidInput(message, reason="BAD_MANIFEST", field=file.name, next_step="Is this the top folder?")
    with file.open("rb") as data:
        return data.read(most + 1)
