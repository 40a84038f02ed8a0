"""Who is calling: read for every request, so those who come at the same time are looked up together.

What is found here is not kept. Whoever comes while a look-up is under way waits for the next one, so disabling,
revoking and granting bind every request that comes after them. A service that was found is remembered by
`authz.authenticate` for statements that ask themselves whether it still stands (`domain.standing`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Column, Select, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY

from authz.tokens import FanClaims
from domain.access.models import ApiKey, Staff
from domain.coalesce import Coalesced
from domain.database import Database
from domain.direct import prepare
from domain.fans.models import Fan
from domain.persons.models import FanAlias
from domain.scope import system_scope
from domain.tables import table_of
from domain.tenancy.models import Group

_groups, _staff, _keys, _fans = table_of(Group), table_of(Staff), table_of(ApiKey), table_of(Fan)
_aliases = table_of(FanAlias)


class StaffRecord(NamedTuple):
    """A staff member, and the version their group's rights are at."""

    id: int
    group_id: int
    name: str
    disabled_at: datetime | None
    policy_version: int


class ApiKeyRecord(NamedTuple):
    """A service's key, and the version its group's rights are at."""

    id: int
    group_id: int
    name: str
    secret_hash: bytes
    expires_at: datetime | None
    revoked_at: datetime | None
    policy_version: int


class FanRecord(NamedTuple):
    """A fan and their place."""

    id: int
    brand_id: int
    group_id: int
    person_id: int
    dealer_id: int | None


_STAFF = select(
    *(_staff.c.subject, _staff.c.id, _staff.c.group_id, _staff.c.name, _staff.c.disabled_at, _groups.c.policy_version)
).join(_groups, _groups.c.id == _staff.c.group_id)
_API_KEYS = select(
    *(_keys.c.prefix, _keys.c.id, _keys.c.group_id, _keys.c.name, _keys.c.secret_hash),
    *(_keys.c.expires_at, _keys.c.revoked_at, _groups.c.policy_version),
).join(_groups, _groups.c.id == _keys.c.group_id)
_FANS = select(_fans.c.id, _fans.c.id, _fans.c.brand_id, _fans.c.group_id, _fans.c.person_id, _fans.c.dealer_id)
# who was merged away goes on as who they are now
_FORMER_FANS = select(
    *(_aliases.c.old_id, _fans.c.id, _fans.c.brand_id, _fans.c.group_id, _fans.c.person_id, _fans.c.dealer_id)
).join(_fans, _fans.c.id == _aliases.c.fan_id)

Record = TypeVar("Record")
Key = TypeVar("Key", int, str)


class Directory:
    """Staff, services and fans by what their tokens say."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._scope = system_scope("authentication")
        self._staff = Coalesced(self._reader(_STAFF, _staff.c.subject, StaffRecord._make))
        self._keys = Coalesced(self._reader(_API_KEYS, _keys.c.prefix, ApiKeyRecord._make))
        self._fans = Coalesced(self._reader(_FANS, _fans.c.id, FanRecord._make))
        self._former_fans = Coalesced(self._reader(_FORMER_FANS, _aliases.c.old_id, FanRecord._make))

    async def find_staff(self, subject: str) -> StaffRecord | None:
        """Return the staff member of this subject, disabled or not, or None."""
        return await self._staff.load(subject)

    async def find_api_key(self, prefix: str) -> ApiKeyRecord | None:
        """Return the key of this prefix, expired or revoked or not, or None."""
        return await self._keys.load(prefix)

    async def find_fan(self, claims: FanClaims) -> FanRecord | None:
        """Return the fan, or whom they were merged into, where brand and group of the claim are theirs, or None."""
        found = await self._fans.load(claims.fan_id) or await self._former_fans.load(claims.fan_id)
        return found if found is not None and (found.brand_id, found.group_id) == tuple(claims)[1:] else None

    def _reader(
        self, statement: Select[Any], column: Column[Any], make: Callable[[Sequence[Any]], Record]
    ) -> Callable[[Sequence[Key]], Any]:
        """Make the read of many at once; the first column of the statement is the key they are asked by."""
        direct = self._database.callers
        among = prepare(statement.where(column == any_(bindparam("asked", None, ARRAY(column.type)))))
        one_by_one = statement.where(column.in_(bindparam("asked", expanding=True)))

        async def read(asked: Sequence[Key]) -> Mapping[Key, Record]:
            if direct is not None:
                rows = await direct.fetch(self._scope, among, {"asked": list(asked)})
            else:
                async with self._database.reading(self._scope) as session:
                    rows = list((await session.execute(one_by_one, {"asked": list(asked)})).all())
            return {row[0]: make(tuple(row)[1:]) for row in rows}

        return read
