"""ledgerAudit and pointsLiability: whether a brand's books are right (M20), and what it owes by month."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from domain import clock
from domain.points import auditing
from domain.points.ledger import service as ledger
from domain.points.ledger.accounts import accounts, lots
from domain.points.ledger.rules import Earn, Spend
from domain.points.programme.queries import programme_of
from tests.api.test_points import ME, OTHER, adjust, programme
from tests.cast import EVERYTHING, snapshot
from tests.world import Client

NOW = datetime(2026, 11, 30, 18, tzinfo=UTC)  # the first of December in Shanghai
AUDIT = """query($b: ID!, $n: Int = 500, $after: ID) { ledgerAudit(brandId: $b, accounts: $n, after: $after) {
  accounts differing differences { accountId what expected found fan { id } } continueAfter } }"""
LIABILITY = """query($b: ID!) { pointsLiability(brandId: $b) {
  outstanding held pending owed neverExpiring expiring { month points } } }"""


async def audit(client: Client, who: str = "B1", **given: Any) -> dict[str, Any]:
    """Audit brand b1 and return what was found."""
    found: dict[str, Any] = (await client.data(who, AUDIT, b=client.world.id("Brand", "g1/b1"), **given))["ledgerAudit"]
    return found


async def falsify(client: Client, fan: str, table: Any, **values: Any) -> None:
    """Change what no API changes, of a fan's account or of its lots."""
    mine = select(accounts.c.id).where(accounts.c.fan_id == client.world.fans[fan])
    which = accounts.c.id.in_(mine) if table is accounts else lots.c.account_id.in_(mine)
    async with client.world.services.database.writing(EVERYTHING) as session:
        await session.execute(update(table).where(which).values(**values))


async def test_books_that_are_right_have_no_differences(client: Client) -> None:
    await adjust(client, ME, points=100, growth=5)
    await adjust(client, ME, key="l", points=-30)
    await adjust(client, OTHER, key="m", points=7)

    assert await audit(client) == {"accounts": 2, "differing": 0, "differences": [], "continueAfter": None}
    assert await auditing.audit(client.world.services.database, client.world.nodes["g1/b1"], at_once=1) == (2, 0)


async def test_a_balance_that_was_changed_by_hand_is_found(client: Client) -> None:
    await adjust(client, ME, points=100)
    await adjust(client, OTHER, key="m", points=7)
    await falsify(client, ME, accounts, spendable=1_000, growth=3)

    found = await audit(client)

    wrong = [(one["what"], one["expected"], one["found"]) for one in found["differences"]]
    assert sorted(wrong) == [("GROWTH", 0, 3), ("LOTS", 100, 1_000), ("SPENDABLE", 100, 1_000)]
    assert {one["fan"]["id"] for one in found["differences"]} == {client.world.id("Fan", ME)}
    assert (found["accounts"], found["differing"]) == (2, 3)
    assert await auditing.audit(client.world.services.database, client.world.nodes["g1/b1"]) == (2, 3)


async def test_a_lot_that_was_changed_by_hand_is_found(client: Client) -> None:
    await adjust(client, ME, points=100)
    await falsify(client, ME, lots, remaining=40)

    found = await audit(client)

    wrong = [(one["what"], one["expected"], one["found"]) for one in found["differences"]]
    assert sorted(wrong) == [("LOT", 100, 40), ("LOTS", 40, 100)]


async def test_an_audit_goes_on_where_it_ended(client: Client) -> None:
    for number, fan in enumerate((ME, OTHER, "g1/b1/d1#3")):
        await adjust(client, fan, key=str(number), points=1)

    counts: list[int] = []
    after = None
    while not counts or after is not None:
        found = await audit(client, n=2, after=after)
        counts, after = [*counts, found["accounts"]], found["continueAfter"]

    assert counts == [2, 1]


@pytest.mark.parametrize("size", [0, -1, 1_001])
async def test_an_audit_of_too_many_accounts_is_refused(client: Client, size: int) -> None:
    assert await client.codes("B1", AUDIT, b=client.world.id("Brand", "g1/b1"), n=size) == ["BAD_USER_INPUT"]


async def test_what_is_owed_is_told_by_the_month_of_the_brand_it_can_be_spent_in_last(client: Client) -> None:
    world = client.world
    with clock.at(NOW):
        await adjust(client, ME, key="a", points=10)
        await programme(client, expiry="END_OF_YEAR")
        await adjust(client, ME, key="b", points=20)
        await programme(client, expiry="ROLLING_MONTHS", expiryMonths=2)
        await adjust(client, OTHER, key="c", points=40)
        async with world.services.database.writing(EVERYTHING) as session:
            mine = await programme_of(session, world.nodes["g1/b1"])
            waits = Earn(world.fans[OTHER], "w", 80, available_at=NOW + timedelta(days=15))
            await ledger.earn(session, mine, [waits], actor="test")
            await ledger.hold(session, mine, Spend(world.fans[ME], 5, "h"), actor="test")
        found = (await client.data("ANALYST", LIABILITY, b=world.id("Brand", "g1/b1")))["pointsLiability"]

    assert found == {
        "outstanding": 65,
        "held": 5,
        "pending": 80,
        "owed": 0,
        "neverExpiring": 10,
        "expiring": [{"month": "2026-12", "points": 15}, {"month": "2027-02", "points": 40}],
    }


async def test_a_brand_without_points_owes_nothing(client: Client) -> None:
    found = await client.data("B1", LIABILITY, b=client.world.id("Brand", "g1/b1"))

    zeros = dict.fromkeys(("outstanding", "held", "pending", "owed", "neverExpiring"), 0)
    assert found["pointsLiability"] == {**zeros, "expiring": []}


async def test_who_sees_a_part_of_a_brand_sees_no_ledger_as_a_whole(client: Client) -> None:
    await adjust(client, ME, points=1)
    before, brand = await snapshot(client.world), client.world.id("Brand", "g1/b1")

    for who in ("D1", "S1"):
        assert await client.codes(who, LIABILITY, b=brand) == ["FORBIDDEN"], who
    for who in ("D1", "S1", "B1READ", "ANALYST", "SERVICE"):
        assert await client.codes(who, AUDIT, b=brand) == ["FORBIDDEN"], who
    for document in (AUDIT, LIABILITY):
        assert await client.codes("B2", document, b=brand) == ["NOT_FOUND"]
        assert await client.codes("G2", document, b=brand) == ["NOT_FOUND"]
    assert await snapshot(client.world) == before
