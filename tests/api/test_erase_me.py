import asyncio
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, select

from domain import clock
from domain.batches import RowOutcome
from domain.database import Database
from domain.events.models import EventCount, FanEvent, Follow, FollowKind
from domain.fans.models import Fan
from domain.fans.service import NewFan, resolve_fans
from domain.orders.models import OrderState
from domain.orders.rules import IdentityInput, OrderInput
from domain.orders.service import OrderBatch, record_orders
from domain.persons.models import Identity, IdentityKind
from domain.privacy import erasing
from domain.privacy.erasing import Erased
from domain.tables import metadata, table_of
from domain.tenancy.models import Brand
from graph.driver import Graph
from graph.projector import Projector
from graph.verify import verify
from server.erasures import read
from server.settings import Settings
from tests.api.test_export_my_data import EXPORT, runner_of, work
from tests.cast import EVERYTHING, add
from tests.world import Client, World, build, client_of, person, services_of

ME, OTHER, TWIN = "g1/b1/d1#2", "g1/b1/d1#3", "g1/b2/d1#1"
ERASE = """mutation { eraseMe(input: {confirm: true}) { job { id state } receipt userErrors { code field } } }"""
RECEIPT = "query($r: String!) { erasure(receipt: $r) { askedAt erasedAt } }"
# what may say the old id: it leads nowhere, and without it an erasure could not be done again
NAMING = {"audit_log", "erasures", "idempotency", "jobs", "outbox"}


async def hold_something(world: World, who: str = ME) -> None:
    """Give a fan a little of everything that the world does not give them."""
    at = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "fan_id": world.fans[who]}
    now = clock.now()
    event = {"occurred_at": now, "received_at": now, "clamped": False, "scene": "guide-王", "order_reference": who}
    for n in range(3):
        await add(world, FanEvent, **at, **event, name="scan", properties={"n": n, "name": "secret-nick"})
    await add(world, Follow, **at, kind=FollowKind.FOLLOW, at=now)
    async with world.services.database.writing(EVERYTHING) as session:
        await session.execute(insert(table_of(EventCount)).values(**at, name="scan", day=now.date(), count=3))


async def contents(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every table."""
    found = {}
    async with database.reading(EVERYTHING) as session:
        for table in metadata.sorted_tables:
            found[table.name] = [dict(row) for row in (await session.execute(select(table))).mappings()]
    return found


def holding(rows: dict[str, list[dict[str, Any]]], wanted: Any) -> set[str]:
    """Return the tables in which a value, or a text that holds it, stands."""

    def holds(value: Any) -> bool:
        if isinstance(wanted, str):
            return wanted in str(value)
        return type(value) is type(wanted) and value == wanted

    return {name for name, found in rows.items() if any(holds(value) for row in found for value in row.values())}


def naming(rows: dict[str, list[dict[str, Any]]], fan_id: int) -> set[str]:
    """Return the tables in which a column for fans names this one."""
    return {
        name
        for name, found in rows.items()
        for row in found
        if (name == "fans" and row["id"] == fan_id) or any(row[c] == fan_id for c in row if c.endswith("fan_id"))
    }


async def test_nothing_of_the_fan_is_left_but_what_has_to_be(client: Client) -> None:
    world, me = client.world, client.world.fans[ME]
    await hold_something(world)
    await client.data(ME, EXPORT)
    before = await contents(world.services.database)
    (mine,) = [row for row in before["fans"] if row["id"] == me]
    hashes = [row["value_hash"] for row in before["identities"] if row["person_id"] == mine["person_id"]]
    assert naming(before, me) >= {"events", "event_counts", "follows", "fan_tags", "orders", "shares", "referrals"}
    assert hashes

    await client.data(ME, ERASE)
    await work(world)

    after = await contents(world.services.database)
    assert naming(after, me) <= {"erasures", "jobs"}
    for secret in (mine["nickname"], mine["phone_hash"], mine["phone_cipher"], *hashes, "secret-nick", "guide-王"):
        assert holding(after, secret) == set(), secret
    assert holding(after, str(next(p["uid"] for p in before["persons"] if p["id"] == mine["person_id"]))) == {
        "erasures"
    }
    assert (await client.ask(ME, "{ me { nickname } }"))["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_what_was_exported_before_a_merge_goes_too(client: Client) -> None:
    world = client.world
    await client.data(OTHER, EXPORT)
    await work(world)
    people = [
        (await client.data("HQ1", "query($id: ID!) { fan(id: $id) { person { id } } }", id=world.id("Fan", who)))["fan"]
        for who in (ME, OTHER)
    ]
    merging = "mutation($a: ID!, $b: ID!) { mergePersons(input: {survivorId: $a, absorbedId: $b}) { merge { id } } }"
    survivor, absorbed = (found["person"]["id"] for found in people)
    assert (await client.data("HQ1", merging, a=survivor, b=absorbed))["mergePersons"]["merge"]
    assert (await contents(world.services.database))["export_parts"]

    await client.data(ME, ERASE)
    await work(world)

    rows = await contents(world.services.database)
    assert rows["export_parts"] == []
    assert {job["kind"] for job in rows["jobs"]} == {"ERASE_FAN"}
    assert f"fan:{world.fans[OTHER]}" not in {row["principal"] for row in rows["idempotency"]}


MERGING = "mutation($a: ID!, $b: ID!) { mergePersons(input: {survivorId: $a, absorbedId: $b}) { merge { id } } }"


async def become_one(client: Client, survivor: str, absorbed: str) -> None:
    """Merge the persons of two fans."""
    query, people = "query($id: ID!) { fan(id: $id) { person { id } } }", []
    for who in (survivor, absorbed):
        found = await client.data("HQ1", query, id=client.world.id("Fan", who))
        people.append(found["fan"]["person"]["id"])
    assert (await client.data("HQ1", MERGING, a=people[0], b=people[1]))["mergePersons"]["merge"]


@pytest.mark.parametrize("steps", [0, 1, 4])
async def test_who_is_merged_away_before_it_is_done_is_erased_with_whom_they_are_now(
    client: Client, monkeypatch: pytest.MonkeyPatch, plain_settings: Settings, steps: int
) -> None:
    monkeypatch.setattr(erasing, "ROWS_PER_STEP", 2)
    monkeypatch.setattr("domain.jobs.runner.STEPS_PER_TURN", 1)
    world = client.world
    await hold_something(world)
    await hold_something(world, OTHER)
    before = await contents(world.services.database)
    receipt = (await client.data(OTHER, ERASE))["eraseMe"]["receipt"]
    runner = runner_of(world)
    for _ in range(steps):
        assert await runner.run_once()
    await become_one(client, ME, OTHER)
    await work(world)

    rows = await contents(world.services.database)
    for who in (ME, OTHER):
        assert naming(rows, world.fans[who]) <= {"erasures", "jobs"}, who
    mine = [row for row in before["fans"] if row["id"] in (world.fans[ME], world.fans[OTHER])]
    for fan in mine:
        assert holding(rows, fan["nickname"]) == holding(rows, fan["phone_hash"]) == set()
    assert (await client.data("g1/b1/d1#4", RECEIPT, r=receipt))["erasure"]["erasedAt"] is not None
    with plain_settings.erasure_file.open("rb") as lines:
        erased = [one for one in read(lines) if isinstance(one, Erased)]
    assert {fan for one in erased for fan in one.fans} == {world.fans[ME], world.fans[OTHER]}
    uids = {str(p["uid"]) for p in before["persons"] if p["id"] in {fan["person_id"] for fan in mine}}
    assert {uid for one in erased for uid in one.persons} == uids


async def test_two_who_asked_and_became_one_are_both_told_that_it_is_done(client: Client) -> None:
    receipts = [(await client.data(who, ERASE))["eraseMe"]["receipt"] for who in (ME, OTHER)]
    await become_one(client, ME, OTHER)
    await work(client.world)

    for receipt in receipts:
        assert (await client.data("g1/b1/d1#4", RECEIPT, r=receipt))["erasure"]["erasedAt"] is not None
    rows = await contents(client.world.services.database)
    assert [job["state"] for job in rows["jobs"]] == ["DONE", "DONE"]
    assert len([row for row in rows["fans"] if row["erased_at"] is not None]) == 1


async def test_orders_events_and_cascades_stay_under_one_who_has_no_name(client: Client) -> None:
    world, me = client.world, client.world.fans[ME]
    await hold_something(world)
    before = await contents(world.services.database)

    await client.data(ME, ERASE)
    await work(world)

    after = await contents(world.services.database)
    (nobody,) = [row for row in after["fans"] if row["erased_at"] is not None]
    order = next(row for row in after["orders"] if row["number"] == ME)
    assert (order["fan_id"], order["amount"], nobody["spend"], nobody["order_count"]) == (nobody["id"], 2000, 2000, 1)
    assert [(e["fan_id"], e["properties"], e["scene"]) for e in after["events"]] == [(nobody["id"], {}, None)] * 3
    assert [(c["fan_id"], c["count"]) for c in after["event_counts"]] == [(nobody["id"], 3)]
    for table, columns in (
        ("shares", ("from_fan_id", "to_fan_id")),
        ("referrals", ("referrer_fan_id", "invitee_fan_id")),
    ):
        renamed = [
            {name: nobody["id"] if name in columns and value == me else value for name, value in row.items()}
            for row in before[table]
        ]
        assert sorted(after[table], key=str) == sorted(renamed, key=str)
    assert nobody["id"] > max(row["id"] for row in before["fans"])
    kept = {"id", "group_id", "brand_id", "person_id", "currency", "gender", "version", "erased_at"}
    kept |= {"created_at", "updated_at", "order_count", "spend", "last_order_at", "subscribed", "follow_count"}
    assert {name: value for name, value in nobody.items() if name not in kept and value is not None} == {}
    assert [row for row in after["identities"] if row["person_id"] == nobody["person_id"]] == []


async def test_no_way_of_the_api_leads_to_an_erased_fan(client: Client) -> None:
    world = client.world
    id_, nick = world.id("Fan", ME), f"粉丝 {ME}"
    await client.data(ME, ERASE)
    await work(world)

    assert await client.codes("HQ1", "query($id: ID!) { fan(id: $id) { id } }", id=id_) == ["NOT_FOUND"]
    assert await client.codes("HQ1", "query($id: ID!) { node(id: $id) { id } }", id=id_) == ["NOT_FOUND"]
    everybody = await client.data("HQ1", "{ fans(first: 100) { nodes { id nickname phone erasedAt tags { name } } } }")
    assert id_ not in {fan["id"] for fan in everybody["fans"]["nodes"]}
    assert nick not in {fan["nickname"] for fan in everybody["fans"]["nodes"]}
    (nobody,) = [fan for fan in everybody["fans"]["nodes"] if fan["erasedAt"]]
    assert (nobody["nickname"], nobody["phone"], nobody["tags"]) == (None, None, [])


async def test_the_receipt_says_how_far_it_is_when_no_token_does(client: Client) -> None:
    asked = (await client.data(ME, ERASE))["eraseMe"]
    again = (await client.data(ME, ERASE))["eraseMe"]
    assert again == asked
    waiting = (await client.data(OTHER, RECEIPT, r=asked["receipt"]))["erasure"]
    assert waiting["erasedAt"] is None
    await work(client.world)

    answer = await client.post(None, {"query": RECEIPT, "variables": {"r": asked["receipt"]}}, "/fan/graphql")
    assert answer.json()["data"]["erasure"]["erasedAt"] is not None
    for wrong in ("", "x", asked["receipt"][:-2] + "AA", "é" * 40, "A" * 44, asked["receipt"] + "AAAA"):
        answer = await client.post(None, {"query": RECEIPT, "variables": {"r": wrong}}, "/fan/graphql")
        assert answer.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND", wrong


async def test_staff_see_who_asked_where_they_may(client: Client) -> None:
    await client.data(ME, ERASE)
    await work(client.world)
    query = "{ erasures(first: 5) { nodes { fanId erasedAt } } jobs(first: 5) { nodes { kind state } } }"

    found = await client.data("B1", query)
    assert [row["fanId"] for row in found["erasures"]["nodes"]] == [client.world.id("Fan", ME)]
    assert found["jobs"]["nodes"] == [{"kind": "ERASE_FAN", "state": "DONE"}]
    assert (await client.data("B2", query)) == {"erasures": {"nodes": []}, "jobs": {"nodes": []}}
    assert set(await client.codes("D1", query)) == {"FORBIDDEN"}


async def test_without_confirmation_nothing_happens(client: Client) -> None:
    answer = await client.data(ME, ERASE.replace("true", "false"))

    assert answer["eraseMe"]["userErrors"] == [{"code": "BAD_USER_INPUT", "field": ["input", "confirm"]}]
    rows = await contents(client.world.services.database)
    assert (rows["jobs"], rows["erasures"]) == ([], [])


async def test_what_they_agreed_to_ends_when_they_ask_and_not_when_it_is_done(client: Client) -> None:
    await client.data(
        ME,
        """mutation { setMyConsents(input: {policy: "1", choices: [{purpose: MARKETING, granted: true}]})
        { userErrors { code } } }""",
    )

    await client.data(ME, ERASE)

    found = (await client.data(ME, "{ me { consents { purpose granted } } }"))["me"]["consents"]
    assert {consent["granted"] for consent in found} == {False}


async def test_who_comes_back_is_somebody_new(client: Client) -> None:
    world = client.world
    await client.data(ME, ERASE)
    await work(world)

    async with world.services.database.writing(EVERYTHING) as session:
        brands = table_of(Brand)
        brand: Any = (await session.execute(select(brands).where(brands.c.id == world.nodes["g1/b1"]))).one()
        found = await resolve_fans(session, world.services.vault, brand, [NewFan(person(ME))])

    rows = await contents(world.services.database)
    (back,) = [row for row in rows["fans"] if row["id"] == found[person(ME)]]
    (nobody,) = [row for row in rows["fans"] if row["erased_at"] is not None]
    assert back["id"] > max(world.fans.values())
    assert back["person_id"] != nobody["person_id"]
    assert (back["spend"], back["order_count"], back["nickname"]) == (0, 0, None)


async def test_an_order_sent_again_brings_nobody_back(client: Client) -> None:
    world = client.world
    await client.data(ME, ERASE)
    await work(world)
    before = await contents(world.services.database)
    who = IdentityInput(IdentityKind.EXTERNAL_ID, ME, "test")
    refunded = OrderInput(ME, who, clock.now(), Decimal(20), OrderState.REFUNDED)

    async with world.services.database.writing(EVERYTHING) as session:
        brands = table_of(Brand)
        brand: Any = (await session.execute(select(brands).where(brands.c.id == world.nodes["g1/b1"]))).one()
        batch = OrderBatch("test", [refunded])
        (result,) = await record_orders(session, world.services.vault, "test", brand, batch)

    after = await contents(world.services.database)
    assert result.outcome == RowOutcome.UPDATED
    assert [len(after[name]) for name in ("fans", "persons", "identities")] == [
        len(before[name]) for name in ("fans", "persons", "identities")
    ]
    (nobody,) = [row for row in after["fans"] if row["erased_at"] is not None]
    assert next(row["fan_id"] for row in after["orders"] if row["number"] == ME) == nobody["id"]
    assert (nobody["spend"], nobody["order_count"]) == (0, 0)


async def test_a_person_of_two_brands_leaves_only_the_one_they_asked(client: Client) -> None:
    world, me = client.world, "g1/b1/d1#1"
    async with world.services.database.reading(EVERYTHING) as session:
        before = (await session.execute(select(table_of(Fan)).where(table_of(Fan).c.id == world.fans[TWIN]))).one()
        identities = (await session.execute(select(table_of(Identity).c.id))).scalars().all()
    await add(
        world,
        Identity,
        group_id=world.nodes["g1"],
        person_id=before.person_id,
        kind="OPENID",
        issuer="wx1",
        value_hash=b"o" * 32,
        value_cipher=b"o",
    )

    await client.data(me, ERASE)
    await work(world)

    rows = await contents(world.services.database)
    assert [row["id"] for row in rows["fans"] if row["person_id"] == before.person_id] == [world.fans[TWIN]]
    assert sorted(row["id"] for row in rows["identities"]) == sorted(identities)
    assert holding(rows, b"o" * 32) == set()
    assert (await client.data(TWIN, "{ me { orderCount } }"))["me"]["orderCount"] == 1


async def test_the_graph_learns_it_although_it_was_down(
    database: Database, plain_settings: Settings, graph: Graph
) -> None:
    world = await build(services_of(database, plain_settings, graph))
    projector = Projector(database, graph)
    while await projector.run_once():
        pass
    down = services_of(database, plain_settings)
    async with client_of(World(down, world.nodes, world.fans), plain_settings) as client:
        await client.data(ME, ERASE)
        await work(world)
    node = f"{world.nodes['g1/b1']}:{world.fans[ME]}"
    assert await graph.read("MATCH (f:Fan {id: $id}) RETURN f.v AS v", {"id": node}) != []

    while await projector.run_once():
        pass

    assert await graph.read("MATCH (f:Fan {id: $id}) RETURN f.v AS v", {"id": node}) == []
    assert await verify(database, graph) == []
    rows = await contents(database)
    assert {row["sent_at"] is not None for row in rows["outbox"]} == {True}
    await down.graph.close()


async def test_steps_are_small_and_a_job_goes_on_where_one_ended(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "ROWS_PER_STEP", 2)
    monkeypatch.setattr("domain.jobs.runner.STEPS_PER_TURN", 1)
    await hold_something(client.world)
    await client.data(ME, ERASE)

    await asyncio.gather(*(work(client.world) for _ in range(3)))
    await work(client.world)

    rows = await contents(client.world.services.database)
    (job,) = rows["jobs"]
    assert (job["state"], job["attempts"], job["error"]) == ("DONE", 0, None)
    assert job["done"] > 10
    assert naming(rows, client.world.fans[ME]) <= {"erasures", "jobs"}
    assert len([row for row in rows["fans"] if row["erased_at"] is not None]) == 1


async def test_what_comes_in_while_it_goes_on_is_erased_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "ROWS_PER_STEP", 2)
    world = client.world
    await hold_something(world)
    await client.data(ME, ERASE)
    close, came = erasing._close, []

    async def late(session: Any, *rest: Any) -> int:
        at = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"], "fan_id": world.fans[ME]}
        now = clock.now()
        rows = [{**at, "name": f"e{n}", "day": now.date(), "count": 1} for n in range(5)]
        await session.execute(insert(table_of(EventCount)), [*rows, {**rows[0], "name": "scan"}])
        came.append(rows)
        return await close(session, *rest)

    monkeypatch.setattr(erasing, "_close", late)
    await work(world)

    rows = await contents(world.services.database)
    assert naming(rows, world.fans[ME]) <= {"erasures", "jobs"}
    assert {row["name"]: row["count"] for row in rows["event_counts"]} == {"scan": 4, **{f"e{n}": 1 for n in range(5)}}


async def test_the_list_is_written_before_it_is_done_and_names_no_data(
    client: Client, plain_settings: Settings
) -> None:
    await client.data(ME, ERASE)
    await work(client.world)

    with plain_settings.erasure_file.open("rb") as lines:
        (erased,) = read(lines)
    assert isinstance(erased, Erased)
    assert (erased.brand_id, erased.fans) == (client.world.nodes["g1/b1"], [client.world.fans[ME]])
    assert len(erased.persons) == 1
    assert oct(plain_settings.erasure_file.stat().st_mode & 0o777) == "0o600"


async def test_it_is_in_the_audit_log_by_the_old_id_alone(client: Client) -> None:
    await client.data(ME, ERASE)
    await work(client.world)

    rows = await contents(client.world.services.database)
    deeds = [row["action"] for row in rows["audit_log"] if row["subject"] == f"Fan:{client.world.fans[ME]}"]
    assert deeds[-2:] == ["fan:ask_to_erase", "fan:erase"]
