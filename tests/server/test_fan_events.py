"""fanEvents of a real server and a real client (T19, T20): from POST /events to the socket, and its end."""

import asyncio
import time
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from schema.ids import encode
from tests.cast import give, hire
from tests.server.deployed import Deployment, Server
from tests.server.test_sockets import hear, opened, say
from tests.world import World

pytestmark = pytest.mark.slow

EVENTS = "subscription($b: ID) { fanEvents(brandId: $b) { name content fan { nickname } } }"
REVOKE = "mutation($i: RevokeGrantInput!) { revokeGrant(input: $i) { userErrors { code } revokedId } }"
TRACK = "mutation($i: TrackEventsInput!) { trackEvents(input: $i) { results { outcome } } }"


def row(fan: str, content: str) -> dict[str, Any]:
    return {
        "name": "h5_view",
        "identities": [{"kind": "EXTERNAL_ID", "value": fan, "issuer": "test"}],
        "content": content,
    }


async def post(server: Server, world: World, content: str) -> None:
    """Track an event in g1/b1 as a service would."""
    answer = await server.http.post(
        "/events",
        params={"brandId": world.id("Brand", "g1/b1")},
        json=[row("g1/b1/d1#2", content)],
        headers={"authorization": f"Bearer {world.api_key}"},
    )
    assert [result["outcome"] for result in answer.json()["results"]] == ["STORED"], answer.text


async def until_heard(client: ClientConnection, server: Server, world: World) -> None:
    """Track events until the first is heard: nothing else tells a client that it listens."""
    heard = asyncio.create_task(hear(client))
    for number in range(50):
        await post(server, world, f"first {number}")
        if (await asyncio.wait({heard}, timeout=0.2))[0]:
            break
    assert heard.result()["payload"]["data"]["fanEvents"]["content"].startswith("first")


async def heard_content(client: ClientConnection) -> dict[str, Any]:
    """Return the next event that is not one of the first."""
    while True:
        message = await hear(client)
        event: dict[str, Any] = message["payload"]["data"]["fanEvents"]
        if not event["content"].startswith("first"):
            return event


async def test_what_is_tracked_is_heard_until_the_right_ends(deployment: Deployment, world: World) -> None:
    await hire(world, "WATCHER")
    grant = await give(world, "WATCHER", "BRAND_ANALYST", "g1/b1")
    tokens = {who: deployment.tokens.mint_staff(who) for who in ("WATCHER", "HQ1", "B2")}

    async with deployment.serving() as server, opened(server) as client:
        await say(client, type="connection_init", payload={"Authorization": f"Bearer {tokens['WATCHER']}"})
        assert await hear(client) == {"type": "connection_ack"}
        foreign = {"query": EVENTS, "variables": {"b": world.id("Brand", "g1/b2")}}
        await say(client, id="foreign", type="subscribe", payload=foreign)
        refused = await hear(client)

        await say(client, id="all", type="subscribe", payload={"query": EVENTS})
        await until_heard(client, server, world)
        b2 = {"brandId": world.id("Brand", "g1/b2"), "events": [row("g1/b2/d1#2", "of b2")]}
        tracked = await server.ask(tokens["B2"], TRACK, i=b2)
        await post(server, world, "of b1")
        event = await heard_content(client)

        revoked = await server.ask(tokens["HQ1"], REVOKE, i={"grantId": encode("Grant", grant)})
        at = time.monotonic()
        ended = await hear(client)
        took = time.monotonic() - at
        await post(server, world, "too late")
        await say(client, type="ping")
        after = await hear(client)

    assert (refused["id"], refused["type"]) == ("foreign", "error")
    assert [error["extensions"]["code"] for error in refused["payload"]] == ["FORBIDDEN"]
    assert tracked["data"]["trackEvents"]["results"] == [{"outcome": "STORED"}]
    assert event == {"name": "h5_view", "content": "of b1", "fan": {"nickname": "粉丝 g1/b1/d1#2"}}
    assert revoked["data"]["revokeGrant"]["userErrors"] == []
    assert (ended["id"], ended["type"]) == ("all", "error")
    assert [error["extensions"]["code"] for error in ended["payload"]] == ["FORBIDDEN"]
    assert took < 1
    assert after == {"type": "pong"}
    assert "Traceback" not in server.log.read_text()
