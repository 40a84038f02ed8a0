"""Persons over the API: who may see them across brands, and what staff decide."""

import asyncio
from typing import Any

from sqlalchemy import select

from domain.fans.models import Fan
from domain.persons.claims import Claim, IdentityRef
from domain.persons.models import IdentityKind
from domain.persons.resolution import resolve
from domain.tables import table_of
from schema.ids import encode
from tests.cast import EVERYTHING, ask, codes, hire, make_role, snapshot
from tests.world import Client

fans = table_of(Fan)
PERSON = """query($id: ID!) { person(id: $id) { id identities { kind issuer value verifiedAt }
  fans { id brand { code } } } }"""
MERGE = """mutation($i: MergePersonsInput!) { mergePersons(input: $i) { userErrors { code field }
  merge { id reason absorbedId survivor { id } } } }"""
UNMERGE = """mutation($i: UnmergePersonsInput!) { unmergePersons(input: $i) { userErrors { code field }
  merge { undoneAt undoneBy laterWentTo } } }"""
APPROVE = """mutation($i: ApproveIdentityConflictInput!) { approveIdentityConflict(input: $i) {
  userErrors { code field } conflict { state decidedBy } merge { reason kind } } }"""
REJECT = """mutation($i: RejectIdentityConflictInput!) { rejectIdentityConflict(input: $i) {
  userErrors { code field } conflict { state } } }"""
CONFLICTS = """{ identityConflicts(first: 9, filter: {state: OPEN}) { totalCount
  nodes { id state kind times one { id } other { id } } } }"""
FAN = "query($id: ID!) { fan(id: $id) { id nickname orderCount } node(id: $id) { id ... on Fan { orderCount } } }"


async def person_of(client: Client, fan: str) -> str:
    async with client.world.services.database.reading(EVERYTHING) as session:
        one = select(fans.c.person_id).where(fans.c.id == client.world.fans[fan])
        return encode("Person", (await session.execute(one)).scalar_one())


async def merge(client: Client, into: str, gone: str, who: str = "HQ1", **more: Any) -> dict[str, Any]:
    given = {"survivorId": await person_of(client, into), "absorbedId": await person_of(client, gone), **more}
    answer: dict[str, Any] = (await client.data(who, MERGE, i=given))["mergePersons"]
    return answer


async def open_conflict(client: Client) -> str:
    """Claim two phones for one unionid and return the conflict's id."""
    world = client.world
    union = IdentityRef(IdentityKind.UNIONID, "u", "open")
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        for number in ("13912345678", "13787654321"):
            phone = IdentityRef(IdentityKind.PHONE, number)
            await resolve(session, keys, [Claim((union, phone), frozenset({phone}), "login:1")], principal="test")
    (found,) = (await client.data("HQ1", CONFLICTS))["identityConflicts"]["nodes"]
    return str(found["id"])


async def test_a_merged_fan_is_found_by_the_old_id_and_goes_on_with_the_old_token(client: Client) -> None:
    one, other = "g1/b1/d1#1", "g1/b1/d1#2"
    kept, old = client.world.id("Fan", one), client.world.id("Fan", other)

    answer = await merge(client, one, other, note="same human")

    assert answer["userErrors"] == []
    assert answer["merge"]["reason"] == "MANUAL"
    found = await client.data("B1", FAN, id=old)
    assert found["fan"] == {"id": kept, "nickname": f"粉丝 {one}", "orderCount": 2}
    assert found["node"] == {"id": kept, "orderCount": 2}
    assert (await client.data("HQ1", PERSON, id=answer["merge"]["absorbedId"]))["person"]["id"] == (
        answer["merge"]["survivor"]["id"]
    )
    assert (await client.data(other, "{ me { nickname orderCount } }"))["me"] == {
        "nickname": f"粉丝 {one}",
        "orderCount": 2,
    }
    # who saw neither sees neither, by whatever id
    assert await client.codes("D11", FAN, id=old) == ["NOT_FOUND", "NOT_FOUND"]
    assert await client.codes("B2", FAN, id=old) == ["NOT_FOUND", "NOT_FOUND"]


async def test_it_is_undone_and_both_are_as_they_were(client: Client) -> None:
    one, other = "g1/b1/d1#1", "g1/b1/d1#2"
    done = await merge(client, one, other)

    first = await client.data("HQ1", UNMERGE, i={"mergeId": done["merge"]["id"], "later": "ABSORBED"})
    again = await client.data("HQ1", UNMERGE, i={"mergeId": done["merge"]["id"]})

    assert first["unmergePersons"]["userErrors"] == []
    assert first["unmergePersons"]["merge"]["laterWentTo"] == "ABSORBED"
    assert [error["code"] for error in again["unmergePersons"]["userErrors"]] == ["MERGE_UNDONE"]
    for name in (one, other):
        found = (await client.data("B1", FAN, id=client.world.id("Fan", name)))["fan"]
        assert found == {"id": client.world.id("Fan", name), "nickname": f"粉丝 {name}", "orderCount": 1}
    assert (await client.data(other, "{ me { nickname } }"))["me"]["nickname"] == f"粉丝 {other}"


async def test_merging_crosswise_at_once_moves_everything_once(client: Client) -> None:
    """M19: the merge of who was merged is refused."""
    one, other = "g1/b1/d1#1", "g1/b1/d1#2"
    a, b = await person_of(client, one), await person_of(client, other)
    pairs = [(a, b), (b, a)] * 5

    answers = await asyncio.gather(
        *(client.data("HQ1", MERGE, i={"survivorId": into, "absorbedId": gone}) for into, gone in pairs)
    )

    outcomes = [[error["code"] for error in answer["mergePersons"]["userErrors"]] for answer in answers]
    assert sorted(outcomes) == [[]] + [["PERSON_MERGED"]] * 9
    found = (await client.data("B1", FAN, id=client.world.id("Fan", one)))["fan"]
    assert found["orderCount"] == 2


async def test_a_dry_run_writes_nothing(client: Client) -> None:
    before = await snapshot(client.world)

    assert (await merge(client, "g1/b1/d1#1", "g1/b1/d1#2", dryRun=True))["merge"]["reason"] == "MANUAL"

    assert await snapshot(client.world) == before


async def test_a_conflict_is_approved_or_rejected_once(client: Client) -> None:
    conflict = await open_conflict(client)

    approved = await client.data("HQ1", APPROVE, i={"conflictId": conflict, "note": "called them"})
    again = await client.data("HQ1", REJECT, i={"conflictId": conflict})

    payload = approved["approveIdentityConflict"]
    assert payload["userErrors"] == []
    assert payload["conflict"]["state"] == "APPROVED"
    assert payload["merge"] == {"reason": "REVIEW", "kind": "PHONE"}
    assert [error["code"] for error in again["rejectIdentityConflict"]["userErrors"]] == ["CONFLICT_DECIDED"]
    assert (await client.data("HQ1", CONFLICTS))["identityConflicts"] == {"totalCount": 0, "nodes": []}


async def test_a_rejected_conflict_is_not_asked_again(client: Client) -> None:
    conflict = await open_conflict(client)

    rejected = await client.data("HQ1", REJECT, i={"conflictId": conflict})

    assert rejected["rejectIdentityConflict"]["conflict"] == {"state": "REJECTED"}
    before = await snapshot(client.world)
    world = client.world
    refs = (IdentityRef(IdentityKind.UNIONID, "u", "open"), IdentityRef(IdentityKind.PHONE, "13787654321"))
    async with world.services.database.writing(EVERYTHING) as session:
        keys = await world.services.vault.of_group(session, world.nodes["g1"])
        await resolve(session, keys, [Claim(refs, frozenset(refs[1:]))], principal="test")
    assert await snapshot(client.world) == before


async def test_only_who_links_brands_sees_a_person_across_them(client: Client) -> None:
    """T29: the first fans of two brands are one person, and a brand's admin learns neither that nor of the other."""
    world = client.world
    person = await person_of(client, "g1/b1/d1#1")
    fan = world.id("Fan", "g1/b1/d1#1")
    through = "query($id: ID!) { fan(id: $id) { id person { id fans { brand { code } } } } }"

    seen = (await client.data("HQ1", PERSON, id=person))["person"]
    assert {row["brand"]["code"] for row in seen["fans"]} == {"b1", "b2"}
    assert (await client.data("HQ1", through, id=fan))["fan"]["person"]["id"] == person

    for who in ("B1", "B1READ", "D1", "S1", "ANALYST", "SERVICE"):
        assert await client.codes(who, PERSON, id=person) == ["FORBIDDEN"]
        answer = await client.ask(who, through, id=fan)
        assert (answer["data"]["fan"]["id"], answer["data"]["fan"]["person"]) == (fan, None)
        assert await client.codes(who, "query($id: ID!) { node(id: $id) { id } }", id=person) == ["NOT_FOUND"]
    assert await client.codes("G2", PERSON, id=person) == ["NOT_FOUND"]

    # the right at one brand alone links nothing
    await make_role(
        world, "LINKER", viewer__read="allow", person__link="allow", person__merge="allow", fan__read="allow"
    )
    await hire(world, "L", ("LINKER", "g1/b1"))
    assert codes(await ask(client, "L", PERSON, id=person)) == ["NOT_FOUND"]
    refused = await ask(client, "L", MERGE, i={"survivorId": person, "absorbedId": encode("Person", 2)})
    assert codes(refused) == ["FORBIDDEN"]
    assert (await ask(client, "L", CONFLICTS))["data"]["identityConflicts"]["nodes"] == []


async def test_identities_are_hidden_from_who_may_not_read_personal_data_and_reading_them_is_recorded(
    client: Client,
) -> None:
    world = client.world
    await make_role(world, "LINKER", viewer__read="allow", person__link="allow")
    await hire(world, "L", ("LINKER", "g1"))
    person = await person_of(client, "g1/b1/d1#1")
    query = "query($id: ID!) { person(id: $id) { identities { kind issuer value } } }"
    before = await snapshot(world)

    hidden = await ask(client, "L", query, id=person)
    assert hidden["data"]["person"]["identities"] == [{"kind": "EXTERNAL_ID", "issuer": "test", "value": "****"}]
    assert await snapshot(world) == before

    whole = await client.data("HQ1", query, id=person)
    assert whole["person"]["identities"][0]["value"] == "g1/b1/d1#1"
    log = (await snapshot(world))["audit_log"]
    assert len(log) == len(before["audit_log"]) + 1
    assert "fan:read_personal" in (set(log) - set(before["audit_log"])).pop()


async def test_a_merge_reaches_the_fans_of_brands_its_cause_may_not_see(client: Client) -> None:
    """An order that a brand's admin records may name as one who are two fans of another brand."""
    world = client.world
    await merge(client, "g1/b2/d1#1", "g1/b2/d1#2")

    assert await client.codes("B1", FAN, id=world.id("Fan", "g1/b2/d1#2")) == ["NOT_FOUND", "NOT_FOUND"]
    assert (await client.data("B2", FAN, id=world.id("Fan", "g1/b2/d1#2")))["fan"]["orderCount"] == 2


async def test_a_blocked_value_is_listed_hidden_and_names_nobody_in_orders(client: Client) -> None:
    block = """mutation($i: BlockIdentityInput!) { blockIdentity(input: $i) { userErrors { code field }
      blocked { id kind value reason } } }"""
    unblock = "mutation($i: UnblockIdentityInput!) { unblockIdentity(input: $i) { userErrors { code } unblockedId } }"
    record = """mutation($i: RecordOrdersInput!) { recordOrders(input: $i) { userErrors { code }
      results { outcome userErrors { code field } } } }"""
    given = {"kind": "PHONE", "value": "+86 136 1111 2222", "reason": "the front desk's"}

    first = (await client.data("HQ1", block, i=given))["blockIdentity"]
    again = (await client.data("HQ1", block, i={**given, "value": "13611112222"}))["blockIdentity"]
    order = {"number": "1", "fan": {"kind": "PHONE", "value": "13611112222"}, "placedAt": "2026-01-01T00:00:00Z"}
    batch = {"brandId": client.world.id("Brand", "g1/b1"), "source": "x", "orders": [{**order, "amount": "1"}]}
    refused = (await client.data("B1", record, i={**batch, "idempotencyKey": "1"}))["recordOrders"]["results"][0]
    gone = (await client.data("HQ1", unblock, i={"blockedId": first["blocked"]["id"]}))["unblockIdentity"]
    taken = (await client.data("B1", record, i={**batch, "idempotencyKey": "2"}))["recordOrders"]["results"][0]

    assert first["blocked"]["value"] == "136****2222"
    assert again["userErrors"] == [{"code": "ALREADY_BLOCKED", "field": ["input", "value"]}]
    assert refused["outcome"] == "REJECTED"
    assert refused["userErrors"] == [{"code": "BLOCKED_IDENTITY", "field": ["input", "orders", "0", "fan", "value"]}]
    assert gone["unblockedId"] == first["blocked"]["id"]
    assert taken["outcome"] == "CREATED"
