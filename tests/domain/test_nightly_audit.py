"""Each brand's ledger is audited once a night, by whichever worker comes first."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain import clock
from domain.database import Database
from domain.points import auditing
from tests.domain.test_auditing_alerts import alerts, listening, make_rich
from tests.domain.test_point_chain import ABROAD, FAN, OTHER, earn, seal_all
from tests.world import World

HOUR = timedelta(hours=1)
# eight in the evening in Shanghai
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


async def audited(world: World, at: datetime = NOW) -> list[int]:
    """Audit what is due at a moment and return the brands that were looked at."""
    with clock.at(at), listening() as lines:
        await auditing.audit_due(world.services.database, world.services.vault)
    return [line["brand"] for line in lines if line["event"] == "ledger_audited"]


@pytest.fixture
async def brands(world: World) -> list[int]:
    """Two brands with points."""
    for source, fan in (("a", FAN), ("b", OTHER), ("c", ABROAD)):
        await earn(world, source, fan)
    await seal_all(world)
    return [world.nodes["g1/b1"], world.nodes["g1/b2"]]


async def test_a_night_is_audited_once_and_the_next_one_again(world: World, brands: list[int]) -> None:
    assert await audited(world) == brands
    assert await audited(world, NOW + HOUR) == []
    # a minute before three in the morning, and three
    assert await audited(world, NOW + 7 * HOUR - timedelta(minutes=1)) == []
    assert await audited(world, NOW + 7 * HOUR) == brands
    assert await audited(world, NOW + 8 * HOUR) == []
    # nobody worked for three nights
    assert await audited(world, NOW + 90 * HOUR) == brands


async def test_of_several_workers_one_audits_a_brand(world: World, brands: list[int]) -> None:
    with clock.at(NOW), listening() as lines:
        every = [auditing.audit_due(world.services.database, world.services.vault) for _ in range(4)]
        done = await asyncio.gather(*every)

    assert sum(done) == 2
    assert sorted(line["brand"] for line in lines if line["event"] == "ledger_audited") == brands


async def test_what_a_worker_that_ended_was_at_is_audited_an_hour_later(
    world: World, brands: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(database: Database, brand_id: int) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch:
        patch.setattr(auditing, "audit", killed)
        with pytest.raises(asyncio.CancelledError):
            await audited(world)

    assert await audited(world, NOW + timedelta(minutes=59)) == brands[1:]
    assert await audited(world, NOW + HOUR) == brands[:1]
    assert await audited(world, NOW + 3 * HOUR) == []


async def test_a_brand_that_cannot_be_audited_keeps_no_other_waiting(
    world: World, brands: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, audit = await make_rich(world, ABROAD), auditing.audit

    async def failing(database: Database, brand_id: int) -> tuple[int, int]:
        if brand_id == brands[0]:
            raise TimeoutError
        return await audit(database, brand_id)

    with monkeypatch.context() as patch, clock.at(NOW), listening() as lines:
        patch.setattr(auditing, "audit", failing)
        assert await auditing.audit_due(world.services.database, world.services.vault) == 1

    said = {(line["event"], line.get("chore") or line["brand"]) for line in alerts(lines)}
    assert said == {("ledger_not_audited", f"ledger:{brands[0]}"), ("ledger_differs", brands[1])}
    assert {line["account_id"] for line in alerts(lines) if "account_id" in line} == {one}
    assert await audited(world, NOW + HOUR) == brands[:1]


async def test_what_stands_between_the_links_is_looked_for_again_where_it_failed(
    world: World, brands: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(database: Database) -> int:
        raise TimeoutError

    async def looked(at: datetime) -> list[str]:
        with clock.at(at), listening() as lines:
            await auditing.audit_due(world.services.database, world.services.vault)
        return [line["event"] for line in lines if line["event"] in ("between_links", "ledger_not_audited")]

    with monkeypatch.context() as patch:
        patch.setattr(auditing, "look_between", failing)
        assert await looked(NOW) == ["ledger_not_audited"]

    assert await audited(world, NOW + timedelta(minutes=10)) == []
    assert await looked(NOW + HOUR) == ["between_links"]
    assert await looked(NOW + 2 * HOUR) == []


async def test_a_clock_that_was_years_ahead_stops_no_later_night(world: World, brands: list[int]) -> None:
    assert await audited(world, NOW + timedelta(days=3650)) == brands
    assert await audited(world, NOW) == brands
    assert await audited(world, NOW + HOUR) == []


async def test_a_worker_that_is_told_to_stop_begins_no_other_brand(world: World, brands: list[int]) -> None:
    stop = asyncio.Event()
    stop.set()

    with clock.at(NOW):
        assert await auditing.audit_due(world.services.database, world.services.vault, stop) == 0
        assert await auditing.audit_due(world.services.database, world.services.vault, asyncio.Event()) == 2


@pytest.mark.parametrize(
    "zone, now, night",
    [
        ("Asia/Shanghai", datetime(2026, 11, 30, 18, 59, tzinfo=UTC), date(2026, 11, 30)),
        ("Asia/Shanghai", datetime(2026, 11, 30, 19, tzinfo=UTC), date(2026, 12, 1)),
        ("America/New_York", datetime(2026, 11, 30, 7, 59, tzinfo=UTC), date(2026, 11, 29)),
        ("America/New_York", datetime(2026, 11, 30, 8, tzinfo=UTC), date(2026, 11, 30)),
        # three in the morning comes an hour after one, and is there
        ("Europe/Berlin", datetime(2026, 3, 29, 0, 59, tzinfo=UTC), date(2026, 3, 28)),
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), date(2026, 3, 29)),
    ],
)
def test_a_night_begins_at_three_in_the_brands_time_zone(zone: str, now: datetime, night: date) -> None:
    assert auditing.night_of(now, ZoneInfo(zone)) == night
