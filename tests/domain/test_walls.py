"""Row-level security alone (T13, T15, T30): no predicate, no guard, only what a transaction's settings let through."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import clock
from domain.audit import AuditEntry
from domain.fans.models import Fan
from domain.orders.models import Order
from domain.scope import NOTHING, Scope
from domain.tables import metadata, table_of
from domain.tags.models import FanTag, Tag
from domain.walls import BRAND_TABLES, FAN_TABLES, GROUP_TABLES, policies, wall_settings
from tests.cast import EVERYTHING, at, scope_of, snapshot
from tests.oracle import Oracle, below, oracle_of
from tests.world import World

pytestmark = pytest.mark.postgresql

# what is read under a key of its own: a principal's name, a master key, a worker's claim
UNWALLED = {"outbox", "idempotency", "group_keys", "chores"}
# the database refuses to change them before it looks for rows
APPEND_ONLY = {"audit_log", "point_transfers", "point_entries", "point_draws", "point_seals"}
# what the world has none of, or has in one brand only
EMPTY = {
    "channel_accounts",
    "fan_aliases",
    "event_definitions",
    "events",
    "event_keys",
    "event_counts",
    "fan_activity",
    "follows",
}
EMPTY |= {"identity_brands"}
EMPTY |= {"consents", "consent_records", "erasures", "attributes", "fan_attributes", "fan_changes", "fan_name_parts"}
EMPTY |= {"hot_counts", "gifts"}
EMPTY |= {"order_refunds", "point_rules", "point_grants", "point_counters"}
EMPTY |= {"points_programmes", "point_accounts", "point_transfers", "point_entries", "point_lots", "point_draws"}
EMPTY |= {"point_pendings", "point_adjustments", "point_seals"}
EMPTY |= {"levels", "level_programmes", "fan_levels"}
NODE_TABLES = {"groups": "Group", "brands": "Brand", "dealers": "Dealer", "stores": "Store", "tags": "Tag"}


@asynccontextmanager
async def bare(world: World, scope: Scope | None) -> AsyncIterator[AsyncConnection]:
    """Open a transaction with the scope's walls and nothing else of the product."""
    async with world.services.database.engine.connect() as connection, connection.begin() as transaction:
        if scope is not None:
            await connection.exec_driver_sql(*wall_settings(scope))
        yield connection
        await transaction.rollback()


async def rows_of(connection: AsyncConnection, table: Table) -> Sequence[Any]:
    """Return every row the connection can see of a table."""
    return (await connection.execute(select(table))).all()


def is_wall(error: DBAPIError) -> bool:
    """Tell a row-level refusal from any other."""
    return "row-level security" in str(error.orig)


async def test_every_table_of_tenants_has_a_wall_that_its_owner_cannot_pass(world: World) -> None:
    statement = text(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS walled, "
        "pg_get_userbyid(c.relowner) = current_user AS own, count(p.oid) AS policies "
        "FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid "
        "WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace GROUP BY c.oid"
    )
    role = text(
        "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user"
    )
    async with bare(world, None) as connection:
        tables = {row.relname: row for row in await connection.execute(statement)}
        assert (await connection.execute(role)).scalar_one() is False

    ours = {table.name for table in metadata.sorted_tables}
    assert {name for name in ours if not tables[name].walled} == UNWALLED
    assert all(tables[name].policies == 1 for name in ours - UNWALLED)
    assert not any(row.own for row in tables.values())
    assert set(policies()) == ours - UNWALLED


async def test_a_transaction_without_a_scope_sees_and_changes_nothing(world: World) -> None:
    empty = Scope("nobody", None)
    assert empty.reach == NOTHING
    for scope in (None, empty):
        async with bare(world, scope) as connection:
            for name in policies():
                table = metadata.tables[name]
                assert await rows_of(connection, table) == [], name
                if name not in APPEND_ONLY:
                    assert (await connection.execute(delete(table))).rowcount == 0
            with pytest.raises(DBAPIError, match="row-level security"):
                await connection.execute(
                    insert(table_of(Tag)).values(group_id=world.nodes["g1"], name="x", created_at=clock.now())
                )


@pytest.mark.parametrize("who", ["HQ1", "B1", "B2", "B10", "D1", "D11", "S1", "G2", "SERVICE", "g1/b1/d1#1"])
async def test_each_caller_sees_through_the_walls_what_the_paths_say(world: World, who: str) -> None:
    oracle = await oracle_of(world)
    home = {**oracle.homes, "g1/b1/d1#1": "g1/b1/d1/s1/fan"}[who]
    group, brand = home.split("/")[0], "/".join(home.split("/")[:2])
    brands = {
        n for path, n in world.nodes.items() if len(path.split("/")) == 2 and (below(path, home) or path == brand)
    }
    scope = await scope_of(world, who)

    async with bare(world, scope) as connection:
        seen = {name: await rows_of(connection, metadata.tables[name]) for name in policies()}

    assert set(FAN_TABLES) == {"fans", "orders", "redemptions"}  # the world has none of the last
    for name, kind in (("fans", "Fan"), ("orders", "Order")):
        wanted = oracle.seen(who, kind) if "#" not in who else _own(oracle, world, who, kind)
        assert {row.id for row in seen[name]} == wanted
    for name in BRAND_TABLES:
        assert {row.brand_id for row in seen[name]} <= brands, name
        assert seen[name] or name in EMPTY, name
    for name in GROUP_TABLES:
        assert {row.group_id for row in seen[name]} <= {world.nodes[group]}, name
    judge = Oracle(oracle.paths, {who: home if len(home.split("/")) == 1 else brand})
    for name, kind in NODE_TABLES.items():
        assert {row.id for row in seen[name]} == judge.seen(who, kind), name


def _own(oracle: Oracle, world: World, who: str, kind: str) -> set[int]:
    if kind == "Fan":
        return {world.fans[who]}
    place = who.partition("#")[0]
    lowest = sorted(number for number, path in oracle.paths["Order"].items() if path == place)
    return {lowest[int(who.partition("#")[2]) - 1]}


async def test_no_write_leaves_the_walls(world: World) -> None:
    fans, orders, tags, fan_tags = table_of(Fan), table_of(Order), table_of(Tag), table_of(FanTag)
    b2 = at(world, "g1/b2/d1")
    person = {"person_id": 1, "currency": "CNY", "gender": "UNKNOWN", "subscribed": False, "order_count": 0, "spend": 0}
    now = clock.now()
    stamped = {"version": 1, "created_at": now, "updated_at": now}
    order = {"source": "x", "number": "1", "state": "PAID", "amount": 1, "currency": "CNY", "item_count": 0}
    b1 = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"]}
    escapes = {
        "a fan of another brand": insert(fans).values(**b2, **person, **stamped),
        "a fan of another dealer": insert(fans).values(**at(world, "g1/b1/d11"), **person, **stamped),
        "a fan of no dealer": insert(fans).values(**b1, **person, **stamped),
        "an order of another brand": insert(orders).values(
            **b2, **order, **stamped, fan_id=world.fans["g1/b2/d1#1"], placed_at=now
        ),
        "a tag of another brand": insert(tags).values(
            group_id=b2["group_id"], brand_id=b2["brand_id"], name="x", kind="FACT", created_at=now
        ),
        "a tag of another group": insert(tags).values(
            group_id=world.nodes["g2"], name="x", kind="FACT", created_at=now
        ),
        "a foreign audit line": insert(table_of(AuditEntry)).values(
            group_id=world.nodes["g2"], brand_id=world.nodes["g2/b1"], principal="x", action="x", subject="x", detail={}
        ),
        "a fan moved to another dealer": update(fans).values(dealer_id=world.nodes["g1/b1/d11"], store_id=None),
        "a fan moved to no dealer": update(fans).values(dealer_id=None, store_id=None),
        "a tag on a fan of another brand": insert(fan_tags).values(
            group_id=b2["group_id"],
            brand_id=b2["brand_id"],
            fan_id=world.fans["g1/b2/d1#1"],
            tag_id=world.tags["g1"],
            count=1,
            weight=1,
            source="MANUAL",
            first_at=now,
            last_at=now,
        ),
    }

    scope = await scope_of(world, "D1")
    for name, statement in escapes.items():
        with pytest.raises(DBAPIError) as refused:
            async with bare(world, scope) as connection:
                await connection.execute(statement)
        assert is_wall(refused.value), (name, refused.value)
    async with bare(world, scope) as connection:
        for foreign in ("g1/b1/d11#1", "g1/b2/d1#1", "g2/b1/d1#1"):
            one = fans.c.id == world.fans[foreign]
            assert (await connection.execute(update(fans).where(one).values(nickname="x"))).rowcount == 0
            assert (await connection.execute(delete(fans).where(one))).rowcount == 0


async def test_the_walls_of_one_transaction_do_not_stand_in_the_next(world: World) -> None:
    fans = table_of(Fan)
    engine = world.services.database.engine
    async with engine.connect() as connection:
        async with connection.begin():
            await connection.exec_driver_sql(*wall_settings(EVERYTHING))
            assert len(await rows_of(connection, fans)) == 20
        async with connection.begin():
            assert await rows_of(connection, fans) == []
        async with connection.begin():
            await connection.exec_driver_sql(*wall_settings(await scope_of(world, "S1")))
            assert len(await rows_of(connection, fans)) == 1


async def test_the_audit_log_is_only_ever_added_to(world: World) -> None:
    log = table_of(AuditEntry)
    before = await snapshot(world)

    for statement in (update(log).values(action="x"), delete(log), text("TRUNCATE audit_log")):
        with pytest.raises(DBAPIError):
            async with bare(world, EVERYTHING) as connection:
                await connection.execute(statement)

    assert before["audit_log"]
    assert await snapshot(world) == before
