"""A model card as Hugging Face reads it: what was measured and recorded, and nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence

import yaml

from agentforge_gateway.models import Measurement
from agentforge_gateway.registry.facts import METHOD
from agentforge_gateway.registry.lineage import Data, Lineage, Node
from agentforge_gateway.registry.picture import mermaid
from agentforge_gateway.registry.records import VersionRecord
from agentforge_gateway.registry.tarring import SIGNATURE_TAG

_MODELS = ("model", "adapter", "trunk")  # kinds that were trained; all others are what a run read
_UNSAID = (
    "Only the measurements above were made. Nothing is known here of other tasks, languages, of safety or bias."
)


def card(version: VersionRecord, lineage: Lineage, data: Sequence[Data] = (), silent: Sequence[str] = ()) -> str:
    """`silent`: runs that say nothing of the data that they read."""
    return "\n".join(
        [
            "---",
            yaml.safe_dump(_header(version), sort_keys=False, allow_unicode=True).rstrip(),
            "---",
            f"# {version.name} {version.version}",
            "",
            *([_text(version.description), ""] if version.description else []),
            *_facts(version),
            "",
            "## Measured",
            "",
            *_measured(version.measurements),
            "",
            "## Data",
            "",
            *_data(lineage, data),
            "",
            "## Lineage",
            "",
            "```mermaid",
            mermaid(lineage),
            "```",
            "",
            *_steps(lineage),
            "",
            "## Limits",
            "",
            *_limits(version, lineage, silent),
            "",
        ]
    )


def _header(version: VersionRecord) -> dict[str, object]:
    header: dict[str, object] = {"library_name": "peft" if version.artifact.kind == "adapter" else "transformers"}
    header["tags"] = ["agentforge", *([version.origin.phase] if version.origin else [])]
    if version.base:
        header["base_model"] = version.base
    header["agentforge"] = {
        "model": version.name,
        "version": version.version,
        "sha256": version.artifact.sha256,
        "parameters": version.facts.parameters,
        "size_bytes": version.facts.size_bytes,
    }
    return header


def _facts(version: VersionRecord) -> list[str]:
    facts = version.facts
    counted = f"{facts.parameters:,} ({METHOD})" if facts.parameters is not None else "not counted: no safetensors"
    types = ", ".join(f"{n:,} × {name}" for name, n in facts.numbers_by_type.items()) or "none"
    rows = [
        ("Architecture", facts.architecture or "not said by its config.json"),
        ("Parameters", counted),
        ("Stored numbers", types),
        ("Size", f"{facts.size_bytes:,} bytes in {facts.files} files"),
        ("Digest", f"`{version.artifact.sha256}`"),
    ]
    if version.base:
        rows.append(("Adapter of", f"{version.base}: two artifacts, not merged here"))
    if facts.carries_code:
        rows.append(("Code", "it carries Python files, which run only with trust_remote_code"))
    for name, value in sorted(version.tags.items()):
        signed = name.startswith(SIGNATURE_TAG)
        rows.append(("Signature, not checked here", value) if signed else (f"Tag {name}", value))
    return ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in rows)]


def _measured(measurements: Sequence[Measurement]) -> list[str]:
    if not measurements:
        return ["Nothing was measured by the run that made it, or it was brought in without measurements."]
    rows = [
        "By the run that made it:",
        "",
        "| measured | value ± spread | unit | n | how |",
        "|---|---|---|---|---|",
    ]
    for one in measurements:
        spread = "" if one.spread is None else f" ± {one.spread:.3g}"
        cells = (one.name, f"{one.value:.6g}{spread}", one.unit, str(one.n), one.method)
        rows.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return rows


def _data(lineage: Lineage, data: Sequence[Data]) -> list[str]:
    """Endless streams are known by their beginning: what follows is decided by seed, config and code."""
    brought = [node for node in lineage.nodes if node.origin is None and node.artifact.kind not in _MODELS]
    if not data and not brought:
        return ["No run here says what data it read."]
    rows = ["| read by | data | what is hashed | pieces | sha256 |", "|---|---|---|---|---|"]
    cells = [(one.run, one.name, one.what, f"{one.count:,}", one.sha256[:16]) for one in data]
    for node in brought:
        what = f"{node.artifact.kind}, brought in; {node.artifact.size_bytes:,} bytes"
        cells.append(("", node.artifact.name, what, "", node.artifact.sha256[:16]))
    return rows + ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in cells]


def _steps(lineage: Lineage) -> list[str]:
    rows = ["| artifact | digest | made by | config digest | code digest |", "|---|---|---|---|---|"]
    return rows + [f"| {' | '.join(_cell(cell) for cell in _step(node))} |" for node in lineage.nodes]


def _step(node: Node) -> tuple[str, str, str, str, str]:
    name, digest = f"{node.artifact.name} ({node.artifact.kind})", node.artifact.sha256[:16]
    if node.origin is None:
        return name, digest, "brought in, or of unknown origin", "", ""
    made = node.origin
    return name, digest, f"{made.phase}, run {made.run_id}", made.config_digest[:16], made.code_digest[:16]


def _limits(version: VersionRecord, lineage: Lineage, silent: Sequence[str]) -> list[str]:
    said = [_UNSAID]
    if silent:
        said.append(f"What data these read is not recorded: {_text('; '.join(silent))}.")
    strangers = [
        node.artifact.name for node in lineage.nodes if node.origin is None and node.artifact.kind in _MODELS
    ]
    if strangers:
        said.append(f"What these were trained on is not recorded: {_text(', '.join(sorted(set(strangers))))}.")
    if version.facts.parameters is None:
        said.append("Its parameters are not counted, since it has no safetensors.")
    if not lineage.complete:
        said.append("The lineage goes on beyond what is shown.")
    return [f"- {sentence}" for sentence in said]


def _text(text: str) -> str:
    """A stranger's words as plain words: no HTML, no markup, no line of their own."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{c}" if c in "\\`*_[]#|!" else c for c in plain)


def _cell(text: str) -> str:
    return text if text.startswith("`") and text.count("`") == 2 and text[1:-1].isalnum() else _text(text)
