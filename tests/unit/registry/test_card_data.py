"""What a card says of data: what the runs noted, what was brought in, and where nothing is known."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.unit.gateway.conftest import finished, http, spec, world_with

HASH = "ab" * 32


def test_a_card_names_the_data_of_every_step(place: Path) -> None:
    async def story() -> None:
        async with world_with(place, "echo", "count") as world, world.gateway() as gateway, http(gateway) as client:
            await gateway.parts.runs.start("r1", spec(count={"n": 3}))
            await finished(gateway, "r1")
            path = world.home / "runs" / "r1" / "echo" / "DONE.json"
            done = json.loads(path.read_text())
            done["data"] = [
                {"name": "sums/test", "what": "its <b>items</b>; seed 7", "count": 1250, "sha256": HASH}
            ]
            path.write_text(json.dumps(done))
            made = await client.post("/v1/models/m:register", json={"source": "r1:count/text"})
            assert made.status_code == 201, made.text
            card = (await client.get("/v1/models/m/card")).text
            assert card == (world.home / "models" / "m" / "1.0.0" / "README.md").read_text()
            data = card.partition("## Data")[2].partition("## Lineage")[0]
            assert (
                "| echo, run r1 | sums/test | its &lt;b&gt;items&lt;/b&gt;; seed 7 | 1,250 | abababababababab |"
                in data
            )
            assert "What data these read is not recorded: count, run r1." in card
            given = world.home / "mine.txt"
            given.write_text("some text")
            source = {"name": "text", "kind": "text", "path": "mine.txt"}
            asked = spec("count").model_copy(update={"from_phase": "count"})
            asked = asked.model_validate({**asked.model_dump(), "inputs": [source]})
            await gateway.parts.runs.start("r2", asked)
            await finished(gateway, "r2")
            await client.post("/v1/models/n:register", json={"source": "r2:count/text"})
            data = (await client.get("/v1/models/n/card")).text.partition("## Data")[2].partition("## Lineage")[0]
            assert "text, brought in; 9 bytes" in data

    asyncio.run(story())


def test_nothing_known_is_said(place: Path) -> None:
    async def story() -> None:
        async with world_with(place) as world, world.gateway() as gateway, http(gateway) as client:
            from .making import model

            model(world.home / "mine" / "a")
            await client.post("/v1/models/m:register", json={"source": "mine/a"})
            card = (await client.get("/v1/models/m/card")).text
            assert "No run here says what data it read." in card
            assert "What these were trained on is not recorded: m." in card

    asyncio.run(story())
