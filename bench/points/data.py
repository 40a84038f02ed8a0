"""A brand whose fans have accounts and a rule to earn by, made by either database itself."""

from sqlalchemy import insert, select, text

from domain import clock
from domain.database import Database
from domain.points.earning.models import Basis, PointRule
from domain.points.earning.queries import READ
from domain.points.earning.together import EARN
from domain.points.programme.queries import programme_of
from domain.points.programme.rules import Programme
from domain.scope import Scope, TenantSet, system_scope
from domain.tables import table_of
from domain.tenancy import service as tenancy
from domain.tenancy.models import Brand
from domain.vault import Vault

SCOPE = system_scope("bench")
_BRAND = TenantSet(brands=frozenset({1}), above_groups=frozenset({1}))
# who calls: a service of the brand with its key
CALLER = Scope("api_key:1", 1, {EARN: _BRAND, READ: _BRAND})
RULE, POINTS, GROWTH = "post", 1, 3

_NUMBERS = "WITH RECURSIVE numbers (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM numbers WHERE id < :fans) "
_UID = {"postgresql": "lpad(to_hex(id), 32, '0')::uuid", "sqlite": "printf('%032x', id)"}
_LONG_AGO = "'2026-01-01 00:00:00.000000'"
_PEOPLE = (
    "INSERT INTO persons (id, group_id, uid, created_at) {numbers} SELECT id, 1, {uid}, {then} FROM numbers",
    """INSERT INTO fans (id, group_id, brand_id, person_id, gender, subscribed, follow_count, order_count, spend,
    currency, version, created_at, updated_at)
    {numbers} SELECT id, 1, 1, id, 'UNKNOWN', false, 0, 0, 0, 'CNY', 1, {then}, {then} FROM numbers""",
    """INSERT INTO point_accounts (id, group_id, brand_id, fan_id, former, spendable, held, pending, debt, growth,
    growth_pending, spent, expired)
    {numbers} SELECT id, 1, 1, id, false, 0, 0, 0, 0, 0, 0, 0, 0 FROM numbers""",
)


async def fill(database: Database, fans: int) -> Programme:
    """Fill an empty, migrated database and return the brand's programme; ids begin at 1."""
    async with database.writing(SCOPE, statement_seconds=300) as session:
        group = await tenancy.create_group(session, Vault(bytes(range(32))), code="g", name="g")
        await tenancy.create_brand(session, group, code="b", name="b", currency="CNY", time_zone="Asia/Shanghai")
        for statement in _PEOPLE:
            shape = {"numbers": _NUMBERS, "uid": _UID[database.dialect], "then": _LONG_AGO}
            await session.execute(text(statement.format(**shape)), {"fans": fans})
        await session.execute(insert(table_of(PointRule)), [_rule()])
    async with database.reading(SCOPE) as session:
        brand_id = (await session.execute(select(table_of(Brand).c.id))).scalar_one()
        return await programme_of(session, brand_id)


def _rule() -> dict[str, object]:
    now = clock.now()
    said = {"code": RULE, "name": RULE, "module": "bench", "event": "post", "points": POINTS, "growth": GROWTH}
    # a cap that cuts nothing has to be held all the same
    place = {"id": 1, "group_id": 1, "brand_id": 1, "daily_points_cap": 10**9, "monthly_growth_cap": 10**9}
    times = {"starts_at": now.replace(year=now.year - 1), "created_at": now, "updated_at": now}
    return {**place, **said, **times, "basis": Basis.EVENT, "frequency": "EACH", "beneficiary": "FAN", "version": 1} | {
        "delay_days": 0,
        "enabled": True,
    }
