"""Pages asked for at the same time, over the look-ahead: what each shows, to whom, and by how many statements."""

import asyncio
from typing import Any

import pytest

from domain.direct import Direct
from schema import staff_schema
from tests.api.test_track_events import event, track
from tests.world import Client

pytestmark = pytest.mark.postgresql

FANS = """query($after: String, $order: FanSort!) { fans(first: 2, after: $after, orderBy: $order) {
  pageInfo { hasNextPage endCursor }
  nodes { id nickname tags { name weight } more: lastOrders(first: 2) { number } } } }"""
CUT = "query($after: String) { fans(first: 2, after: $after) { edges { cursor node { id tags(first: 1) { name } } } } }"


@pytest.fixture(autouse=True)
def _busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whoever comes wait for others, as under load."""
    monkeypatch.setattr(Direct, "is_busy", property(lambda direct: True))


def lists() -> list[tuple[str, str | None]]:
    """Return the lists that can be answered by one statement, in each of their orders."""
    schema = staff_schema()._schema
    assert schema.query_type
    found: list[tuple[str, str | None]] = []
    for name, definition in schema.query_type.fields.items():
        if definition.extensions["strawberry-definition"].metadata.get("cut"):
            argument: Any = definition.args.get("orderBy")
            orders = [None] if argument is None else [*argument.type.of_type.values]
            found += [(name, order) for order in orders]
    return found


async def at_once(client: Client, who: str, query: str, calls: list[dict[str, Any]]) -> list[Any]:
    return list(await asyncio.gather(*(client.data(who, query, **call) for call in calls)))


async def cursors(client: Client, who: str, name: str, given: str) -> list[str]:
    found = await client.data(who, f"{{ {name}(first: 30{given}) {{ edges {{ cursor }} }} }}")
    return [edge["cursor"] for edge in found[name]["edges"]]


@pytest.mark.parametrize("name, order", lists())
async def test_pages_of_every_list_are_what_the_reference_answers(
    client: Client, plain: Client, name: str, order: str | None
) -> None:
    given = f", orderBy: {order}" if order else ""
    if name == "events":
        await track(client, *(event(eventId=f"e{number}") for number in range(6)))
        given = f', filter: {{ brandId: "{client.world.id("Brand", "g1/b1")}", name: "h5_view" }}'
    known = (await cursors(plain, "HQ1", name, given))[:6]
    shown = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { __typename } }"
    for size, cursor in (("first", "after"), ("last", "before")):
        query = f"query($cursor: String) {{ {name}({size}: 2, {cursor}: $cursor{given}) {{ {shown} }} }}"
        calls = [{"cursor": one} for one in known]
        expected = [await plain.data("HQ1", query, **call) for call in calls]
        for _ in range(2):
            client.statements.clear()
            assert await at_once(client, "HQ1", query, calls) == expected
        # how the others are sorted has to be looked up in two ways, or says more than a value (`cut_fans`)
        if name in ("orders", "tags", "events") or order in ("ID_ASC", "SPEND_DESC"):
            written = [text for text in client.statements if "WITH page AS" in text]
            assert any("asked_place" in text for text in written)
            assert len(written) < len(calls)


async def test_pages_with_what_belongs_to_their_rows_are_read_together(client: Client, plain: Client) -> None:
    for order in ("ID_ASC", "SPEND_DESC", "CREATED_AT_DESC"):
        known = await cursors(plain, "B1", "fans", f", orderBy: {order}")
        calls = [{"after": cursor, "order": order} for cursor in known]
        expected = [await plain.data("B1", FANS, **call) for call in calls]
        assert len(calls) > 6
        await at_once(client, "B1", FANS, calls[:2])

        client.statements.clear()
        assert await at_once(client, "B1", FANS, calls) == expected
        assert len([text for text in client.statements if "asked_place" in text]) >= 1
        assert len([text for text in client.statements if "WITH page AS" in text]) <= 4


async def test_pages_in_full_are_read_together_too(client: Client, plain: Client) -> None:
    known = await cursors(plain, "B1", "fans", "")
    calls = [{"after": cursor} for cursor in known]
    expected = [await plain.data("B1", CUT, **call) for call in calls]
    assert any(len(edge["node"]["tags"]) == 1 for page in expected for edge in page["fans"]["edges"])

    for _ in range(3):
        client.statements.clear()
        assert await at_once(client, "B1", CUT, calls) == expected
    assert len([text for text in client.statements if "WITH page AS" in text]) <= 5


async def test_the_same_page_is_read_once_for_those_who_ask_at_once(client: Client, plain: Client) -> None:
    query = "{ fans(first: 5) { nodes { id tags { name } } } }"
    expected = await plain.data("B1", query)
    await client.data("B1", query)

    client.statements.clear()
    assert await at_once(client, "B1", query, [{}] * 12) == [expected] * 12
    assert len([text for text in client.statements if "WITH page AS" in text]) <= 2


async def test_those_who_ask_at_once_see_what_each_may_see(client: Client, plain: Client) -> None:
    known = await cursors(plain, "HQ1", "fans", ", orderBy: ID_ASC")
    asked = [(who, cursor) for cursor in known[::5] for who in ("HQ1", "B1", "B2", "D1", "D11", "SERVICE", "G2")]
    expected = [await plain.data(who, FANS, after=cursor, order="ID_ASC") for who, cursor in asked]

    for _ in range(3):
        calls = (client.data(who, FANS, after=cursor, order="ID_ASC") for who, cursor in asked)
        assert await asyncio.gather(*calls) == expected


async def test_a_cursor_that_is_none_is_refused_and_nobody_elses_is(client: Client, plain: Client) -> None:
    known = (await cursors(plain, "B1", "fans", ", orderBy: ID_ASC"))[:4]
    good = [{"after": cursor, "order": "ID_ASC"} for cursor in known]
    expected = [await plain.data("B1", FANS, **call) for call in good]
    await at_once(client, "B1", FANS, good)

    *found, codes = await asyncio.gather(
        *(client.data("B1", FANS, **call) for call in good),
        client.codes("B1", FANS, after="nonsense", order="ID_ASC"),
    )

    assert found == expected
    assert codes == ["BAD_USER_INPUT"]


async def test_a_cursor_that_is_none_takes_the_look_ahead_from_nobody(client: Client) -> None:
    known = (await cursors(client, "B1", "fans", ", orderBy: ID_ASC"))[0]
    query = "query($after: String) { fans(first: 3, after: $after, orderBy: ID_ASC) { nodes { id nickname } } }"
    assert await client.codes("B1", query, after="nonsense") == ["BAD_USER_INPUT"]

    for _ in range(2):
        client.statements.clear()
        await client.data("B1", query, after=known)
    assert any("WITH page AS" in text for text in client.statements)
