import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, update

from domain.database import Database
from domain.fans.models import Fan
from domain.fans.service import fan_gone
from domain.outbox import emit
from domain.referrals.models import Referral
from domain.referrals.service import fan_referred, referral_gone
from domain.shares.models import Cascade, Share
from domain.shares.service import share_gone, share_recorded
from domain.tables import table_of
from graph import fans as module
from graph.driver import Graph, Row
from graph.edges import StoredEdge, bury_edges
from graph.fans import FanNode, bury_fans, node_id, stream_fans, upsert_fans
from graph.gone import stream_fan_tombs
from graph.projector import Projector
from graph.rebuild import rebuild
from graph.referrals import ReferralEdge, stream_referrals, upsert_referrals
from graph.shares import SHARED, ShareEdge, stream_shares, upsert_shares
from graph.verify import verify
from tests.graph.test_projector import drain
from tests.graph.trees import new_brand
from tests.graph.worlds import SYSTEM, add_fans, make_world, outbox, outbox_rows

shares, cascades = table_of(Share), table_of(Cascade)
referrals, fans = table_of(Referral), table_of(Fan)


async def nodes(graph: Graph, brand: int) -> dict[str, int]:
    return {fan.id: fan.v async for fan in stream_fans(graph, brand)}


async def edges(graph: Graph, brand: int) -> set[StoredEdge]:
    return {edge async for edge in stream_shares(graph, brand)}


async def tombs(graph: Graph, brand: int) -> dict[str, int]:
    return {tomb.key: tomb.v async for page in stream_fan_tombs(graph, brand) for tomb in page}


async def test_a_fan_who_is_gone_takes_their_edges_and_stays_gone_whatever_comes_late(graph: Graph) -> None:
    brand = new_brand()
    star = [ShareEdge(brand, brand, 1, fan, 0, v=3) for fan in range(2, 6)]
    await upsert_fans(graph, [FanNode(brand, 1, 4)])
    await upsert_shares(graph, star)
    await upsert_referrals(graph, [ReferralEdge(brand, 5, 1, 0, v=4)])

    await bury_fans(graph, [FanNode(brand, 1, 5)])
    await upsert_fans(graph, [FanNode(brand, 1, 4), FanNode(brand, 1, 5)])
    await upsert_shares(graph, [*star, ShareEdge(brand, brand, 9, 1, 0, v=99), ShareEdge(brand, brand, 7, 8, 0)])
    await upsert_referrals(graph, [ReferralEdge(brand, 1, 9, 0, v=98)])

    assert sorted(await nodes(graph, brand)) == [node_id(brand, fan) for fan in (2, 3, 4, 5, 7, 8, 9)]
    assert {edge.key for edge in await edges(graph, brand)} == {f"{brand}:8"}
    assert [edge async for edge in stream_referrals(graph, brand)] == []
    assert await tombs(graph, brand) == {node_id(brand, 1): 5}


async def test_a_newer_version_brings_a_fan_back_and_an_older_tombstone_does_not_take_it(graph: Graph) -> None:
    brand = new_brand()
    await bury_fans(graph, [FanNode(brand, 1, 5)])

    await upsert_fans(graph, [FanNode(brand, 1, 6)])
    await bury_fans(graph, [FanNode(brand, 1, 5)])
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0)])

    assert await nodes(graph, brand) == {node_id(brand, 1): 6, node_id(brand, 2): 0}
    assert len(await edges(graph, brand)) == 1
    assert await tombs(graph, brand) == {}


async def test_a_hub_goes_in_pieces(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EDGES_PER_DELETE", 100)
    brand = new_brand()
    deleted: list[int] = []
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, fan, 0) for fan in range(2, 352)])
    write = graph.write

    async def counting(cypher: Any, parameters: Any = None, **more: Any) -> list[Row]:
        rows = await write(cypher, parameters, **more)
        deleted.extend(row["deleted"] for row in rows)
        return rows

    monkeypatch.setattr(graph, "write", counting)
    await bury_fans(graph, [FanNode(brand, 1, 2)])

    assert deleted == [100, 100, 100, 50]
    assert await edges(graph, brand) == set()
    assert len(await nodes(graph, brand)) == 350


async def test_writers_and_a_burial_at_once_end_without_the_fan(graph: Graph) -> None:
    brand = new_brand()

    async def write(start: int) -> None:
        for fan in range(start, start + 10):
            await upsert_fans(graph, [FanNode(brand, 1, 1)])
            await upsert_shares(graph, [ShareEdge(brand, brand, 1, fan, 0, v=fan)])

    async def bury() -> None:
        await asyncio.sleep(0.02)
        await bury_fans(graph, [FanNode(brand, 1, 2)])

    await asyncio.gather(*(write(start) for start in (10, 20, 30)), bury())

    assert node_id(brand, 1) not in await nodes(graph, brand)
    assert await edges(graph, brand) == set()


async def test_an_edge_that_is_gone_comes_back_only_by_something_newer(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0, v=5), ShareEdge(brand, brand, 1, 3, 0, v=6)])

    await bury_edges(graph, SHARED, [{"key": f"{brand}:{fan}", "brand": brand, "v": 7} for fan in (2, 3)])
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0, v=5), ShareEdge(brand, brand, 1, 3, 0)])
    assert await edges(graph, brand) == set()
    await upsert_shares(graph, [ShareEdge(brand, brand, 4, 3, 0, v=8)])
    await bury_edges(graph, SHARED, [{"key": f"{brand}:3", "brand": brand, "v": 7}])

    assert {edge.source for edge in await edges(graph, brand)} == {node_id(brand, 4)}


async def test_an_older_event_does_not_put_an_edge_back_to_where_it_was(graph: Graph) -> None:
    brand = new_brand()
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0, v=5)])
    await upsert_shares(graph, [ShareEdge(brand, brand, 3, 2, 0, v=9)])

    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0, v=5)])
    await upsert_shares(graph, [ShareEdge(brand, brand, 3, 2, 0, v=12)])
    await upsert_shares(graph, [ShareEdge(brand, brand, 1, 2, 0, v=11)])

    assert {edge.source for edge in await edges(graph, brand)} == {node_id(brand, 3)}


async def take_place(database: Database, old: int, new: int) -> None:
    """Put one fan in another's place in SQL, and tell the graph."""
    async with database.writing(SYSTEM) as session:
        await add_fans(session, 1, [new])
        moved = []
        for table, column, event in (
            (shares, shares.c.from_fan_id, share_recorded),
            (shares, shares.c.to_fan_id, share_recorded),
            (referrals, referrals.c.referrer_fan_id, fan_referred),
            (referrals, referrals.c.invitee_fan_id, fan_referred),
        ):
            change = update(table).where(column == old).values({column: new}).returning(table)
            moved += [event(row) for row in (await session.execute(change)).mappings()]
        await session.execute(update(cascades).where(cascades.c.seed_fan_id == old).values(seed_fan_id=new))
        await session.execute(delete(fans).where(fans.c.id == old))
        await emit(session, [*moved, fan_gone(1, 1, old, 10_000)])


async def test_events_of_before_change_nothing_when_they_come_after_the_tombstone(
    database: Database, graph: Graph
) -> None:
    await make_world(database)
    await drain(Projector(database, graph))
    before = max(row.id for row in await outbox_rows(database))
    await take_place(database, 1, 900)
    await take_place(database, 33, 901)
    waiting = await verify(database, graph)
    await drain(Projector(database, graph))
    assert await verify(database, graph) == []

    async with database.writing(SYSTEM) as session:
        await session.execute(update(outbox).where(outbox.c.id <= before).values(sent_at=None))
    settled = await drain(Projector(database, graph))

    assert waiting
    assert all(difference.lag for difference in waiting)
    assert settled == 394
    assert await verify(database, graph) == []
    assert await tombs(graph, 1) == {"1:1": 10_000, "1:33": 10_000}


async def test_edges_taken_out_in_sql_leave_by_their_own_tombstones(database: Database, graph: Graph) -> None:
    await make_world(database)
    await drain(Projector(database, graph))
    async with database.writing(SYSTEM) as session:
        gone = (await session.execute(delete(shares).where(shares.c.to_fan_id == 20).returning(shares))).one()
        await session.execute(delete(referrals).where(referrals.c.invitee_fan_id == 20))
        events = [share_gone(1, 1, gone.cascade_id, 20), referral_gone(1, 1, 20)]
        await emit(session, events)

    assert all(difference.lag for difference in await verify(database, graph))
    await drain(Projector(database, graph))

    assert await verify(database, graph) == []


async def test_a_rebuild_takes_tombstones_away_of_what_sql_has_again(database: Database, graph: Graph) -> None:
    await make_world(database, tell=False)
    await bury_fans(graph, [FanNode(1, 7, 5_000), FanNode(1, 5_555, 2)])
    await bury_edges(graph, SHARED, [{"key": "1:9", "brand": 1, "v": 70}, {"key": "1:5555", "brand": 1, "v": 71}])

    await rebuild(database, graph)

    assert await verify(database, graph) == []
    assert await tombs(graph, 1) == {"1:5555": 2}
    await rebuild(database, graph, wipe=True)
    assert await tombs(graph, 1) == {}
    assert await verify(database, graph) == []
