"""The people and the machine that work with the demo group, with their grants."""

from typing import NamedTuple

from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from authz.templates import Templates
from authz.tokens import new_api_key
from domain import clock, reads
from domain.access.models import ApiKey, Grant, Staff
from domain.access.service import RoleGrant, grant_role
from domain.database import Database
from domain.tables import table_of
from server.demo.tenancy import DemoGroup

staff, grants, api_keys = table_of(Staff), table_of(Grant), table_of(ApiKey)


class _Member(NamedTuple):
    who: str
    subject: str
    name: str
    role: str


_CREW = (
    _Member("HQ admin", "hq@demo", "总部管理员 林知远", "GROUP_ADMIN"),
    _Member("brand operator", "brand@demo", "品牌运营 苏晓棠", "BRAND_OPERATOR"),
    _Member("dealer manager", "dealer@demo", "经销商经理 陈立川", "DEALER_MANAGER"),
    _Member("analyst", "analyst@demo", "数据分析师 顾言", "GROUP_ANALYST"),
)
SUBJECTS = {member.who: member.subject for member in _CREW}


async def is_staffed(session: AsyncSession, group_id: int) -> bool:
    """Tell whether the crew is there, all of whom come in one transaction."""
    mine = select(staff.c.id).where(staff.c.group_id == group_id, staff.c.subject == _CREW[0].subject)
    return (await session.execute(mine)).first() is not None


async def load_crew(database: Database, group: DemoGroup) -> str | None:
    """Make staff, grants and a service's key; return the key, which nothing else keeps, or None where all is there."""
    async with database.writing(group.scope) as session:
        if await is_staffed(session, group.id):
            return None
        for member in _CREW:
            await _hire(session, group, member)
        return await _make_key(session, group)


async def _hire(session: AsyncSession, group: DemoGroup, member: _Member) -> None:
    await _insert(session, staff, group_id=group.id, subject=member.subject, name=member.name)
    (row,) = await reads.rows(session, select(staff).where(staff.c.subject == member.subject), Staff)
    place = group.brands[0]
    wanted = RoleGrant(
        row.id,
        member.role,
        brand_id=place.row.id if member.role.startswith("BRAND") else None,
        dealer_id=place.dealers[0].id if member.role.startswith("DEALER") else None,
    )
    await grant_role(session, group.scope, wanted, Templates().of(member.role).allow, row)


async def _make_key(session: AsyncSession, group: DemoGroup) -> str:
    key = new_api_key()
    columns = {"name": "演示接口", "prefix": key.prefix, "secret_hash": key.secret_hash}
    key_id = await _insert(session, api_keys, group_id=group.id, **columns)
    by = group.scope.principal
    await _insert(session, grants, group_id=group.id, api_key_id=key_id, role="SERVICE", granted_by=by)
    return key.full_key


async def _insert(session: AsyncSession, table: Table, **columns: object) -> int:
    statement = insert(table).values(**columns, created_at=clock.now()).returning(table.c.id)
    return int((await session.execute(statement)).scalar_one())
