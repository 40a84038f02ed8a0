"""What is wrong with a ledger is told to whoever watches the log, in lines of errors that name the brand (M20)."""

from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from sqlalchemy import select, update
from structlog.testing import capture_logs

from domain.database import Database
from domain.points import auditing
from domain.points.ledger.accounts import accounts
from domain.points.ledger.book import transfers
from domain.points.ledger.sealing import seals
from domain.points.ledger.verifying import Fault
from tests.cast import EVERYTHING
from tests.domain.test_point_chain import ABROAD, FAN, OTHER, Forger, earn, seal_all
from tests.world import World

Line = MutableMapping[str, Any]


@contextmanager
def listening() -> Iterator[list[Line]]:
    """Collect the lines of the log, also where the auditor's logger was bound before to what is not collected."""
    with pytest.MonkeyPatch.context() as patch, capture_logs() as lines:
        patch.setattr(auditing, "log", structlog.get_logger(auditing.__name__))
        yield lines


def alerts(lines: Sequence[Line]) -> list[Line]:
    """Return what is told as an error."""
    return [line for line in lines if line["log_level"] == "error"]


async def make_rich(world: World, fan: str) -> int:
    """Write a balance that no entry explains and return whose account it is."""
    mine = update(accounts).where(accounts.c.fan_id == world.fans[fan])
    async with world.services.database.writing(EVERYTHING) as session:
        made = await session.execute(mine.values(spendable=1_000).returning(accounts.c.id))
        return int(made.scalar_one())


async def alter_abroad(world: World, owner_database: Database) -> int:
    """Earn in two brands, alter what was written in the second and return which transfer it was."""
    await earn(world, "a", FAN)
    abroad = await earn(world, "b", ABROAD)
    await seal_all(world)
    forged = transfers.update().values(reason="forged").where(transfers.c.id == abroad)
    await Forger(owner_database).run(forged, "point_transfers")
    return abroad


async def test_books_that_are_right_raise_no_alert(world: World) -> None:
    for source, fan in (("a", FAN), ("b", OTHER), ("c", ABROAD)):
        await earn(world, source, fan)
    await seal_all(world)

    with listening() as lines:
        assert await auditing.audit_due(world.services.database, world.services.vault) == 2

    async with world.services.database.reading(EVERYTHING) as session:
        ends = select(seals.c.brand_id, seals.c.number, seals.c.hash).order_by(seals.c.brand_id, seals.c.number)
        heads = {row.brand_id: (row.number, row.hash.hex()) for row in await session.execute(ends)}
    said: list[Line] = []
    for brand, (links, head) in heads.items():
        said += [
            {"event": "ledger_audited", "brand": brand, "accounts": links, "differences": 0},
            {"event": "chain_ends", "brand": brand, "links": links, "faults": 0, "head": head},
        ]
    said += [{"event": "between_links", "upto": 3, "faults": 0}, {"event": "ledgers_audited", "brands": 2}]
    assert lines == [{**line, "log_level": "info"} for line in said]
    assert {brand: links for brand, (links, _) in heads.items()} == {world.nodes["g1/b1"]: 2, world.nodes["g1/b2"]: 1}


async def test_a_balance_that_its_entries_do_not_explain_is_an_alert_that_names_the_brand(world: World) -> None:
    await earn(world, "a", FAN)
    await earn(world, "b", ABROAD)
    account_id = await make_rich(world, ABROAD)

    with listening() as lines:
        found = await auditing.audit(world.services.database, world.nodes["g1/b2"])

    same = {"log_level": "error", "event": "ledger_differs", "brand": world.nodes["g1/b2"], "account_id": account_id}
    assert alerts(lines) == [{**same, "what": what, "expected": 10, "found": 1_000} for what in ("SPENDABLE", "LOTS")]
    assert lines[-1] == {
        "log_level": "info",
        "event": "ledger_audited",
        "brand": world.nodes["g1/b2"],
        "accounts": 1,
        "differences": 2,
    }
    assert found == (1, 2)


async def test_differences_of_one_brand_hide_none_of_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "TOLD", 1)
    for fan in (FAN, OTHER, ABROAD):
        await earn(world, fan, fan)
        await make_rich(world, fan)

    with listening() as lines:
        found = [
            await auditing.audit(world.services.database, world.nodes[brand], at_once=1) for brand in ("g1/b1", "g1/b2")
        ]

    told = [(line["event"], line["brand"]) for line in alerts(lines)]
    assert told == [("ledger_differs", world.nodes[brand]) for brand in ("g1/b1", "g1/b2")]
    assert found == [(2, 4), (1, 2)]


async def test_a_transfer_that_was_altered_is_an_alert_that_names_the_brand(
    world: World, owner_database: Database
) -> None:
    abroad = await alter_abroad(world, owner_database)

    with listening() as lines:
        found = await auditing.verify(world.services.database, world.services.vault, world.nodes["g1/b2"])

    fault = {"event": "chain_broken", "brand": world.nodes["g1/b2"], "number": 1, "transfer_id": abroad}
    assert alerts(lines) == [{**fault, "what": Fault.ALTERED, "log_level": "error"}]
    assert (lines[-1]["event"], lines[-1]["links"], lines[-1]["faults"]) == ("chain_ends", 1, 1)
    assert found == (1, 1)


async def test_a_link_that_was_taken_out_is_an_alert_of_the_gap_and_of_the_transfer(
    world: World, owner_database: Database
) -> None:
    ids = [await earn(world, source) for source in "abc"]
    await seal_all(world)
    await Forger(owner_database).run(seals.delete().where(seals.c.transfer_id == ids[1]), "point_seals")

    with listening() as lines:
        await auditing.audit_due(world.services.database, world.services.vault)

    same = {"log_level": "error", "event": "chain_broken", "brand": world.nodes["g1/b1"]}
    assert alerts(lines) == [
        {**same, "number": 2, "transfer_id": None, "what": Fault.MISSING},
        {**same, "transfer_id": ids[1], "what": Fault.UNSEALED},
    ]
