"""Programmes that are installed whole: what Zippo's club and a brand's community give points for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit
from domain.database import dialect_insert
from domain.events.definitions import NewDefinition, define, definitions_of
from domain.events.rules import Property, PropertyType
from domain.points.earning.models import Beneficiary, Frequency
from domain.points.earning.names import ORDER_RECEIVED, REGISTER
from domain.points.earning.service import NewPointRule, check, check_room, row_of, rules
from domain.tenancy.models import Brand


class Preset(StrEnum):
    """A programme that is installed whole (预置积分方案).

    ZIPPO: sign-in 1 point and 3 growth once a natural day, wherever; 10 yuan of an order 1 and 1, 15 natural days after
    receipt; a post 2 and 5; a registration through another fan 3 and 5 for both; a verified product 5 and 50.
    COMMUNITY: a post, a comment and a share 3 and 3 each, at most 15 points a day; shares at most 90 and 90 a month.
    """

    ZIPPO = "ZIPPO"
    COMMUNITY = "COMMUNITY"


PRODUCT_VERIFIED = "product_verified"
# events that a programme needs and that are not built in
NEEDED: Mapping[str, Sequence[Property]] = {
    PRODUCT_VERIFIED: (
        Property("serial", PropertyType.STRING),
        Property("product", PropertyType.STRING),
    )
}


def _rule(code: str, name: str, event: str, points: int, growth: int, module: str, **more: Any) -> NewPointRule:
    return NewPointRule(0, code, name, event, points, growth, module, **more)


RULES: Mapping[Preset, Sequence[NewPointRule]] = {
    Preset.ZIPPO: (
        _rule("sign_in", "每日签到", "sign_in", 1, 3, "member", frequency=Frequency.DAILY),
        _rule("purchase", "购买商品", ORDER_RECEIVED, 1, 1, "order", per_amount=Decimal(10), delay_days=15),
        _rule("post", "会员发帖", "post", 2, 5, "community"),
        _rule("referral", "会员拉新", REGISTER, 3, 5, "referral", beneficiary=Beneficiary.BOTH),
        _rule("product_verified", "产品验真并建档", PRODUCT_VERIFIED, 5, 50, "product"),
    ),
    Preset.COMMUNITY: (
        _rule("community_post", "社区发帖", "post", 3, 3, "community", daily_points_cap=15),
        _rule("community_comment", "社区评论", "comment", 3, 3, "community", daily_points_cap=15),
        _rule(
            *("community_share", "社区分享帖子到朋友圈", "article_share", 3, 3, "community"),
            daily_points_cap=15,
            monthly_points_cap=90,
            monthly_growth_cap=90,
        ),
    ),
}


@dataclass(frozen=True)
class Installed:
    """What an installation came to: the rules it made, by code, and those that were there."""

    created: Sequence[str]
    kept: Sequence[str]


async def install(
    session: AsyncSession, principal: str, brand: Brand, preset: Preset, starts_at: datetime | None = None
) -> Installed:
    """Make the preset's rules that the brand has not, and define the events they need. Run again, it does nothing."""
    wanted = [{**row_of(brand, new), **_start(starts_at)} for new in RULES[preset]]
    for row in wanted:
        check(row)
    await check_room(session, brand, len(wanted))
    await _define_events(session, principal, brand, {row["event"] for row in wanted})
    insertion = dialect_insert(session, rules).values(wanted).on_conflict_do_nothing()
    created = set((await session.execute(insertion.returning(rules.c.code))).scalars())
    codes = [row["code"] for row in wanted]
    made = Installed([c for c in codes if c in created], [c for c in codes if c not in created])
    if created:
        detail = {"preset": preset.value, "created": list(made.created), "kept": list(made.kept)}
        deed = audit.Deed(brand.group_id, brand.id, "point_rule:install", f"Brand:{brand.id}", detail)
        await audit.record(session, principal, [deed])
    return made


def _start(starts_at: datetime | None) -> dict[str, datetime]:
    return {} if starts_at is None else {"starts_at": starts_at}


async def _define_events(session: AsyncSession, principal: str, brand: Brand, events: set[str]) -> None:
    needed = sorted(events & NEEDED.keys())
    known = await definitions_of(session, brand.id, needed) if needed else {}
    for name in needed:
        if name not in known:
            await define(session, principal, brand, NewDefinition(brand.id, name, list(NEEDED[name]), from_fans=False))
