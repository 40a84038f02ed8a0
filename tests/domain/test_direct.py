"""Statements in one round trip (T13, T15): the walls they raise, what is left of them, and connections that break."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import BigInteger, Select, bindparam, func, literal, select, text, update

from domain import clock
from domain.access.models import ApiKey
from domain.direct import Direct, TooLong, prepare
from domain.errors import Timeout, Unavailable
from domain.fans.models import Fan
from domain.orders.models import Order
from domain.page import PageArgs, Sort, window
from domain.scope import NOTHING, Scope, TenantSet, system_scope
from domain.standing import Standing
from domain.tables import table_of
from domain.tags.models import FanTag, Tag
from domain.tenancy.models import Group
from schema.lookahead.together import several
from tests.services.link import Link, linked
from tests.world import World

pytestmark = pytest.mark.postgresql

fans, orders, fan_tags, tags = table_of(Fan), table_of(Order), table_of(FanTag), table_of(Tag)
keys, groups = table_of(ApiKey), table_of(Group)


@pytest_asyncio.fixture
async def direct(world: World) -> AsyncIterator[Direct]:
    """Yield connections of one place, with a short limit on statements."""
    made = Direct(world.services.database.url, size=1, settings={"statement_timeout": "300ms", "jit": "off"})
    yield made
    await made.close()


@asynccontextmanager
async def over_a_link(world: World, *, size: int) -> AsyncIterator[tuple[Direct, Link]]:
    """Yield connections to the test's database by a link that can fall silent."""
    url = world.services.database.url
    assert url.host is not None
    assert url.port is not None
    async with linked(url.host, url.port) as link:
        direct = Direct(url.set(host="127.0.0.1", port=link.port), size=size, settings={"jit": "off"})
        yield direct, link
        await direct.close()


def reaching(nodes: TenantSet) -> Scope:
    """Return a scope that may read everything at these nodes."""
    return Scope("test", None, {"fan:read": nodes})


async def ids(direct: Direct, scope: Scope, statement: Select[tuple[int]]) -> set[int]:
    """Return the numbers a statement finds."""
    return {row[0] for row in await direct.fetch(scope, prepare(statement), {})}


async def test_a_statement_without_any_predicate_shows_what_the_walls_let_through(world: World, direct: Direct) -> None:
    brand, other = world.nodes["g1/b1"], world.nodes["g1/b2"]
    own = {number for name, number in world.fans.items() if name.startswith("g1/b1/")}
    dealer = {number for name, number in world.fans.items() if name.startswith("g1/b1/d1#")}

    for nodes, seen in (
        (TenantSet(brands=frozenset({brand})), own),
        (TenantSet(dealers=frozenset({world.nodes["g1/b1/d1"]})), dealer),
        (NOTHING, set[int]()),
        (TenantSet(everything=True), set(world.fans.values())),
    ):
        assert await ids(direct, reaching(nodes), select(fans.c.id)) == seen
        assert await ids(direct, reaching(nodes), select(orders.c.fan_id)) == seen
    foreign = TenantSet(brands=frozenset({other}))
    assert await ids(direct, reaching(foreign), select(fans.c.id).where(fans.c.brand_id == brand)) == set()


async def test_the_walls_stand_before_any_row_is_read_however_the_statement_is_put_together(
    world: World, direct: Direct
) -> None:
    """Common tables, sub-selects in the list and in the condition, joins, aggregates and a sort, planned both ways."""
    scope = reaching(TenantSet(brands=frozenset({world.nodes["g1/b1"]})))
    own = {number for name, number in world.fans.items() if name.startswith("g1/b1/")}
    page = select(fans).order_by(fans.c.id).limit(1000).cte("page")
    carried = select(fan_tags.c.fan_id, func.count().label("n")).join(tags, tags.c.id == fan_tags.c.tag_id)
    grouped = carried.where(fan_tags.c.fan_id.in_(select(page.c.id))).group_by(fan_tags.c.fan_id).cte("grouped")
    newest = select(func.max(orders.c.id)).where(orders.c.fan_id == page.c.id).scalar_subquery()
    statement = (
        select(page.c.id, grouped.c.n, newest)
        .select_from(page.outerjoin(grouped, grouped.c.fan_id == page.c.id))
        .order_by(page.c.id.desc())
    )

    prepared = prepare(statement)
    readings = [await direct.fetch(scope, prepared, {}) for _ in range(12)]  # from the sixth on by the general plan

    assert {row[0] for row in readings[0]} == own
    assert all(row[1] is not None and row[2] is not None for row in readings[0])
    assert all(reading == readings[0] for reading in readings)


async def test_the_walls_stand_before_pages_that_are_read_together(world: World, direct: Direct) -> None:
    scope = reaching(TenantSet(brands=frozenset({world.nodes["g1/b1"]})))
    own = sorted(number for name, number in world.fans.items() if name.startswith("g1/b1/"))
    page = window(select(fans), Sort("id", (fans.c.id,)), PageArgs(first=100, after=None))
    after = page.statement.where(fans.c.id > bindparam("cursor_0", 0, BigInteger))
    prepared = prepare(select(several(page, after).subquery()))

    for _ in range(12):
        found = await direct.fetch(scope, prepared, {"cursors_0": [0, own[0]]})
        assert sorted((row["asked_place"], row["id"]) for row in found) == [
            *((1, number) for number in own),
            *((2, number) for number in own[1:]),
        ]


async def test_a_statement_that_takes_longer_than_is_waited_for_it_ends_and_its_connection_stays(
    world: World, direct: Direct
) -> None:
    scope, slow = reaching(NOTHING), prepare(select(literal(7), func.pg_sleep(0.2)))
    first = await ids(direct, scope, select(func.pg_backend_pid()))

    with pytest.raises(TooLong):
        await direct.fetch(scope, slow, {}, within=0.05)

    assert await ids(direct, scope, select(func.pg_backend_pid())) == first
    # waiting for a place does not count
    waiting = asyncio.ensure_future(direct.fetch(scope, slow, {}))
    await asyncio.sleep(0)
    assert [row[0] for row in await direct.fetch(scope, prepare(select(literal(8))), {}, within=0.1)] == [8]
    assert [row[0] for row in await waiting] == [7]


@pytest.fixture
async def own(world: World) -> Standing:
    """Return what stands of the service's key, which is of brand b1."""
    async with world.services.database.reading(system_scope("test")) as session:
        key = (await session.execute(select(keys))).one()
        version = select(groups.c.policy_version).where(groups.c.id == key.group_id)
        return Standing(key.id, key.group_id, key.secret_hash, (await session.execute(version)).scalar_one())


async def test_a_key_that_stands_is_answered_and_by_every_plan(world: World, direct: Direct, own: Standing) -> None:
    places = TenantSet(brands=frozenset({world.nodes["g1/b1"]}), above_groups=frozenset({world.nodes["g1"]}))
    prepared = prepare(select(fans.c.id), confirming=True)

    for _ in range(12):
        assert await direct.fetch(reaching(places), prepared, {}, own)
        assert not await direct.fetch(reaching(places), prepared, {}, own._replace(secret_hash=bytes(32)))
    assert len(await direct.fetch(reaching(places), prepared, {}, own)) == len(
        await direct.fetch(reaching(places), prepared, {})
    )


async def test_a_key_that_stands_no_more_is_answered_nothing(world: World, direct: Direct, own: Standing) -> None:
    prepared, everything = prepare(select(fans.c.id), confirming=True), reaching(TenantSet(everything=True))
    assert await direct.fetch(everything, prepared, {}, own)
    for other in (
        {"key_id": own.key_id + 1000},
        {"group_id": world.nodes["g2"]},
        {"secret_hash": bytes(32)},
        {"policy_version": own.policy_version + 1},
        {"policy_version": own.policy_version - 1},
    ):
        assert not await direct.fetch(everything, prepared, {}, own._replace(**other))

    async def changed(**values: Any) -> list[Any]:
        async with world.services.database.writing(system_scope("test")) as session:
            await session.execute(update(keys).values(**values))
        return await direct.fetch(everything, prepared, {}, own)

    now = clock.now()
    assert await changed(expires_at=now + timedelta(hours=1))
    assert not await changed(expires_at=now - timedelta(seconds=1))
    assert not await changed(expires_at=None, revoked_at=now)
    assert await changed(revoked_at=None)


async def test_who_cannot_see_their_own_key_does_not_stand(world: World, direct: Direct, own: Standing) -> None:
    """The walls are up before the key is asked for: it fails closed."""
    brand = reaching(TenantSet(brands=frozenset({world.nodes["g1/b1"]})))
    prepared = prepare(select(fans.c.id), confirming=True)

    assert await direct.fetch(brand, prepared, {})
    assert not await direct.fetch(brand, prepared, {}, own)


async def test_a_statement_that_does_not_ask_who_stands_is_not_run_for_who_has_to(
    direct: Direct, own: Standing
) -> None:
    with pytest.raises(ValueError, match="stands"):
        await direct.fetch(reaching(TenantSet(everything=True)), prepare(select(fans.c.id)), {}, own)


async def test_nothing_of_a_callers_walls_is_left_on_the_connection(world: World, direct: Direct) -> None:
    everything = reaching(TenantSet(everything=True))
    assert await ids(direct, everything, select(fans.c.id))

    bare = await direct._run("SELECT (SELECT count(*) FROM fans), current_setting('app.everything', true)", ())

    assert [tuple(row) for row in bare] == [(0, "")]


async def test_a_request_that_is_stopped_leaves_no_answer_for_the_next_one(direct: Direct) -> None:
    scope = reaching(NOTHING)
    slow = prepare(select(literal(7), func.pg_sleep(0.2)))
    waiting = asyncio.ensure_future(direct.fetch(scope, slow, {}))
    await asyncio.sleep(0.05)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await ids(direct, scope, select(literal(8))) == {8}


async def test_who_hangs_up_ends_their_statement_and_no_connection(world: World) -> None:
    # no limit on statements: what is not ended goes on, and its connection is given up after CLOSE_SECONDS
    direct = Direct(world.services.database.url, size=1, settings={"jit": "off"})
    scope, slow = reaching(NOTHING), prepare(select(literal(7), func.pg_sleep(20)))
    first = await ids(direct, scope, select(func.pg_backend_pid()))
    for wait in (0.0, 0.001, 0.01, 0.05) * 5:
        waiting = asyncio.ensure_future(direct.fetch(scope, slow, {}))
        await asyncio.sleep(wait)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        # neither its answer nor its end reaches those who come after
        assert await ids(direct, scope, select(literal(8))) == {8}
    for wait in range(20):
        waiting = asyncio.ensure_future(direct.fetch(scope, prepare(select(literal(9), func.pg_sleep(0.002))), {}))
        await asyncio.sleep(0.002 + wait * 0.0001)  # it ends by itself at about the time it is to be ended
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await ids(direct, scope, select(literal(8))) == {8}

    assert await ids(direct, scope, select(func.pg_backend_pid())) == first
    await direct.close()


async def test_what_was_prepared_for_those_who_hung_up_is_not_kept_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.direct.MOST_PREPARED", 5)
    direct, scope = Direct(world.services.database.url, size=1, settings={"jit": "off"}), reaching(NOTHING)
    backends: set[int] = set()
    for number in range(20):
        columns: list[Any] = [*map(literal, range(number + 1)), func.pg_sleep(20)]
        slow = prepare(select(*columns))
        waiting = asyncio.ensure_future(direct.fetch(scope, slow, {}))
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        backends |= await ids(direct, scope, select(func.pg_backend_pid()))
        kept = await direct._run("SELECT count(*) FROM pg_prepared_statements", ())
        assert kept[0][0] <= 8

    assert 1 < len(backends) < 20
    assert (direct._taken, len(direct._leaving)) == (0, 0)
    await direct.close()


async def test_who_closes_waits_for_the_connections_of_those_who_hung_up(world: World) -> None:
    direct, scope = Direct(world.services.database.url, size=1, settings={"jit": "off"}), reaching(NOTHING)
    own = next(iter(await ids(direct, scope, select(func.pg_backend_pid()))))
    waiting = asyncio.ensure_future(direct.fetch(scope, prepare(select(literal(7), func.pg_sleep(20))), {}))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    await direct.close()

    assert not direct._free
    assert direct._taken == 0
    async with world.services.database.engine.connect() as other:
        there = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :own AND query LIKE '%pg_sleep(%'")
        assert (await other.execute(there, {"own": own})).scalar_one() == 0


async def test_who_hangs_up_on_a_database_that_is_silent_keeps_no_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.direct.CLOSE_SECONDS", 0.2)
    scope = reaching(NOTHING)
    async with over_a_link(world, size=1) as (direct, link):
        assert await ids(direct, scope, select(literal(1))) == {1}

        await link.stall()
        waiting = asyncio.ensure_future(ids(direct, scope, select(literal(2))))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        while direct._leaving:
            await asyncio.wait(direct._leaving)
        assert direct._taken == 0
        await link.mend()

        assert await ids(direct, scope, select(literal(3))) == {3}


async def test_those_who_hang_up_leave_no_more_statements_running_than_there_are_places(world: World) -> None:
    direct, scope = Direct(world.services.database.url, size=2, settings={"jit": "off"}), reaching(NOTHING)
    slow = prepare(select(literal("a slow one"), func.pg_sleep(20)))
    for _ in range(10):
        leaving = [asyncio.ensure_future(direct.fetch(scope, slow, {})) for _ in range(2)]
        await asyncio.sleep(0.05)
        for one in leaving:
            one.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)

    assert await ids(direct, scope, select(literal(1))) == {1}
    await direct.close()
    async with world.services.database.engine.connect() as other:
        running = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'active' AND query LIKE '%pg_sleep(%'"
        )
        active = (await other.execute(running.execution_options())).scalar_one()
    assert active <= 1  # this one


async def test_places_are_counted_however_they_are_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("domain.direct.ACQUIRE_SECONDS", 0.2)
    scope, slow = reaching(NOTHING), prepare(select(literal(1), func.pg_sleep(1)))
    direct = Direct(world.services.database.url, size=3, settings={"statement_timeout": "600ms", "jit": "off"})
    assert (direct._taken, direct.room) == (0, 2)

    asked = [asyncio.ensure_future(direct.fetch(scope, slow, {})) for _ in range(5)]
    await asyncio.sleep(0.1)
    assert (direct._taken, direct.room) == (3, 0)
    asked[0].cancel()
    ended = await asyncio.gather(*asked, return_exceptions=True)
    while direct._leaving:
        await asyncio.wait(direct._leaving)
    assert {type(one) for one in ended} == {asyncio.CancelledError, Timeout, Unavailable}
    assert (direct._taken, direct.room) == (0, 2)
    assert await ids(direct, scope, select(literal(1))) == {1}
    assert direct._taken == 0
    await direct.close()

    nowhere = Direct(world.services.database.url.set(port=9), size=1, settings={})
    with pytest.raises(Unavailable):
        await ids(nowhere, scope, select(literal(3)))
    assert (nowhere._taken, nowhere.room) == (0, 1)


async def test_options_in_the_databases_url_are_the_drivers(world: World) -> None:
    url = world.services.database.url.update_query_dict({"ssl": "disable", "prepared_statement_cache_size": "50"})
    direct = Direct(url, size=1, settings={"jit": "off"})

    assert await ids(direct, reaching(NOTHING), select(literal(1))) == {1}
    await direct.close()


async def test_after_one_connection_was_silent_the_others_are_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.direct.ANSWER_SECONDS", 0.5)
    scope = reaching(NOTHING)
    async with over_a_link(world, size=5) as (direct, link):
        await asyncio.gather(*(ids(direct, scope, select(literal(n), func.pg_sleep(0.1))) for n in range(5)))

        await link.stall()
        with pytest.raises(Unavailable):
            await ids(direct, scope, select(literal(1)))
        await link.mend()
        async with asyncio.timeout(0.4):
            assert await ids(direct, scope, select(literal(2))) == {2}


async def test_what_goes_wrong_is_a_refusal_and_the_connection_after_it_holds(world: World, direct: Direct) -> None:
    scope = reaching(NOTHING)
    with pytest.raises(Timeout):
        await direct.fetch(scope, prepare(select(literal(1), func.pg_sleep(2))), {})
    assert await ids(direct, scope, select(literal(1))) == {1}

    own = (await direct._run("SELECT pg_backend_pid()", ()))[0][0]
    async with world.services.database.engine.connect() as other:
        await other.execute(text("SELECT pg_terminate_backend(:own)"), {"own": own})
    await asyncio.sleep(0.1)
    assert await ids(direct, scope, select(literal(2))) == {2}

    nowhere = Direct(world.services.database.url.set(port=9), size=1, settings={})
    with pytest.raises(Unavailable):
        await ids(nowhere, scope, select(literal(3)))


async def test_more_callers_than_connections_wait_for_their_turn(direct: Direct) -> None:
    scope = reaching(NOTHING)

    found = await asyncio.gather(*(ids(direct, scope, select(literal(n), func.pg_sleep(0.005))) for n in range(20)))

    assert found == [{n} for n in range(20)]


async def test_a_database_that_does_not_answer_any_more_is_given_up_on_and_used_again_when_it_does(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.direct.ANSWER_SECONDS", 0.2)
    scope = reaching(NOTHING)
    async with over_a_link(world, size=1) as (direct, link):
        assert await ids(direct, scope, select(literal(1))) == {1}

        await link.stall()
        with pytest.raises(Unavailable):
            await ids(direct, scope, select(literal(2)))
        await link.mend()

        assert await ids(direct, scope, select(literal(3))) == {3}
