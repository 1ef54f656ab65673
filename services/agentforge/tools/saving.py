"""tools.json beside a model: which tools it was made to call, so that whoever runs it can give them to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from agentforge.kit.config import StrictModel, validate_config
from agentforge.kit.digests import canonical_json
from agentforge.kit.errors import DataLoss, FailedPrecondition
from agentforge.kit.files import write_atomic
from agentforge.kit.plainjson import to_plain_json
from agentforge.tools.builtin import builtin_tools
from agentforge.tools.plugins import load_tool
from agentforge.tools.tool import ToolSpec
from agentforge.tools.toolbox import Toolbox

FILE = "tools.json"


class SavedTools(StrictModel):
    builtin: list[str]
    plugins: list[str] = Field(description='"module:attribute" each; code that is not in the directory.')
    calls: int = Field(ge=1, le=32, description="Calls in one answer that get a result.")
    prompt: str = Field(description="What told of the tools before it was baked in; models without it need it.")
    tools: list[dict[str, JsonValue]] = Field(description="As MCP describes tools.")


@dataclass(frozen=True)
class Kit:
    toolbox: Toolbox
    calls: int


def save_tools(directory: Path, toolbox: Toolbox, *, plugins: list[str], calls: int, prompt: str) -> None:
    described = [spec.to_mcp() for spec in toolbox.specs]
    outside = {load_tool(each).spec.name for each in plugins}
    told: dict[str, Any] = {
        "builtin": [spec.name for spec in toolbox.specs if spec.name not in outside], "plugins": plugins,
        "calls": calls, "prompt": prompt, "tools": described,
    }  # fmt: skip
    write_atomic(directory / FILE, canonical_json(to_plain_json(told)))


def load_tools(directory: Path, *, trusted: bool = False, marks: Iterable[str] = ()) -> Kit | None:
    """None where the model calls none. `trusted`: code of plug-ins may be run. `marks`: special tokens of the
    model's tokenizer, which no result may spell."""
    path = directory / FILE
    if not path.is_file():
        return None
    saved = _saved(path)
    if saved.plugins and not trusted:
        message = f"{path} names tools by code of their own: {', '.join(saved.plugins)}"
        step = "Read that code; if you trust it, give --trust-remote-code. --no-tools does without."
        raise FailedPrecondition(message, reason="REMOTE_CODE_REFUSED", field="plugins", next_step=step)
    toolbox = Toolbox([*builtin_tools(saved.builtin), *(load_tool(each) for each in saved.plugins)], marks=marks)
    _check_same(path, toolbox, saved)
    return Kit(toolbox, saved.calls)


def _saved(path: Path) -> SavedTools:
    try:
        described = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataLoss(f"{path} is not JSON: {error}", reason="BROKEN_FILE", field=str(path)) from error
    if not isinstance(described, dict):
        raise DataLoss(f"{path} holds no JSON object", reason="BROKEN_FILE", field=str(path))
    return validate_config(SavedTools, described, prefix=FILE)


def _check_same(path: Path, toolbox: Toolbox, saved: SavedTools) -> None:
    """A tool that takes other arguments than the model learned would fail at each call."""
    learned = {spec.name: spec.input_schema for spec in map(ToolSpec.from_mcp, saved.tools)}
    for spec in toolbox.specs:
        if learned.get(spec.name) != spec.input_schema:
            message = f"the model learned another {spec.name} than this installation has"
            step = "Install the version that it was baked with, or bake it again."
            raise FailedPrecondition(message, reason="TOOL_CHANGED", field=f"{path}: {spec.name}", next_step=step)
