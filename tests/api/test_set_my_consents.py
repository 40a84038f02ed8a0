from typing import Any

import pytest
from sqlalchemy import select

from domain.audit import AuditEntry
from domain.consents.models import Consent, ConsentRecord, Purpose
from domain.consents.queries import has_consent
from domain.fans.models import Fan
from domain.tables import table_of
from tests.cast import EVERYTHING, snapshot
from tests.world import Client, World

ME, OTHER = "g1/b1/d1#1", "g1/b1/d1#2"
SET = """mutation($c: [ConsentChoiceInput!]!, $p: String!) { setMyConsents(input: {choices: $c, policy: $p}) {
  me { consents { purpose granted policy } } userErrors { code field } } }"""
RECORD = """mutation($i: RecordConsentsInput!) { recordConsents(input: $i) {
  changedCount fans { id consents { purpose granted } } userErrors { code field } } }"""
fans = table_of(Fan)


def choice(purpose: str, granted: bool = True) -> dict[str, Any]:
    return {"purpose": purpose, "granted": granted}


async def agreeing(world: World, purpose: Purpose) -> set[str]:
    """Return who agrees, as a statement that needs consent reads it."""
    names = {number: name for name, number in world.fans.items()}
    async with world.services.database.reading(EVERYTHING) as session:
        found = await session.execute(select(fans.c.id).where(has_consent(fans.c.id, purpose)))
        return {names[number] for number in found.scalars()}


async def rows_of(world: World, model: Any) -> list[Any]:
    async with world.services.database.reading(EVERYTHING) as session:
        return list((await session.execute(select(table_of(model)))).all())


async def test_a_fan_agrees_to_one_purpose_and_to_nothing_else(client: Client) -> None:
    answer = await client.data(ME, SET, c=[choice("MARKETING")], p="2026-01")

    assert answer["setMyConsents"] == {
        "me": {"consents": [{"purpose": "MARKETING", "granted": True, "policy": "2026-01"}]},
        "userErrors": [],
    }
    assert await agreeing(client.world, Purpose.MARKETING) == {ME}
    assert await agreeing(client.world, Purpose.PROFILING) == set()


async def test_what_is_taken_back_does_not_count_from_the_next_statement_on(client: Client) -> None:
    world = client.world
    await client.data(ME, SET, c=[choice("MARKETING"), choice("GROUP_SHARING")], p="1")
    assert await agreeing(world, Purpose.GROUP_SHARING) == {ME}

    await client.data(ME, SET, c=[choice("GROUP_SHARING", granted=False)], p="1")

    assert await agreeing(world, Purpose.MARKETING) == {ME}
    assert await agreeing(world, Purpose.GROUP_SHARING) == set()
    # orders and all that serves the fan go on
    assert (await client.data(ME, "{ myOrders(first: 5) { totalCount } }"))["myOrders"] == {"totalCount": 1}


async def test_each_decision_is_recorded_once_and_stays(client: Client) -> None:
    for granted, policy in ((True, "1"), (True, "1"), (False, "1"), (True, "2")):
        await client.data(ME, SET, c=[choice("PROFILING", granted)], p=policy)

    query = "{ myConsentRecords(first: 9) { totalCount nodes { purpose granted policy } } }"
    found = (await client.data(ME, query))["myConsentRecords"]
    assert found["totalCount"] == 3
    assert [(row["granted"], row["policy"]) for row in found["nodes"]] == [(True, "2"), (False, "1"), (True, "1")]
    assert (await client.data(OTHER, query))["myConsentRecords"]["totalCount"] == 0
    deeds = [row.detail for row in await rows_of(client.world, AuditEntry) if row.action == "consent:write"]
    assert deeds == [{"PROFILING": True}, {"PROFILING": False}, {"PROFILING": True}]


@pytest.mark.parametrize(
    "choices,policy,field",
    [
        ([], "1", ["input", "choices"]),
        ([choice("LOCATION"), choice("LOCATION", granted=False)], "1", ["input", "choices"]),
        ([choice("LOCATION")], " ", ["input", "policy"]),
        ([choice("LOCATION")], "x" * 65, ["input", "policy"]),
    ],
)
async def test_a_decision_that_cannot_be_so_is_named_and_not_written(
    client: Client, choices: list[Any], policy: str, field: list[str]
) -> None:
    answer = (await client.data(ME, SET, c=choices, p=policy))["setMyConsents"]

    assert answer["userErrors"] == [{"code": "BAD_USER_INPUT", "field": field}]
    assert await rows_of(client.world, Consent) == []


async def test_a_value_that_was_sent_is_never_said_back(client: Client) -> None:
    phone = "13800003534"
    for document, variables in (
        (SET, {"c": [{"purpose": phone, "granted": True}], "p": phone}),
        (SET, {"c": [choice("LOCATION")], "p": phone * 10}),
        ("query($r: String!) { erasure(receipt: $r) { askedAt } }", {"r": phone}),
        ("query($s: [String!]) { exportMyData(input: {sections: $s}) { receipt } }", {"s": [phone]}),
        ("mutation($s: [String!]) { exportMyData(input: {sections: $s}) { userErrors { message } } }", {"s": [phone]}),
    ):
        response = await client.post(ME, {"query": document, "variables": variables})
        assert phone not in response.text


async def test_staff_record_for_their_own_fans_in_a_constant_number_of_statements(client: Client) -> None:
    world = client.world
    mine = [world.id("Fan", f"g1/b1/d1#{n}") for n in (1, 2, 3, 4)]
    await client.data("D1", "{ viewer { principal } }")
    counts = []
    for purposes in (["MARKETING"], ["PROFILING", "LOCATION"]):
        client.statements.clear()
        given = {"choices": [choice(purpose) for purpose in purposes], "policy": "1", "evidence": "form 7"}
        answer = (await client.data("D1", RECORD, i={"fanIds": mine[: 2 * len(purposes)], **given}))["recordConsents"]
        assert answer["userErrors"] == []
        assert answer["changedCount"] == 2 * len(purposes) ** 2
        counts.append(len(client.statements))

    assert counts[0] == counts[1]
    assert await agreeing(world, Purpose.MARKETING) == {"g1/b1/d1#1", "g1/b1/d1#2"}
    records = await client.data(
        "B1", "query($f: ID!) { consentRecords(fanId: $f, first: 9) { nodes { evidence principal } } }", f=mine[0]
    )
    assert {row["evidence"] for row in records["consentRecords"]["nodes"]} == {"form 7"}


async def test_one_foreign_fan_refuses_all_of_it(client: Client) -> None:
    world = client.world
    before = await snapshot(world)
    given = {"choices": [choice("MARKETING")], "policy": "1"}
    for who, foreign in (("D1", "g1/b1/d11#1"), ("B1", "g1/b2/d1#1"), ("B1", "g2/b1/d1#1")):
        ids = [world.id("Fan", "g1/b1/d1#1"), world.id("Fan", foreign)]
        answer = (await client.data(who, RECORD, i={"fanIds": ids, **given}))["recordConsents"]
        assert answer["userErrors"] == [{"code": "NOT_FOUND", "field": ["input", "fanIds", "1"]}]
    assert await client.codes("ANALYST", RECORD, i={"fanIds": [world.id("Fan", ME)], **given}) == ["FORBIDDEN"]

    assert await snapshot(world) == before


async def test_nobody_reads_the_consents_of_fans_they_may_not_see(client: Client) -> None:
    world = client.world
    await client.data(ME, SET, c=[choice("MARKETING")], p="1")
    query = "query($f: ID!) { consentRecords(fanId: $f, first: 9) { totalCount } }"

    assert (await client.data("D1", query, f=world.id("Fan", ME)))["consentRecords"]["totalCount"] == 1
    for who in ("D11", "B2", "G2"):
        assert (await client.data(who, query, f=world.id("Fan", ME)))["consentRecords"]["totalCount"] == 0
    assert len(await rows_of(world, ConsentRecord)) == 1
