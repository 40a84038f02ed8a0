"""A fan hears what they do themselves, and of nobody else; it ends when they are erased."""

import asyncio
from typing import Any

from tests.api.test_erase_me import ERASE
from tests.api.test_export_my_data import work
from tests.attack.test_fan_events import app_of, listening
from tests.cast import token_of
from tests.domain.test_live import seen, send
from tests.domain.test_merging import merge, person_of
from tests.server.deployed import eventually
from tests.sockets import Socket, connected
from tests.world import Client

ME, OTHER = "g1/b1/d1#2", "g1/b1/d1#3"
MINE = "subscription { myEvents { name content } }"
PATH = "/fan/graphql"


async def heard(socket: Socket) -> str:
    event: dict[str, Any] = (await socket.data())["myEvents"]
    return str(event["content"])


async def test_two_fans_hear_each_of_their_own(client: Client) -> None:
    world = client.world
    async with connected(app_of(client), PATH) as mine, connected(app_of(client), PATH) as theirs:
        for socket, who in ((mine, ME), (theirs, OTHER)):
            await socket.init(token_of(world, who))
            socket.subscribe(MINE)
        await listening(client, 2)

        for name in (OTHER, "g1/b2/d1#2", ME):
            await send(world, seen(fan=name, content=name), path=name.rpartition("/")[0])

        # what else came would have come before
        assert await heard(mine) == ME
        assert await heard(theirs) == OTHER


async def test_who_was_merged_hears_of_who_they_are_now(client: Client) -> None:
    world = client.world
    async with connected(app_of(client), PATH) as socket:
        await socket.init(token_of(world, OTHER))
        socket.subscribe(MINE)
        await listening(client)
        await merge(world, await person_of(world, ME), await person_of(world, OTHER))
        # the rights are asked anew twice a second, and with them who it is
        await asyncio.sleep(1)

        await send(world, seen(fan=OTHER, content="after"), path="g1/b1")

        assert await heard(socket) == "after"


async def test_it_ends_with_the_fan(client: Client) -> None:
    async with connected(app_of(client), PATH) as socket:
        await socket.init(token_of(client.world, ME))
        socket.subscribe(MINE)
        await listening(client)

        await client.data(ME, ERASE)
        await work(client.world)

        assert await socket.hear() == 4403
    assert await eventually(lambda: not client.world.services.hub._listeners)


async def test_staff_have_no_self_to_listen_to(client: Client) -> None:
    async with connected(app_of(client), PATH) as socket:
        socket.say(type="connection_init", payload={"Authorization": f"Bearer {token_of(client.world, 'B1')}"})
        assert await socket.hear() == 4403
