"""When fans were last active: moved on by events in any order, sorted by, shown to who may read events."""

from typing import Any

import pytest
from sqlalchemy import select

from domain.events.models import FanActivity
from domain.persons.models import Side
from domain.persons.unmerging import unmerge
from domain.tables import table_of
from tests.cast import EVERYTHING, ask, codes, hire, make_role
from tests.domain.test_merging import merge, person_of
from tests.world import Client

TRACK = "mutation($i: TrackEventsInput!) { trackEvents(input: $i) { results { outcome } } }"
SORTED = """query($n: Int, $l: Int, $a: String, $b: String, $f: FanFilterInput) {
  fans(first: $n, last: $l, after: $a, before: $b, filter: $f, orderBy: LAST_ACTIVE_AT_DESC) {
    nodes { id lastActiveAt } pageInfo { endCursor startCursor hasNextPage hasPreviousPage } totalCount } }"""
ONE, TWO, THREE = (f"g1/b1/d1#{n}" for n in (1, 2, 3))
FAR = "g1/b1/d11#1"
activity = table_of(FanActivity)


async def did(client: Client, *done: tuple[str, str]) -> None:
    """Let fans do something at a moment each, all in one batch."""
    rows = [
        {
            "name": "scan",
            "occurredAt": at,
            "identities": [{"kind": "EXTERNAL_ID", "value": fan, "issuer": "test"}],
        }
        for fan, at in done
    ]
    given = {"brandId": client.world.id("Brand", "g1/b1"), "events": rows}
    answer = await client.data("SERVICE", TRACK, i=given)
    assert {row["outcome"] for row in answer["trackEvents"]["results"]} == {"STORED"}


async def order(
    client: Client, who: str = "B1", *, page: dict[str, Any] | None = None, n: int | None = None
) -> dict[str, Any]:
    names = {client.world.id("Fan", name): name for name in client.world.fans}
    found = (await client.data(who, SORTED, **({"n": n} if page is None else page)))["fans"]
    return {**found, "names": [names[row["id"]] for row in found["nodes"]]}


async def test_fans_are_sorted_by_their_newest_event_whatever_came_when(client: Client) -> None:
    await did(client, (TWO, "2026-02-01T08:00:59Z"), (ONE, "2026-02-03T08:00:10Z"), (ONE, "2026-02-01T00:00:00Z"))
    await did(client, (TWO, "2026-02-02T08:00:00Z"), (FAR, "2026-02-03T08:00:40Z"), (TWO, "2026-01-01T08:00:00Z"))

    found = await order(client, n=50)

    # of one minute by id, and who never did anything last
    newest = sorted((ONE, FAR), key=lambda name: -client.world.fans[name])
    everybody = {name for name in client.world.fans if name.startswith("g1/b1/")}
    assert found["names"][:3] == [*newest, TWO]
    assert set(found["names"]) == everybody
    assert found["totalCount"] == len(everybody)
    shown = [row["lastActiveAt"] for row in found["nodes"]]
    assert shown[:4] == ["2026-02-03T08:00:00Z", "2026-02-03T08:00:00Z", "2026-02-02T08:00:00Z", None]


async def test_pages_of_two_are_the_whole_list_forwards_and_backwards(client: Client) -> None:
    await did(client, *((name, f"2026-02-0{n}T08:00:00Z") for n, name in enumerate((ONE, TWO, THREE), start=1)))
    whole = (await order(client, n=50))["names"]

    forwards, backwards = ("n", "a", "endCursor", "hasNextPage"), ("l", "b", "startCursor", "hasPreviousPage")
    for size, cursor, end, more in (forwards, backwards):
        pages: list[list[str]] = []
        page = await order(client, page={size: 2})
        pages.append(page["names"])
        while page["pageInfo"][more]:
            page = await order(client, page={size: 2, cursor: page["pageInfo"][end]})
            pages.append(page["names"])
        ordered = pages if size == "n" else pages[::-1]
        assert [name for names in ordered for name in names] == whole


async def test_only_who_may_read_events_sorts_by_them_and_only_their_own_fans_come(client: Client) -> None:
    await did(client, (ONE, "2026-02-01T08:00:00Z"), (FAR, "2026-02-03T08:00:00Z"))
    await make_role(client.world, "FANS_ONLY", fan__read="allow")
    await hire(client.world, "CLERK", ("FANS_ONLY", "g1/b1"))
    await make_role(client.world, "BLIND", event__read="deny")
    await hire(client.world, "HALF", ("BRAND_ANALYST", "g1/b1"), ("BLIND", "g1/b1/d11"))

    assert codes(await ask(client, "CLERK", SORTED, n=9)) == ["FORBIDDEN"]
    assert (await order(client, "D1", n=9))["names"][0] == ONE
    assert FAR not in (await order(client, "D1", n=50))["names"]
    assert FAR not in (await order(client, "HALF", n=50))["names"]
    assert (await order(client, "B2", n=50))["nodes"][0]["lastActiveAt"] is None
    one = "query($id: ID!) { fan(id: $id) { lastActiveAt } }"
    assert (await client.data("B1", one, id=client.world.id("Fan", FAR)))["fan"]["lastActiveAt"]
    hidden = await ask(client, "HALF", one, id=client.world.id("Fan", FAR))
    assert hidden["data"]["fan"]["lastActiveAt"] is None


@pytest.mark.parametrize("order_by", ["ID_ASC", "ID_DESC", "LAST_ACTIVE_AT_DESC", "CREATED_AT_DESC"])
async def test_nobody_is_found_by_events_the_caller_may_not_read(client: Client, order_by: str) -> None:
    beyond = (FAR, "g1/b1/d11#2", "g1/b1/d11#3")
    await did(client, (ONE, "2026-02-01T08:00:20Z"), *((name, "2026-02-01T08:00:40Z") for name in beyond))
    await make_role(client.world, "BLIND", event__read="deny")
    await hire(client.world, "HALF", ("BRAND_ANALYST", "g1/b1"), ("BLIND", "g1/b1/d11"))

    for since, before in (("2026-02-01T08:00:10Z", "2026-02-01T08:00:50Z"), ("2026-01-01T00:00:00Z", None)):
        active = {"lastActiveAt": {"since": since, "before": before}}
        assert await found(client, "B1", order_by, active) == {ONE, *beyond}
        assert await found(client, "HALF", order_by, active) == {ONE}


async def found(client: Client, who: str, order_by: str, wanted: dict[str, Any]) -> set[str]:
    """Return everybody in a list, page by page: a page of one is filled by what lies next."""
    asked = """query($a: String, $o: FanSort!, $f: FanFilterInput) {
      fans(first: 1, after: $a, orderBy: $o, filter: $f) { nodes { id } pageInfo { endCursor hasNextPage } } }"""
    names = {client.world.id("Fan", name): name for name in client.world.fans}
    seen, page = set[str](), {"endCursor": None, "hasNextPage": True}
    while page["hasNextPage"]:
        answer = (await client.data(who, asked, a=page["endCursor"], o=order_by, f=wanted))["fans"]
        seen |= {names[node["id"]] for node in answer["nodes"]}
        page = answer["pageInfo"]
    return seen


async def test_the_later_moment_stays_with_who_two_fans_become_and_each_has_their_own_again(client: Client) -> None:
    world = client.world
    await did(client, (ONE, "2026-02-01T08:00:00Z"), (TWO, "2026-02-02T08:00:00Z"))
    merged = await merge(world, await person_of(world, ONE), await person_of(world, TWO))
    assert await moments(client) == {ONE: 2}
    await did(client, (TWO, "2026-02-05T08:00:00Z"))
    assert await moments(client) == {ONE: 5}

    async with world.services.database.writing(EVERYTHING) as session:
        await unmerge(session, world.nodes["g1"], merged, later=Side.SURVIVOR, principal="staff:1")

    assert await moments(client) == {ONE: 5, TWO: 2}


async def moments(client: Client) -> dict[str, int]:
    """Return the days on which fans were last active."""
    names = {number: name for name, number in client.world.fans.items()}
    async with client.world.services.database.reading(EVERYTHING) as session:
        return {names[row.fan_id]: row.last_active_at.day for row in await session.execute(select(activity))}


async def test_a_bound_at_the_end_of_time_is_none(client: Client) -> None:
    await did(client, (ONE, "2026-05-01T08:00:20Z"))
    last = "9999-12-31T23:59:59Z"

    before = await client.data("B1", SORTED, n=9, f={"lastActiveAt": {"before": last}})
    since = await client.data("B1", SORTED, n=9, f={"lastActiveAt": {"since": last}})

    assert [node["id"] for node in before["fans"]["nodes"]] == [client.world.id("Fan", ONE)]
    assert since["fans"]["nodes"] == []
