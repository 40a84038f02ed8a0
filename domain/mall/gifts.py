"""Writes of gifts: what they are, and how many there are."""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.errors import BadInput, DomainError
from domain.ids import ABSENT, Absent, BrandId, GiftId, Int64, LevelId
from domain.inputs import said
from domain.mall.gates import check_level
from domain.mall.models import Gift, GiftState
from domain.mall.rules import MAX_STOCK, GiftOutOfStock, check_gift, check_state
from domain.money import to_minor
from domain.tables import table_of
from domain.tenancy.models import Brand

gifts = table_of(Gift)
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class GiftCodeTaken(DomainError):
    code = "GIFT_CODE_TAKEN"
    default = "The brand has a gift of this code already."


@dataclass(frozen=True)
class NewGift:
    """A gift to be made. It is a DRAFT until it is put on sale, and there are none of it until stock is added."""

    brand_id: BrandId = said("The brand that gives it.")
    code: str = said("Its code in the brand: letters, digits, - and _, at most 64; never changed.")
    title: str = said("What it is, 1 to 200 characters.")
    points: Int64 = said("What one piece costs in points, at least 1.")
    cash: Decimal = said("What one piece costs in money besides, in the brand's currency.", Decimal(0))
    per_fan_limit: int | None = said("How many pieces one fan may have; without it, as many as they like.", None)
    least_level_id: LevelId | None = said("The level a fan has to stand on, or above; without it, any.", None)
    sale_from: datetime | None = said("From when on it is offered; without it, from the time it is put on sale.", None)
    sale_until: datetime | None = said("Until when it is offered.", None)
    description: str | None = said("What is to be known of it, at most 2000 characters.", None)
    image_url: str | None = said("The address of its picture, at most 500 characters.", None)
    category: str | None = said("What it is filed under, at most 100 characters.", None)


@dataclass(frozen=True)
class GiftChange:
    """What changes of a gift. A field that is left out stays; what was redeemed before stays as it was."""

    gift_id: GiftId = said("The gift.")
    title: str | Absent = said("What it is, 1 to 200 characters.", ABSENT)
    points: Int64 | Absent = said("What one piece costs in points, at least 1.", ABSENT)
    cash: Decimal | Absent = said("What one piece costs in money besides, in the brand's currency.", ABSENT)
    per_fan_limit: int | Absent | None = said("How many pieces one fan may have.", ABSENT)
    least_level_id: LevelId | Absent | None = said("The level a fan has to stand on, or above; null for any.", ABSENT)
    sale_from: datetime | Absent | None = said("From when on it is offered.", ABSENT)
    sale_until: datetime | Absent | None = said("Until when it is offered.", ABSENT)
    description: str | Absent | None = said("What is to be known of it, at most 2000 characters.", ABSENT)
    image_url: str | Absent | None = said("The address of its picture, at most 500 characters.", ABSENT)
    category: str | Absent | None = said("What it is filed under, at most 100 characters.", ABSENT)
    state: GiftState | Absent = said("Whether it is offered: ON_SALE or OFF_SALE.", ABSENT)


async def create_gift(session: AsyncSession, principal: str, brand: Brand, new: NewGift) -> int:
    """Make a gift and return its id. Raises GiftCodeTaken, and BadInput naming the field that cannot be so."""
    if not _CODE.fullmatch(new.code):
        raise BadInput("code has 1 to 64 letters, digits, - and _, a - or _ not first.", field=("input", "code"))
    row = {**asdict(new), "group_id": brand.group_id, "currency": brand.currency, "state": GiftState.DRAFT.value}
    row |= {"cash": _minor(new.cash, brand.currency), "title": new.title.strip()}
    check_gift(row)
    await check_level(session, brand.id, new.least_level_id)
    now = clock.now()
    stamped = {**row, "stock": 0, "stocked": 0, "created_at": now, "updated_at": now}
    try:
        gift_id = int((await session.execute(insert(gifts).values(**stamped).returning(gifts.c.id))).scalar_one())
    except IntegrityError as error:
        raise GiftCodeTaken(field=("input", "code")) from error
    deed = audit.Deed(brand.group_id, brand.id, "gift:create", f"Gift:{gift_id}", {"after": _written(row)})
    await audit.record(session, principal, [deed])
    return gift_id


async def update_gift(session: AsyncSession, principal: str, gift: Gift, change: GiftChange) -> None:
    """Change a gift. Raises BadInput naming the field that cannot be so."""
    locked = select(gifts).where(gifts.c.id == gift.id).with_for_update(key_share=True)
    before = dict((await session.execute(locked)).mappings().one())
    given = {name: value for name, value in vars(change).items() if name != "gift_id" and not isinstance(value, Absent)}
    if "title" in given:
        given["title"] = given["title"].strip()
    if "cash" in given:
        given["cash"] = _minor(given["cash"], gift.currency)
    if "state" in given:
        check_state(GiftState(before["state"]), given["state"])
        given["state"] = given["state"].value
    check_gift(before | given)
    changed = {name: value for name, value in given.items() if before[name] != value}
    if not changed:
        return
    await check_level(session, gift.brand_id, changed.get("least_level_id"))
    await session.execute(update(gifts).where(gifts.c.id == gift.id).values(**changed, updated_at=clock.now()))
    detail = {"before": _written({name: before[name] for name in changed}), "after": _written(changed)}
    deed = audit.Deed(gift.group_id, gift.brand_id, "gift:update", f"Gift:{gift.id}", detail)
    await audit.record(session, principal, [deed])


async def add_gift_stock(session: AsyncSession, principal: str, gift: Gift, quantity: int) -> int:
    """Put pieces of a gift in, or take some out, and return how many are left. Raises GiftOutOfStock and BadInput."""
    if quantity == 0 or abs(quantity) > MAX_STOCK:
        raise BadInput(f"quantity lies between -{MAX_STOCK} and {MAX_STOCK} and is not 0.", field=("input", "quantity"))
    enough = (gifts.c.stock + quantity >= 0, gifts.c.stock + quantity <= MAX_STOCK)
    values = {"stock": gifts.c.stock + quantity, "stocked": gifts.c.stocked + quantity, "updated_at": clock.now()}
    change = update(gifts).where(gifts.c.id == gift.id, *enough).values(**values).returning(gifts.c.stock)
    left: int | None = (await session.execute(change)).scalar()
    if left is None and quantity > 0:
        raise BadInput(f"A gift has at most {MAX_STOCK} pieces.", field=("input", "quantity"))
    if left is None:
        raise GiftOutOfStock(field=("input", "quantity"))
    detail = {"before": left - quantity, "after": left}
    deed = audit.Deed(gift.group_id, gift.brand_id, "gift:stock", f"Gift:{gift.id}", detail)
    await audit.record(session, principal, [deed])
    return left


def _minor(cash: Decimal, currency: str) -> int:
    try:
        return to_minor(cash, currency)
    except ValueError as error:
        raise BadInput(f"cash {error}.", field=("input", "cash")) from error


def _written(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
