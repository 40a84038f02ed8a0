"""Writes of rules: what a brand gives points and growth for."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.errors import BadInput, Conflict, DomainError
from domain.events.rules import is_name
from domain.ids import ABSENT, Absent, BrandId, Int64, PointRuleId
from domain.inputs import said
from domain.money import to_minor
from domain.points.earning.models import Basis, Beneficiary, Frequency, PointRule
from domain.points.earning.names import ORDER_EVENTS, ORDER_PAID, ORDER_RECEIVED
from domain.points.earning.rules import MOST
from domain.tables import table_of
from domain.tenancy.models import Brand

MAX_RULES, MAX_DELAY = 500, 3660
rules = table_of(PointRule)
CAPS = ("daily_points_cap", "daily_growth_cap", "monthly_points_cap", "monthly_growth_cap")


class PointRuleCodeTaken(DomainError):
    code = "POINT_RULE_CODE_TAKEN"
    default = "The brand has a rule of this code already."


@dataclass(frozen=True)
class NewPointRule:
    """A rule of a brand's points programme (积分规则)."""

    brand_id: BrandId = said("The brand.")
    code: str = said("Its code, 1 to 64 characters, unique in the brand.")
    name: str = said("What it is called, 1 to 100 characters; shown to fans.")
    event: str = said("What earns: the name of an event; order_paid and order_received are read off the orders.")
    points: Int64 = said("How many points it gives; by amount, for each perAmount.", 0)
    growth: Int64 = said("How much growth it gives; by amount, for each perAmount.", 0)
    module: str = said("Where it is filed, 1 to 64 characters.", "default")
    per_amount: Decimal | None = said("For orders: so much money earns once, rounded down; without it, an order.", None)
    order_source: str | None = said("For orders: only those of this source system.", None)
    frequency: Frequency = said("How often a fan earns by it.", Frequency.EACH)
    beneficiary: Beneficiary = said("Who earns.", Beneficiary.FAN)
    daily_points_cap: Int64 | None = said("The most points a fan earns by it in a natural day of the brand.", None)
    daily_growth_cap: Int64 | None = said("The most growth a fan earns by it in a natural day of the brand.", None)
    monthly_points_cap: Int64 | None = said("The most points a fan earns by it in a month of the brand.", None)
    monthly_growth_cap: Int64 | None = said("The most growth a fan earns by it in a month of the brand.", None)
    delay_days: int = said("How many natural days after the deed, of orders their receipt, it is granted.", 0)
    starts_at: datetime | None = said("What happened before earns nothing; without it, what happened before now.", None)
    ends_at: datetime | None = said("What happens from then on earns nothing.", None)
    enabled: bool = said("Whether it counts.", default=True)


@dataclass(frozen=True)
class PointRuleChange:
    """What changes of a rule. A field that is left out stays. What was granted already stays as it was."""

    rule_id: PointRuleId = said("The rule.")
    version: int | None = said("The version you saw: where there is a newer one, nothing is changed.", None)
    name: str | Absent = said("What it is called, 1 to 100 characters.", ABSENT)
    module: str | Absent = said("Where it is filed, 1 to 64 characters.", ABSENT)
    points: Int64 | Absent = said("How many points it gives.", ABSENT)
    growth: Int64 | Absent = said("How much growth it gives.", ABSENT)
    per_amount: Decimal | Absent = said("For rules by amount: so much money earns once.", ABSENT)
    order_source: str | Absent | None = said("For orders: only those of this source system.", ABSENT)
    frequency: Frequency | Absent = said("How often a fan earns by it.", ABSENT)
    daily_points_cap: Int64 | Absent | None = said("The most points a day; null for no cap.", ABSENT)
    daily_growth_cap: Int64 | Absent | None = said("The most growth a day; null for no cap.", ABSENT)
    monthly_points_cap: Int64 | Absent | None = said("The most points a month; null for no cap.", ABSENT)
    monthly_growth_cap: Int64 | Absent | None = said("The most growth a month; null for no cap.", ABSENT)
    delay_days: int | Absent = said("How many natural days after the deed it is granted.", ABSENT)
    starts_at: datetime | Absent = said("What happened before earns nothing.", ABSENT)
    ends_at: datetime | Absent | None = said("What happens from then on earns nothing; null for no end.", ABSENT)
    enabled: bool | Absent = said("Whether it counts.", ABSENT)


async def create_rule(session: AsyncSession, principal: str, brand: Brand, new: NewPointRule) -> int:
    """Make a rule and return its id. Raises BadInput naming the field that cannot be so, and PointRuleCodeTaken."""
    row = row_of(brand, new)
    check(row)
    await check_room(session, brand, 1)
    try:
        rule_id = (await session.execute(insert(rules).values(**row).returning(rules.c.id))).scalar_one()
    except IntegrityError as error:
        raise PointRuleCodeTaken(field=("input", "code")) from error
    await _log(session, principal, "point_rule:create", rule_id, row, {"after": _plain(row)})
    return int(rule_id)


def row_of(brand: Brand, new: NewPointRule) -> dict[str, Any]:
    """Return the row of a new rule, not checked yet."""
    now = clock.now()
    row = {name: value for name, value in vars(new).items() if name in rules.c}
    row |= {"group_id": brand.group_id, "brand_id": brand.id, "version": 1, "created_at": now, "updated_at": now}
    row |= {"frequency": new.frequency.value, "beneficiary": new.beneficiary.value, "starts_at": new.starts_at or now}
    row["basis"] = (Basis.EVENT if new.per_amount is None else Basis.AMOUNT).value
    row["per_amount"] = None if new.per_amount is None else _minor(brand, new.per_amount)
    return row


async def update_rule(session: AsyncSession, principal: str, brand: Brand, change: PointRuleChange) -> None:
    """Change a (locked) rule. Raises Conflict where it is newer than the caller saw, and BadInput."""
    mine = (rules.c.brand_id == brand.id, rules.c.id == change.rule_id)
    before = (await session.execute(select(rules).where(*mine).with_for_update(key_share=True))).mappings().one()
    if change.version is not None and change.version != before["version"]:
        raise Conflict(f"The rule has version {before['version']} by now.")
    given = {name: value for name, value in vars(change).items() if name in rules.c and name != "version"}
    given = {name: value for name, value in given.items() if not isinstance(value, Absent)}
    if "per_amount" in given:
        given["per_amount"] = _minor(brand, given["per_amount"])
    if "frequency" in given:
        given["frequency"] = given["frequency"].value
    anew = {name: value for name, value in given.items() if before[name] != value}
    if anew:
        check({**before, **anew})
        stamps = {"version": before["version"] + 1, "updated_at": clock.now()}
        await session.execute(update(rules).where(rules.c.id == change.rule_id).values(**anew, **stamps))
        detail = {"before": _plain({name: before[name] for name in anew}), "after": _plain(anew)}
        await _log(session, principal, "point_rule:update", change.rule_id, before, detail)


async def check_room(session: AsyncSession, brand: Brand, more: int) -> None:
    """Raise BadInput where a brand would have more rules than it may."""
    count = select(func.count()).select_from(rules).where(rules.c.brand_id == brand.id)
    if (await session.execute(count)).scalar_one() + more > MAX_RULES:
        raise BadInput(f"A brand has at most {MAX_RULES} rules.", field=("input", "code"))


def _minor(brand: Brand, amount: Decimal) -> int:
    try:
        return to_minor(amount, brand.currency)
    except ValueError as error:
        raise BadInput(f"perAmount {error}.", field=("input", "perAmount")) from error


def check(row: Any) -> None:
    """Raise BadInput, naming the field, where a rule cannot be so."""
    for name, limit in (("code", 64), ("name", 100), ("module", 64), ("order_source", 64)):
        text = row[name]
        _refuse(
            name, text is not None and not 1 <= len(text.strip()) <= len(text) <= limit, f"has 1 to {limit} characters"
        )

    _refuse("event", not is_name(row["event"]), "is not the name of an event")
    unread = row["event"] in ORDER_EVENTS - {ORDER_PAID, ORDER_RECEIVED}
    _refuse("event", unread, "earns nothing: name order_paid or order_received")
    for name in ("points", "growth", *CAPS):
        _refuse(name, row[name] is not None and not 0 <= row[name] <= MOST, f"must be between 0 and {MOST}")
    _refuse("points", not row["points"] and not row["growth"], "and growth cannot both be 0")
    _refuse("delay_days", not 0 <= row["delay_days"] <= MAX_DELAY, f"must be between 0 and {MAX_DELAY}")
    _refuse("ends_at", row["ends_at"] is not None and row["ends_at"] <= row["starts_at"], "must lie after startsAt")
    _check_orders(row)


def _check_orders(row: Any) -> None:
    """Refuse what only orders have, of a rule that is not about them, and what they have not."""
    of_orders = row["event"] in ORDER_EVENTS
    _refuse("per_amount", row["per_amount"] is not None and not of_orders, "is for orders only")
    _refuse("per_amount", row["per_amount"] is not None and row["per_amount"] < 1, "must be more than nothing")
    _refuse("per_amount", (row["basis"] == Basis.AMOUNT) != (row["per_amount"] is not None), "cannot be changed so")
    _refuse("order_source", row["order_source"] is not None and not of_orders, "is for orders only")
    _refuse("beneficiary", row["beneficiary"] != Beneficiary.FAN and of_orders, "of orders is the fan")


def _refuse(name: str, is_wrong: bool, why: str) -> None:
    if is_wrong:
        head, *rest = name.split("_")
        shown = head + "".join(word.capitalize() for word in rest)
        raise BadInput(f"{shown} {why}.", field=("input", shown))


async def _log(
    session: AsyncSession, principal: str, action: str, rule_id: int, row: Any, detail: dict[str, Any]
) -> None:
    deed = audit.Deed(row["group_id"], row["brand_id"], action, f"PointRule:{rule_id}", detail)
    await audit.record(session, principal, [deed])


def _plain(row: Any) -> dict[str, Any]:
    skipped = ("group_id", "brand_id", "version", "created_at", "updated_at")
    plain = {name: value for name, value in row.items() if name not in skipped}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in plain.items()}
