"""The first brand's club: the Zippo programme, levels, gifts, what some fans earned, and an order of a gift."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.database import Database
from domain.fans.holding import hold_fans
from domain.fans.models import Fan
from domain.levels.definitions import Benefit, NewLadder, NewLevel, set_ladder
from domain.levels.models import Level
from domain.mall.gifts import GiftChange, NewGift, add_gift_stock, create_gift, update_gift
from domain.mall.models import Gift, GiftState, Redemption
from domain.mall.redeeming import Wish, redeem
from domain.points.earning.granting import Earning, grant
from domain.points.earning.presets import Preset, install
from domain.points.earning.rules import wanted
from domain.points.earning.service import rules
from domain.points.programme.queries import programme_of
from domain.tables import table_of
from server.demo.batching import batches
from server.demo.catalogue import MOMENT
from server.demo.people import DemoFan
from server.demo.tenancy import BrandPlace, DemoGroup
from server.progress import Progress

MEMBERS, DAYS = 300, 12
SINCE = MOMENT - timedelta(days=DAYS + 1)
ACTOR = "system:demo"
LEVELS = (("REGISTERED", "注册", 0), ("BRONZE", "铜牌", 20), ("SILVER", "银牌", 60), ("GOLD", "金牌", 100))
# code, title, points, per fan, the level it asks for
GIFTS = (
    ("keyring", "钥匙扣", 5, None, None),
    ("cup", "马克杯", 10, 2, None),
    ("scarf", "真丝方巾", 15, 1, "SILVER"),
    ("bag", "限量手袋", 60, 1, "GOLD"),
)
gifts, levels, redemptions, fans = (table_of(model) for model in (Gift, Level, Redemption, Fan))


async def load_loyalty(
    database: Database, group: DemoGroup, crowds: Sequence[Sequence[DemoFan]], progress: Progress
) -> None:
    """Let the first brand have a club. What is there of it already stays as it is."""
    place, members = group.brands[0], crowds[0][:MEMBERS]
    # on a machine whose clock is behind the demo's day, its deeds would lie in the future
    with clock.at(max(clock.now(), MOMENT)):
        async with database.writing(group.scope) as session:
            await _open(session, place)
        done = 0
        for some in batches(members):
            async with database.writing(group.scope) as session:
                await _earn(session, place, some)
            done += len(some)
            progress.advance("points", done, len(members))
        if members:
            async with database.writing(group.scope) as session:
                await _order(session, place, members[0].id)


async def _open(session: AsyncSession, place: BrandPlace) -> None:
    await install(session, ACTOR, place.row, Preset.ZIPPO, SINCE)
    ladder = [NewLevel(code, name, growth, None, [Benefit(f"{name}会员礼遇")]) for code, name, growth in LEVELS]
    await set_ladder(session, ACTOR, place.row, NewLadder(place.row.id, ladder))
    mine = select(levels.c.code, levels.c.id).where(levels.c.brand_id == place.row.id)
    by_code = {row.code: row.id for row in await session.execute(mine)}
    known = set((await session.execute(select(gifts.c.code).where(gifts.c.brand_id == place.row.id))).scalars())
    for code, title, points, limit, level in GIFTS:
        if code not in known:
            least = by_code[level] if level else None
            await _offer(session, place, NewGift(place.row.id, code, title, points, Decimal(0), limit, least))


async def _offer(session: AsyncSession, place: BrandPlace, new: NewGift) -> None:
    gift_id = await create_gift(session, ACTOR, place.row, new)
    gift = await _gift(session, place, new.code)
    await add_gift_stock(session, ACTOR, gift, 100)
    await update_gift(session, ACTOR, gift, GiftChange(gift_id, state=GiftState.ON_SALE))


async def _gift(session: AsyncSession, place: BrandPlace, code: str) -> Any:
    return (await session.execute(select(gifts).where(gifts.c.brand_id == place.row.id, gifts.c.code == code))).one()


async def _earn(session: AsyncSession, place: BrandPlace, some: Sequence[DemoFan]) -> None:
    programme = await programme_of(session, place.row.id)
    mine = select(rules).where(rules.c.brand_id == place.row.id)
    by_code = {row.code: row for row in await session.execute(mine)}
    there = await hold_fans(session, place.row.id, [fan.id for fan in some])
    await grant(session, programme, list(_deeds(by_code, sorted(set(there.values())))), actor=ACTOR)


def _deeds(by_code: Mapping[str, Any], fan_ids: Sequence[int]) -> Iterator[Earning]:
    """Yield who did what: some more than others, the same on every machine."""
    for number, fan_id in enumerate(fan_ids):
        often = {"sign_in": 1 + number % DAYS, "post": 3 + number % 4, "product_verified": number % 3}
        for code, times in often.items():
            for day in range(times):
                at = SINCE + timedelta(days=1 + day)
                source = f"demo:{code}:{fan_id}:{day}"
                yield Earning(by_code[code], fan_id, source, at, wanted(by_code[code]), "demo")


async def _order(session: AsyncSession, place: BrandPlace, fan_id: int) -> None:
    if (await session.execute(select(redemptions.c.id).where(redemptions.c.brand_id == place.row.id))).first():
        return
    fan: Any = (await session.execute(select(fans).where(fans.c.id == fan_id))).one()
    gift = await _gift(session, place, "keyring")
    await redeem(session, ACTOR, fan, gift, Wish(1, gift.points, gift.cash), request_key="demo")
