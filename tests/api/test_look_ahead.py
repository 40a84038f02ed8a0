"""Root fields answered by one statement of PostgreSQL: what they show, to whom, and when they are not used."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, func, insert, literal, select, update

from domain import clock
from domain.direct import Prepared
from domain.fans.models import Fan
from domain.money import EXPONENTS
from domain.orders.models import Order
from domain.tables import table_of
from domain.tags.models import FanTag, Tag
from schema.ids import decode
from schema.lookahead import kept, lists, pages
from schema.lookahead.lists import Hole, Texts
from tests.cast import EVERYTHING, give, hire, make_role
from tests.world import Client, World

pytestmark = pytest.mark.postgresql

WHOLE = """query($first: Int, $after: String, $last: Int, $before: String) {
  fans(first: $first, after: $after, last: $last, before: $before, orderBy: SPEND_DESC) {
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } __typename
    edges { cursor node { id who: nickname } }
    nodes { id __typename nickname gender city subscribed followedAt orderCount createdAt spend { amount currency }
      brand { name group { code } } dealer { name brand { id } } store { name } sourceAccount { name }
      tags(first: 1) { tagId name kind weight source lastAt } more: tags { count }
      lastOrders(first: 2) { number state placedAt amount { amount } lines { title amount { currency } }
        fan { id tags { name } } } } } }"""
ONE = "query($id: ID!) { fan(id: $id) { id nickname spend { amount } tags { name weight } dealer { name } } }"


async def ahead(client: Client, who: str, query: str, **variables: Any) -> dict[str, Any]:
    """Return the data of an answer that took one statement besides those that say who asks and what they may."""
    client.statements.clear()
    found = await client.data(who, query, **variables)
    assert len([text for text in client.statements if "WITH page AS" in text]) == 1, client.statements
    assert len(client.statements) <= 5, client.statements
    return found


async def test_a_page_with_all_that_can_be_asked_of_it_is_what_the_reference_answers(
    client: Client, plain: Client
) -> None:
    for who in ("HQ1", "B1", "D1", "S1", "SERVICE"):
        await client.data(who, "{ viewer { principal } }")
        page = await ahead(client, who, WHOLE, first=3)
        cursor = page["fans"]["pageInfo"]["endCursor"]
        windows: tuple[dict[str, Any], ...] = (
            {"first": 3},
            {"first": 2, "after": cursor},
            {"last": 2, "before": cursor},
        )
        for window in (*windows, {"last": 20}, {"first": 20}):
            assert await ahead(client, who, WHOLE, **window) == await plain.data(who, WHOLE, **window)


async def test_fans_asked_for_at_the_same_time_are_read_together(client: Client, plain: Client) -> None:
    names = [name for name in client.world.fans if name.startswith("g1/b1/")]
    await client.data("B1", ONE, id=client.world.id("Fan", names[0]))
    client.statements.clear()

    found = await asyncio.gather(*(client.data("B1", ONE, id=client.world.id("Fan", name)) for name in names * 3))

    assert len(client.statements) < len(found)
    assert found[: len(names)] == [await plain.data("B1", ONE, id=client.world.id("Fan", name)) for name in names]


async def test_those_who_are_read_together_see_what_each_may_see(client: Client) -> None:
    """The same ids at the same time, by callers with different rights."""
    every = [client.world.id("Fan", name) for name in client.world.fans]
    callers = {"HQ1": "g1", "B1": "g1/b1", "B2": "g1/b2", "D1": "g1/b1/d1", "D11": "g1/b1/d11", "G2": "g2"}
    shown: dict[str, set[str]] = {who: set() for who in callers}
    # as many at once as are read together, and no more than a slow machine answers in time
    for together in (every[start : start + 10] for start in range(0, len(every), 10)):
        asked = [(who, fan) for fan in together for who in callers]
        answers = await asyncio.gather(*(client.ask(who, ONE, id=fan) for who, fan in asked))
        for (who, fan), answer in zip(asked, answers, strict=True):
            if answer["data"]["fan"] is not None:
                shown[who].add(fan)

    assert shown == {who: client.world.fans_below(node) for who, node in callers.items()}


async def test_a_fan_who_is_moved_away_is_not_shown_by_a_read_that_comes_after(client: Client) -> None:
    fan, fans = client.world.fans["g1/b1/d1#1"], table_of(Fan)
    assert await client.codes("D1", ONE, id=client.world.id("Fan", "g1/b1/d1#1")) == []

    async with client.world.services.database.writing(EVERYTHING) as session:
        moved = {"dealer_id": client.world.nodes["g1/b1/d11"], "store_id": None}
        await session.execute(update(fans).where(fans.c.id == fan).values(**moved))

    assert await client.codes("D1", ONE, id=client.world.id("Fan", "g1/b1/d1#1")) == ["NOT_FOUND"]


async def test_a_caller_whose_right_ends_is_refused_by_the_next_request(client: Client) -> None:
    await make_role(client.world, "PEEK", fan__read="allow", tag__read="allow")
    await hire(client.world, "PEEKER", ("PEEK", "g1/b1"))
    query = "{ fans(first: 5) { nodes { id tags { name } } } }"
    assert (await ahead(client, "PEEKER", query))["fans"]["nodes"]

    await make_role(client.world, "BLIND", tag__read="deny")
    await give(client.world, "PEEKER", "BLIND", "g1/b1/d1")

    plain = await client.data("PEEKER", query)
    for fan in plain["fans"]["nodes"]:
        dealt = fan["id"] in client.world.fans_below("g1/b1/d1")
        assert (fan["tags"] == []) == dealt


async def test_every_currency_and_every_odd_weight_is_written_as_python_writes_it(
    client: Client, plain: Client
) -> None:
    fans, orders, fan_tags = table_of(Fan), table_of(Order), table_of(FanTag)
    own = [number for name, number in client.world.fans.items() if name.startswith("g1/b1/")]
    usual = (0.1, 1.0, 1.5, 0.30000000000000004, 123456789.125, 999999999999999.0, 0.0001, -2.5, -0.0, 3.0)
    currencies = ["CNY", "USD", *EXPONENTS]
    for place, weight in enumerate(usual):
        async with client.world.services.database.writing(EVERYTHING) as session:
            await session.execute(update(fan_tags).where(fan_tags.c.fan_id.in_(own)).values(weight=weight))
            money = {"currency": currencies[place % len(currencies)]}
            await session.execute(update(fans).where(fans.c.id.in_(own)).values(spend=10**place + 5, **money))
            await session.execute(update(orders).where(orders.c.fan_id.in_(own)).values(amount=7 * 10**place, **money))
        assert await ahead(client, "B1", WHOLE, first=3) == await plain.data("B1", WHOLE, first=3), weight


@pytest.mark.parametrize("weight", [1e-7, 1e15, 1e16, 1e21, 1e300, -1e16])
async def test_what_postgresql_writes_otherwise_is_left_to_the_reference(
    client: Client, plain: Client, weight: float
) -> None:
    fan_tags = table_of(FanTag)
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(fan_tags).values(weight=weight))
    query = "{ fans(first: 5) { nodes { tags { weight } } } }"

    assert await client.data("B1", query) == await plain.data("B1", query)


async def test_a_fan_with_nothing_and_a_page_with_nobody(client: Client, plain: Client) -> None:
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(table_of(FanTag).delete())
    query = (
        "query($f: FanFilterInput) { fans(first: 5, filter: $f) { nodes { tags { name } } pageInfo { endCursor } } }"
    )

    for asked in (None, {"city": "nowhere"}):
        assert await ahead(client, "B1", query, f=asked) == await plain.data("B1", query, f=asked)


async def test_what_is_asked_once_is_not_compiled_and_what_comes_back_is(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "SIGHTINGS", 2)
    query = "query($after: String) { fans(first: 2, after: $after) { nodes { id } pageInfo { endCursor } } }"
    shown = []
    cursor = None
    for _ in range(4):
        client.statements.clear()
        found = (await client.data("B1", query, after=cursor))["fans"]
        shown.append((cursor is not None, any("WITH page AS" in text for text in client.statements)))
        cursor = found["pageInfo"]["endCursor"]

    assert shown == [(False, False), (True, False), (True, True), (True, True)]


async def test_statements_are_kept_up_to_a_number_of_bytes() -> None:
    store = kept.Kept(max_bytes=1_500)
    for n in range(10):
        store.find(n, lambda: None)

    built: list[int] = []
    for n in (9, 8, 7, 0):
        store.find(n, lambda n=n: built.append(n))  # type: ignore[misc]

    assert built == [0]


async def test_compiling_takes_a_share_of_the_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(kept, "COMPILE_BURST", 0.5)
    store, built = kept.Kept(), []

    def build() -> None:
        now[0] += 0.2
        built.append(now[0])

    for n in range(100):
        store.find(n, build)
    assert len(built) == 3  # half a second at once
    now[0] += 10.0
    for n in range(100, 200):
        store.find(n, build)
    assert len(built) == 6


async def test_what_is_too_much_for_one_statement_is_answered_in_another_way(client: Client, plain: Client) -> None:
    many = " ".join(f"o{n}: lastOrders(first: 1) {{ number }}" for n in range(17))
    for query in (f"{{ fans(first: 3) {{ nodes {{ id {many} }} }} }}", "{ fans(first: 2) { nodes { a: id } } }"):
        client.statements.clear()
        assert await client.data("B1", query) == await plain.data("B1", query)
        assert any("WITH page AS" in text for text in client.statements) == ("lastOrders" not in query)


async def test_no_name_of_a_query_is_taken_for_the_place_of_the_walls(client: Client, plain: Client) -> None:
    query = "{ fans(first: 2) { nodes { behind_the_walls: id walls: nickname } } }"

    assert await ahead(client, "B1", query) == await plain.data("B1", query)


async def test_the_first_and_the_last_moment_are_shown_and_paged_past(client: Client, plain: Client) -> None:
    """The driver keeps both as infinite, which has no text in PostgreSQL."""
    orders, fans = table_of(Order), table_of(Fan)
    own = sorted(number for name, number in client.world.fans.items() if name.startswith("g1/b1/"))
    async with client.world.services.database.writing(EVERYTHING) as session:
        extremes = (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))
        for fan, extreme in zip(own[:2], extremes, strict=True):
            await session.execute(update(orders).where(orders.c.fan_id == fan).values(placed_at=extreme))
            await session.execute(update(fans).where(fans.c.id == fan).values(followed_at=extreme))
    query = """query($after: String) { orders(first: 1, after: $after, orderBy: PLACED_AT_ASC) {
      pageInfo { endCursor hasNextPage } nodes { number fan { followedAt lastOrders { placedAt } } } } }"""

    cursor, seen = None, 0
    while True:
        page = (await client.data("B1", query, after=cursor))["orders"]
        assert page == (await plain.data("B1", query, after=cursor))["orders"]
        assert all(node["fan"]["lastOrders"] for node in page["nodes"])
        cursor, seen = page["pageInfo"]["endCursor"], seen + 1
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == len(own)


async def test_what_holds_nothing_but_names_is_written_too(client: Client, plain: Client) -> None:
    query = "{ fans(first: 3) { nodes { __typename tags { __typename } } } }"

    assert await ahead(client, "B1", query) == await plain.data("B1", query)


KEPT = (
    "tags { name weight }",
    "tags { name }",
    "tags { weight }",
    "tags { tagId kind name category color weight }",
    "tags { __typename weight }",
    "all: tags(first: 100) { n: name w: weight } one: tags(first: 1) { name weight } more: tags { count name }",
)
NOT_KEPT = ("tags { weight name }", "tags { a: weight b: weight }", "tags { name count }", "tags { name lastAt }")


async def test_lists_that_are_kept_are_filled_in_as_the_reference_writes_them(client: Client, plain: Client) -> None:
    for who in ("HQ1", "B1", "D1", "SERVICE"):
        await client.data(who, "{ viewer { principal } }")
        for tags in KEPT + NOT_KEPT:
            query = f"query($first: Int) {{ fans(first: $first) {{ nodes {{ nickname {tags} id }} }} }}"
            edges = f"{{ fans(last: 2) {{ edges {{ cursor node {{ {tags} }} }} pageInfo {{ endCursor }} }} }}"
            for asked, given in ((query, {"first": 3}), (edges, {})):
                for known in (False, True):
                    found = await ahead(client, who, asked, **given)
                    used, count = any("fan_tag_lists" in text for text in client.statements), len(client.statements)
                    assert used == (tags in KEPT), (who, tags)
                    # the second time all names are known: who asks, and the page
                    assert count <= 2 or not known
                    assert found == await plain.data(who, asked, **given)
                answers = [await one.ask(who, asked, **given) for one in (client, plain)]
                assert len({answer["extensions"]["cost"]["actual"] for answer in answers}) == 1, (who, tags)


async def test_a_list_that_is_longer_than_asked_for_is_read_in_full_and_so_are_some_pages_after_it(
    client: Client, plain: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "IN_FULL", 3)
    query = "{ fans(first: 20) { nodes { id tags(first: 1) { name weight } } } }"
    expected = await plain.data("B1", query)
    assert any(len(fan["tags"]) == 1 for fan in expected["fans"]["nodes"])
    read = []
    for _ in range(5):
        client.statements.clear()
        assert await client.data("B1", query) == expected
        read.append(len([text for text in client.statements if "WITH page AS" in text]))

    # in brief and in full, then in full, until it is tried in brief again
    assert read == [2, 1, 1, 2, 1]


async def test_a_row_that_is_not_shown_asks_for_nothing_in_full(client: Client, plain: Client) -> None:
    everybody = await plain.data("B1", "{ fans(first: 20, orderBy: ID_ASC) { nodes { id tags { name } } } }")
    first, second = everybody["fans"]["nodes"][:2]
    world, (one, two) = client.world, [decode(fan["id"], "id")[1] for fan in (first, second)]
    own = table_of(FanTag).c.fan_id
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(delete(table_of(FanTag)).where(own == one))
        listed = select(func.count()).select_from(table_of(FanTag)).where(own == two)
        assert (await session.execute(listed)).scalar_one() > 1

    found = await ahead(client, "B1", "{ fans(first: 1, orderBy: ID_ASC) { nodes { id tags(first: 1) { name } } } }")

    assert found == {"fans": {"nodes": [{"id": first["id"], "tags": []}]}}


async def test_lists_without_a_text_and_odd_weights_are_read_in_full(client: Client, plain: Client) -> None:
    query = "{ fans(first: 20) { nodes { id tags { name weight } } } }"
    await ahead(client, "B1", query)
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(table_of(FanTag)).values(weight=1e-7))

    assert await client.data("B1", query) == await plain.data("B1", query)

    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(table_of(FanTag)).values(weight=0.5))
    for _ in range(3):
        assert await client.data("B1", query) == await plain.data("B1", query)


async def carry(session: Any, world: World, tag_id: int, weight: float) -> None:
    """Put a tag on a fan past every rule."""
    row = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "fan_id": world.fans["g1/b1/d1#1"]}
    said = {"weight": weight, "source": "RULE", "first_at": clock.now(), "last_at": clock.now()}
    await session.execute(insert(table_of(FanTag)).values(**row, **said, tag_id=tag_id))


async def test_a_tag_is_shown_by_its_name_of_now(client: Client, plain: Client) -> None:
    query = "{ fans(first: 20) { nodes { id tags { name weight } } } }"
    tags, world = table_of(Tag), client.world
    own = tags.c.brand_id == world.nodes["g1/b1"]
    for number, name in enumerate(("another", '"quoted"\\', "标签\x01\n")):
        assert await ahead(client, "B1", query) == await plain.data("B1", query)
        async with world.services.database.writing(EVERYTHING) as session:
            await session.execute(update(tags).where(own).values(name=tags.c.name.concat("+")))
            made = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "kind": "FACT"}
            new = insert(tags).values(**made, created_at=clock.now(), name=name).returning(tags.c.id)
            await carry(session, world, (await session.execute(new)).scalar_one(), 9.5 + number)
        found = await ahead(client, "B1", query)
        assert found == await plain.data("B1", query)
        (mine,) = [fan for fan in found["fans"]["nodes"] if fan["id"] == world.id("Fan", "g1/b1/d1#1")]
        assert mine["tags"][0] == {"name": name, "weight": 9.5 + number}


async def test_a_tag_that_is_renamed_and_nothing_else_is_shown_by_its_new_name(client: Client) -> None:
    query = "{ fans(first: 20) { nodes { tags { name weight } } } }"
    tags, world = table_of(Tag), client.world
    for name in ("one", "two"):
        await ahead(client, "B1", query)
        async with world.services.database.writing(EVERYTHING) as session:
            own = tags.c.brand_id == world.nodes["g1/b1"]
            await session.execute(update(tags).where(own).values(name=name))
        found = await ahead(client, "B1", query)
        assert all(name in {tag["name"] for tag in fan["tags"]} for fan in found["fans"]["nodes"])


async def test_more_names_than_are_kept_are_read_for_each_answer(
    client: Client, plain: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "{ fans(first: 20) { nodes { tags { name weight } } } }"
    monkeypatch.setattr(lists, "MOST_TEXTS", 1)
    for _ in range(3):
        assert await ahead(client, "B1", query) == await plain.data("B1", query)


async def test_a_tag_the_caller_may_not_read_is_not_shown_and_not_one_of_the_first(
    client: Client, plain: Client
) -> None:
    tags, world = table_of(Tag), client.world
    async with world.services.database.writing(EVERYTHING) as session:
        of_b2 = await session.execute(select(tags.c.id).where(tags.c.brand_id == world.nodes["g1/b2"]).limit(1))
        await carry(session, world, of_b2.scalar_one(), 99.0)
    for asked in ("tags { name weight }", "tags(first: 1) { name }"):
        query = f"{{ fans(first: 20) {{ nodes {{ id {asked} }} }} }}"
        for who in ("B1", "HQ1"):
            for _ in range(3):
                found = await client.data(who, query)
                assert found == await plain.data(who, query)
                (mine,) = [fan for fan in found["fans"]["nodes"] if fan["id"] == world.id("Fan", "g1/b1/d1#1")]
                assert (mine["tags"][0]["name"] == "tag of g1/b2") == (who == "HQ1")


def _text(written: Any) -> bytes:
    return orjson.dumps(written.text)


class Names:
    """Names of tags that change while they are read."""

    def __init__(self) -> None:
        self.name, self.reads, self.go = b"old", 0, asyncio.Event()

    async def fetch(self, scope: Any, prepared: Any, given: Any) -> list[tuple[int, bytes]]:
        """Return what the names are when the read begins, when it is let go."""
        self.reads += 1
        found = [(number, self.name) for number in given["wanted"]]
        await self.go.wait()
        return found


async def test_a_name_that_was_read_for_an_older_version_is_not_kept_for_a_newer() -> None:
    names: Any = Names()
    texts = Texts(names, EVERYTHING, Hole(Prepared("", [], {}), b"}", literal(0)))
    answer = b'["\x01f7\x01,1}]'

    slow = asyncio.create_task(texts.filled(answer, 1))
    await asyncio.sleep(0)
    names.name = b"new"
    quick = asyncio.create_task(texts.filled(answer, 2))
    await asyncio.sleep(0)
    names.go.set()

    assert [_text(await slow), _text(await quick)] == [b'["old,1}]', b'["new,1}]']
    assert _text(await texts.filled(answer, 2)) == b'["new,1}]'
    assert names.reads == 2
    assert await texts.filled(answer, None) is None
