"""Nicknames by any part of them, from two characters on: each end of a nickname is a row, found as a range of an index.

Triggers keep the rows (see the migration), so that whoever writes a nickname, merges fans or erases one keeps them too.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import Field, SQLModel

from domain.columns import BigInt
from domain.errors import BadInput
from domain.fans.models import Fan
from domain.scope import Scope
from domain.tables import ref, table_of
from domain.tenancy.models import Brand

SHORTEST, PART_CHARS = 2, 12
QUICKLY = 3_000
_LETTERS = {letter: letter + 32 for letter in range(ord("A"), ord("Z") + 1)}
_LAST = chr(0x10FFFF)  # no text of a nickname sorts behind it
# by code point, as SQLite sorts: a range of one database is the same range of the other
_Part: Any = String(PART_CHARS, collation="C").with_variant(String(PART_CHARS), "sqlite")


class FanNamePart(SQLModel, table=True):
    """The first twelve characters of an end of a fan's nickname, with A to Z in lower case."""

    __tablename__ = "fan_name_parts"

    brand_id: int = Field(primary_key=True, sa_type=BigInt)
    part: str = Field(primary_key=True, sa_type=_Part)
    fan_id: int = Field(primary_key=True, sa_type=BigInt)
    group_id: int = ref()


def named(scope: Scope, part: str, permission: str) -> ColumnElement[bool]:
    """Build the condition that a fan's nickname holds this text, in either case of A to Z.

    Raises BadInput for a text of less than two characters.
    """
    held = table_of(Fan).c.id.in_(_found(scope, part, permission))
    return held if len(part) <= PART_CHARS else and_(held, holding(part))


def is_common(scope: Scope, part: str, permission: str) -> ColumnElement[bool]:
    """Build the condition that more nicknames hold this text than are quickly looked at; counts no further."""
    some = _found(scope, part, permission).limit(QUICKLY + 1).subquery()
    return select(func.count()).select_from(some).scalar_subquery() > QUICKLY


def _found(scope: Scope, part: str, permission: str) -> Select[Any]:
    parts, brands, start = table_of(FanNamePart), table_of(Brand), _lower(part)[:PART_CHARS]
    # brand by brand: each is one range of the index, where a range over all brands would read other groups' names
    found = select(parts.c.fan_id).join(brands, brands.c.id == parts.c.brand_id)
    return found.where(scope.where_shared(permission, brands), parts.c.part >= start, parts.c.part < start + _LAST)


def holding(part: str) -> ColumnElement[bool]:
    """Build the same condition in a form that looks at the nickname itself: for some fans, not to find them by."""
    return _in_lower_case(table_of(Fan).c.nickname).contains(_lower(part), autoescape=True)


def _lower(part: str) -> str:
    """Take the case off A to Z, as the triggers do, and off nothing else. Raises BadInput for a text too short."""
    if len(part) < SHORTEST:
        raise BadInput(f"nickname takes {SHORTEST} characters or more.", field=("filter", "nickname"))
    return part.translate(_LETTERS)


class _in_lower_case(FunctionElement[str]):  # noqa: N801 (a function of SQL)
    """The same in SQL; another collation of PostgreSQL would take the case off more letters."""

    inherit_cache = True
    type = String()


@compiles(_in_lower_case)
def _lower_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(_in_lower_case, "postgresql")
def _lower_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f'lower({compiler.process(element.clauses, **options)} COLLATE "C")'
