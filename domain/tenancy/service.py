"""Writes of the tenancy tree: how a deployment gets its first group and brands."""

import re
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.errors import BadInput, DomainError
from domain.tables import table_of
from domain.tenancy.models import Brand, Group
from domain.vault import Vault

groups, brands = table_of(Group), table_of(Brand)
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


class CodeTaken(DomainError):
    code = "CODE_TAKEN"
    default = "This code is taken."


async def create_group(session: AsyncSession, vault: Vault, *, code: str, name: str) -> int:
    """Make a group with its data key and return its id. Raises BadInput, and CodeTaken for a code that is in use."""
    group_id = await _insert(session, groups, code=_checked(code), name=_named(name), policy_version=1)
    await vault.create_key(session, group_id)
    return group_id


async def create_brand(
    session: AsyncSession, group_id: int, *, code: str, name: str, currency: str, time_zone: str
) -> int:
    """Make a brand of the group and return its id. Raises BadInput, and CodeTaken for a code the group has already."""
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise BadInput("A currency is its ISO 4217 code, such as CNY.", field=("currency",))
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise BadInput("A time zone is its IANA name, such as Asia/Shanghai.", field=("timeZone",)) from error
    columns = {"code": _checked(code), "name": _named(name), "currency": currency, "time_zone": time_zone}
    return await _insert(session, brands, group_id=group_id, **columns)


def _checked(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise BadInput("A code has 1 to 64 small letters, digits and hyphens.", field=("code",))
    return code


def _named(name: str) -> str:
    if not 1 <= len(name.strip()) <= 200:
        raise BadInput("A name has 1 to 200 characters.", field=("name",))
    return name.strip()


async def _insert(session: AsyncSession, table: Any, **columns: Any) -> int:
    statement = insert(table).values(**columns, created_at=clock.now()).returning(table.c.id)
    try:
        return int((await session.execute(statement)).scalar_one())
    except IntegrityError as error:
        raise CodeTaken(field=("code",)) from error
