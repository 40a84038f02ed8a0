"""What the README shows is what a reader gets."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.database import Database
from graph.driver import Graph
from graph.projector import Projector
from server.demo import load
from server.settings import Settings
from tests.world import Client, World, client_of, services_of

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")


class Silent:
    """Progress nobody watches."""

    def advance(self, stage: str, done: int, total: int) -> None:
        """Say nothing."""


def snippet(readme: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / readme).read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
async def demo_client(database: Database, settings: Settings, graph: Graph) -> AsyncIterator[Client]:
    """Yield a client on the whole demo group."""
    services = services_of(database, settings, graph)
    await load(database, services.vault, Silent())
    projector = Projector(database, graph)
    while await projector.run_once():
        pass
    async with client_of(World(services), settings) as client:
        yield client


@pytest.mark.slow
async def test_the_query_answers_what_the_readme_says(demo_client: Client) -> None:
    token = demo_client.world.services.tokens.mint_staff("brand@demo")
    for readme in READMES:
        body: dict[str, Any] = {"query": snippet(readme, "graphql")}

        answer = await demo_client.http.post("/graphql", json=body, headers={"authorization": f"Bearer {token}"})

        assert answer.json()["data"] == json.loads(snippet(readme, "json")), readme
