"""A points programme to test in: rules made as staff make them, events sent, and what was noted worked off."""

import itertools
from datetime import datetime
from typing import Any

from sqlalchemy import select

from domain.points.earning.consumer import Earner
from domain.points.earning.counting import counters
from domain.points.earning.granting import grants
from domain.points.ledger.audit import audit_accounts
from domain.points.ledger.rules import Balances
from domain.points.ledger.service import balances_by_fan
from domain.referrals.service import NewReferral, record_referrals
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING
from tests.world import Client, World

CREATE = """mutation($i: CreatePointRuleInput!) { createPointRule(input: $i) {
  userErrors { code field message } rule { id } } }"""
INSTALL = """mutation($i: InstallPointsProgrammeInput!) { installPointsProgramme(input: $i) {
  userErrors { code field } created } }"""
TRACK = """mutation($i: TrackEventsInput!) { trackEvents(input: $i) {
  userErrors { code field message } results { outcome userErrors { field message } } } }"""
SINCE = "2020-01-01T00:00:00Z"
_NUMBERS = itertools.count()


async def rule(client: Client, code: str, event: str, brand: str = "g1/b1", **given: Any) -> str:
    """Make a rule that counts since 2020 and return its id."""
    wanted = {"brandId": client.world.id("Brand", brand), "code": code, "name": code, "event": event, "startsAt": SINCE}
    made = (await client.data("HQ1", CREATE, i={**wanted, **given}))["createPointRule"]
    assert made["userErrors"] == []
    found: str = made["rule"]["id"]
    return found


async def install(client: Client, preset: str, brand: str = "g1/b1") -> None:
    """Install a programme that counts since 2020."""
    wanted = {"brandId": client.world.id("Brand", brand), "preset": preset, "startsAt": SINCE}
    made = (await client.data("HQ1", INSTALL, i=wanted))["installPointsProgramme"]
    assert made["userErrors"] == []


def did(name: str, at: str, openid: str = "o-1", account: str = "mp", **more: Any) -> dict[str, Any]:
    """Return an event of somebody known by an openid."""
    who = [{"kind": "OPENID", "value": openid, "issuer": account}]
    return {"name": name, "occurredAt": at, "eventId": f"e{next(_NUMBERS)}", "identities": who, **more}


async def send(client: Client, *events: dict[str, Any], brand: str = "g1/b1", who: str = "SERVICE") -> None:
    """Send events as the brand's servers do, without giving what they earn."""
    wanted = {"brandId": client.world.id("Brand", brand), "events": list(events)}
    made = (await client.data(who, TRACK, i=wanted))["trackEvents"]
    assert made["userErrors"] == []
    assert {row["outcome"] for row in made["results"]} <= {"STORED", "DUPLICATE"}


async def give(world: World) -> int:
    """Work off everything that was noted and return how many notes it were."""
    earner, done = Earner(world.services.database), 0
    while settled := await earner.run_once():
        done += settled
    return done


async def refer(world: World, referrer: int, invitee: int, brand: str = "g1/b1") -> None:
    """Say that a fan brought another."""
    async with world.services.database.writing(EVERYTHING) as session:
        row = await session.get_one(Brand, world.nodes[brand])
        assert await record_referrals(session, row, [NewReferral(referrer, invitee)]) == [None]


async def granted(world: World, fan_id: int | None = None) -> list[Any]:
    """Return what was granted, oldest first."""
    wanted = select(grants).order_by(grants.c.occurred_at, grants.c.id)
    if fan_id is not None:
        wanted = wanted.where(grants.c.fan_id == fan_id)
    async with world.services.database.reading(EVERYTHING) as session:
        return list(await session.execute(wanted))


async def counted(world: World) -> list[Any]:
    """Return the counters."""
    async with world.services.database.reading(EVERYTHING) as session:
        return list(await session.execute(select(counters).order_by(*counters.primary_key)))


async def has(world: World, fan_id: int) -> Balances:
    """Return what a fan has."""
    async with world.services.database.reading(EVERYTHING) as session:
        return (await balances_by_fan(session, [fan_id]))[fan_id]


async def sound(world: World, brand: str = "g1/b1") -> None:
    """Assert that balances are what their entries say, and that grants say what the ledger was told."""
    async with world.services.database.reading(EVERYTHING) as session:
        assert (await audit_accounts(session, world.nodes[brand])).differences == ()


def at(moment: str) -> datetime:
    """Return a moment."""
    return datetime.fromisoformat(moment)
