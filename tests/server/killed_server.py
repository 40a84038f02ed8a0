"""A server that is killed again and again under load, each time somewhere else. What its clients were told is kept.

SCRM_TEST_KILLS says how often, for those who have the time: a few kills are enough to see a fault that is there always.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx

from tests.conftest import GraphServer
from tests.server.deployed import Deployment, Server, eventually
from tests.world import NOWHERE

KILLS = int(os.environ.get("SCRM_TEST_KILLS", "3"))
CLIENTS = 6
# a client is told to come again where others are in the way
TRIES = 60

Send = Callable[[Server, str], Awaitable[bool]]
Look = Callable[[], Awaitable[set[str]]]


@dataclass
class Told:
    """What clients know of the keys they used: done, or not known."""

    done: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    def more_than(self, count: int) -> bool:
        """Tell whether more than so many are done."""
        return len(self.done) > count


def without_graph(deployment: Deployment) -> Deployment:
    """Return the deployment with a graph that never answers: nothing here needs one, and it starts sooner."""
    return replace(deployment, graph=GraphServer(NOWHERE, ("nobody", "nothing"), "none"))


async def through_kills(
    deployment: Deployment, keys: Iterator[str], send: Send, look: Look, *, kills: int = KILLS
) -> Told:
    """Send everything under new keys while the server is killed so often, then what nobody knows the fate of again.

    After each kill `look` says which keys had an effect, whole: those that were told done must be among them.
    """
    told, dice = Told(), random.Random(kills)
    for _ in range(kills):
        async with loaded(deployment, keys, send, told) as (server, before):
            assert await eventually(partial(told.more_than, before), 60)
            await asyncio.sleep(dice.uniform(0, 0.6))
            server.kill()
        there = await look()
        assert told.done <= there, told.done - there
        assert there <= told.done | told.unknown, there - told.done - told.unknown
    async with deployment.serving() as server:
        for key in sorted(told.unknown | set(list(told.done)[:20])):
            assert await patiently(server, key, send), key
    return told


@asynccontextmanager
async def loaded(
    deployment: Deployment, keys: Iterator[str], send: Send, told: Told
) -> AsyncIterator[tuple[Server, int]]:
    """Run a server whose clients go on until it is gone."""
    before = len(told.done)
    async with deployment.serving() as server:
        clients = [asyncio.create_task(_client(server, keys, send, told)) for _ in range(CLIENTS)]
        try:
            yield server, before
        finally:
            await asyncio.gather(*clients)


async def _client(server: Server, keys: Iterator[str], send: Send, told: Told) -> None:
    for key in keys:
        told.unknown.add(key)
        try:
            await patiently(server, key, send)
        except httpx.TransportError:
            return
        told.unknown.discard(key)
        told.done.add(key)


async def patiently(server: Server, key: str, send: Send) -> bool:
    """Send under a key until it is done; where others are in the way, again."""
    for _ in range(TRIES):
        if await send(server, key):
            return True
        await asyncio.sleep(0.05)
    raise AssertionError(f"others were in the way of {key} again and again")


def payload(answer: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a mutation says that was done, None where others were in its way."""
    if "errors" in answer:
        codes: Sequence[str] = [error["extensions"]["code"] for error in answer["errors"]]
        assert set(codes) <= {"CONFLICT", "UNAVAILABLE", "TIMEOUT"}, answer
        return None
    (found,) = answer["data"].values()
    assert found["userErrors"] == [], found
    made: dict[str, Any] = found
    return made
