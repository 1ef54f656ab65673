"""What was imported and is nobody's goes with a clean-up that asks for it; what anybody has stays."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agentforge.kit.artifacts import import_tree
from tests.unit.gateway.conftest import finished, http, spec, world_with

from .making import model


def test_only_imports_that_nobody_has_go(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway() as gateway, http(gateway) as client:

            async def cleaned(**more: Any) -> list[str]:
                body = {"outputs": True, "older_than_s": 0, **more}
                items = (await client.post("/v1/storage:clean-up", json=body)).json()["items"]
                return [item["path"] for item in items if item["path"].startswith("imports/")]

            model(world.home / "mine" / "a")
            await client.post("/v1/models/m:register", json={"source": "mine/a"})
            spare = import_tree(world.home, model(place / "b", "b"), "b", "model")
            (place / "text.txt").write_text("of a run")
            used = import_tree(world.home, place / "text.txt", "text", "text")
            ask = spec("count").model_dump() | {"from_phase": "count", "inputs": [used.to_json()]}
            await gateway.parts.runs.start("r1", spec("count").model_validate(ask))
            await finished(gateway, "r1")
            wanted = [f"imports/{spare.sha256}"]
            assert await cleaned() == wanted
            assert await cleaned(outputs=False) == []
            assert await cleaned(older_than_s=3600) == []
            assert await cleaned(dry_run=False) == wanted
            assert not (world.home / wanted[0]).exists()
            assert (world.home / used.path).exists()
            assert (await client.post("/v1/models/m/verify")).json()["ok"] is True

    asyncio.run(story())
