"""The tools of a run, by their names in the config."""

from __future__ import annotations

from collections.abc import Iterable

from agentforge.kit.errors import InvalidInput
from agentforge.phase6_baking.configs.tools import ToolsConfig
from agentforge.tools.builtin import builtin_tools
from agentforge.tools.describe import describe
from agentforge.tools.plugins import load_tool
from agentforge.tools.toolbox import Toolbox


def toolbox_of(config: ToolsConfig, marks: Iterable[str] = ()) -> Toolbox:
    """In the order of the names: it is the order in which a model is told of them."""
    plugins = {tool.spec.name: tool for tool in map(load_tool, config.plugins)}
    unnamed = sorted(plugins.keys() - set(config.names))
    if unnamed:
        message = f"the plug-in {unnamed[0]} is not among tools.names"
        raise InvalidInput(message, reason="UNKNOWN_TOOL", field="tools.names", next_step=f"Add {unnamed[0]}.")
    builtin = {name: tool for name in config.names if name not in plugins for tool in builtin_tools([name])}
    return Toolbox([{**builtin, **plugins}[name] for name in config.names], marks=marks)


def describe_tools(toolbox: Toolbox, config: ToolsConfig) -> str:
    return config.prompt or describe(toolbox.specs, config.describe)
