"""README.md of a package: the text for whoever unpacks it on a device, filled in from what its manifest says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any


def readme(about: Mapping[str, Any], top: str) -> str:
    """`about`: the manifest's fields that a maker gives (name, version, model, target …); `top`: the top folder."""
    template = resources.files("agentforge.edge.device").joinpath("README.md.in").read_text(encoding="utf-8")
    rows = (
        f"| models/{file} | {facts['for']} (opset {facts['opset']}) | {facts['weights']} |"
        for file, facts in sorted(about["variants"].items())
    )
    lists = {name: _listed(about[name]) for name in ("verified", "not_verified_here", "not_in_package")}
    names = {"name": about["name"], "version": about["version"], "top": top, "variants": "\n".join(rows)}
    model = {name: about["model"][name] for name in ("parameters", "kind")}
    return template.format(**names, **model, **about["target"], **lists)


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences) or "Nothing."
