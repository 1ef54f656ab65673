"""What is baked in: the text before a question that tells of tools, and the one that asks for a persona."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompts:
    """Each ends with a line break; empty where it is not wanted."""

    tools: str
    persona: str

    @property
    def whole(self) -> str:
        return self.tools + self.persona
