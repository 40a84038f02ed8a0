"""The subscription to events (T19): each caller hears of those alone whose events they may read."""

from typing import Any

import pytest

from schema.ids import encode
from tests.cast import codes, token_of
from tests.domain.test_live import seen, send
from tests.server.deployed import eventually
from tests.sockets import Socket, connected
from tests.world import Client

EVENTS = "subscription($b: ID, $n: [String!]) { fanEvents(brandId: $b, names: $n) { name content fan { id } } }"
PLACES = ("g1/b1/d1", "g1/b1/d11", "g1/b2/d1", "g1/b10/d1", "g2/b1/d1")


def app_of(client: Client) -> Any:
    return client.http._transport.app  # type: ignore[attr-defined]


async def listening(client: Client, count: int = 1) -> None:
    """Wait until so many subscriptions listen."""
    assert await eventually(lambda: len(client.world.services.hub._listeners) >= count)


async def refused(socket: Socket, **variables: Any) -> list[str]:
    """Return the codes a subscription is refused with."""
    socket.subscribe(EVENTS, "refused", variables=variables)
    message = await socket.hear()
    assert (message["id"], message["type"]) == ("refused", "error")
    return codes({"errors": message["payload"]})


async def test_a_brand_that_is_foreign_is_refused_like_one_that_is_not(client: Client) -> None:
    world = client.world
    foreign = {"B1": "g1/b2", "D1": "g1/b10", "S1": "g2/b1", "SERVICE": "g1/b2", "G2": "g1/b1", "HQ1": "g2/b1"}

    for who, brand in foreign.items():
        async with connected(app_of(client)) as socket:
            await socket.init(token_of(world, who))
            assert await refused(socket, b=world.id("Brand", brand)) == ["FORBIDDEN"], who
            assert await refused(socket, b=encode("Brand", 2**40)) == ["FORBIDDEN"], who
    assert not world.services.hub._listeners


async def test_a_bad_argument_is_named(client: Client) -> None:
    async with connected(app_of(client)) as socket:
        await socket.init(token_of(client.world, "B1"))
        for names in ([], ["x"] * 51):
            assert await refused(socket, n=names) == ["BAD_USER_INPUT"]
        assert await refused(socket, b=client.world.id("Fan", "g1/b1/d1#1")) == ["NOT_FOUND"]


@pytest.mark.parametrize("who", ["HQ1", "B1", "B1READ", "B2", "D1", "D11", "S1", "SERVICE", "G2"])
async def test_each_caller_hears_of_the_fans_they_may_read_and_of_no_other(client: Client, who: str) -> None:
    world = client.world
    # g1/b2/d1#1 shares its person with g1/b1/d1#1: an event by its identity is another fan's
    sent = [f"{place}#{number}" for place in PLACES for number in (1, 2) if (place, number) != ("g1/b2/d1", 1)]
    fan = "query($id: ID!) { fan(id: $id) { id } }"
    may_read = {name for name in sent if not await client.codes(who, fan, id=world.id("Fan", name))}
    assert may_read

    async with connected(app_of(client)) as socket:
        await socket.init(token_of(world, who))
        socket.subscribe(EVENTS)
        await listening(client)
        for name in sent:
            await send(world, seen(fan=name, content=name), path=name.rpartition("/")[0])
        heard = [(await socket.data())["fanEvents"] for _ in may_read]
        # one more of the first they may read: what else came would have come before it
        again = next(name for name in sent if name in may_read)
        await send(world, seen(fan=again, content="last"), path=again.rpartition("/")[0])
        last = (await socket.data())["fanEvents"]

    assert {event["content"]: event["fan"]["id"] for event in heard} == {n: world.id("Fan", n) for n in may_read}
    assert last["content"] == "last"


async def test_one_brand_and_some_names_are_all_that_is_heard_where_they_are_asked(client: Client) -> None:
    world = client.world

    async with connected(app_of(client)) as socket:
        await socket.init(token_of(world, "HQ1"))
        socket.subscribe(EVENTS, "brand", variables={"b": world.id("Brand", "g1/b2")})
        await listening(client)
        socket.subscribe(EVENTS, "names", variables={"n": ["signed_in"]})
        await listening(client, 2)
        await send(world, seen(content="b1"))
        await send(world, seen(fan="g1/b2/d1#1", content="b2"), path="g1/b2")
        message = await socket.hear()
        assert socket.answered.empty()

    assert message["id"] == "brand"
    assert message["payload"]["data"]["fanEvents"]["content"] == "b2"
