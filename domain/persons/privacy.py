"""What is held about the person behind a fan: their identities, and whom they were taken for before.

The person of a fan who is erased may be a fan of other brands of the group. Then what leads to them there stays, and
only what belongs to the brand alone goes: their openids at its accounts.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.fans.models import Fan
from domain.persons.models import (
    FanAlias,
    Identity,
    IdentityConflict,
    IdentityKind,
    MergeMove,
    PersonAlias,
    PersonMerge,
)
from domain.persons.told import forget_told
from domain.privacy.subject import Erase, Erasing, Holding, Shown, Subject, deletes, shows
from domain.tables import table_of
from domain.tenancy.models import ChannelAccount

identities, aliases, fan_aliases = table_of(Identity), table_of(PersonAlias), table_of(FanAlias)
conflicts, merges, moves = table_of(IdentityConflict), table_of(PersonMerge), table_of(MergeMove)
fans, accounts = table_of(Fan), table_of(ChannelAccount)


def _of_brand(brand_id: int) -> ColumnElement[bool]:
    """Build the condition that an identity is an openid at one of the brand's accounts."""
    own = select(accounts.c.app_id).where(accounts.c.brand_id == brand_id)
    return and_(identities.c.kind == IdentityKind.OPENID.value, identities.c.issuer.in_(own))


def _identities(subject: Subject) -> Select[Any]:
    elsewhere = and_(identities.c.kind == IdentityKind.OPENID.value, not_(_of_brand(subject.brand_id)))
    return select(identities).where(identities.c.person_id == subject.person_id, not_(elsewhere))


def _identity(subject: Subject, row: Any) -> Shown:
    value = subject.keys.open(row.value_cipher, "identities.value")
    return {
        "kind": row.kind,
        "issuer": row.issuer,
        "value": value,
        "verifiedAt": row.verified_at,
        "createdAt": row.created_at,
    }


def _is_nobody_elsewhere(erasing: Erasing) -> ColumnElement[bool]:
    """Build the condition that the person is a fan of this brand alone."""
    other = (fans.c.person_id == erasing.person_id, fans.c.id != erasing.fan_id)
    return ~exists().where(*other)


async def erase_identities(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    """Delete the identities that may go, so that nothing new leads to the fan."""
    mine = and_(identities.c.person_id == erasing.person_id)
    wanted = or_(_is_nobody_elsewhere(erasing), _of_brand(erasing.brand_id))
    some = select(identities.c.id).where(mine, wanted).limit(limit)
    result: Any = await session.execute(delete(identities).where(identities.c.id.in_(some)))
    return int(result.rowcount)


def _deletes_of_person(table: Table, *columns: str) -> Erase:
    async def erase(session: AsyncSession, erasing: Erasing, limit: int) -> int:
        mine = or_(*(table.c[column] == erasing.person_id for column in columns))
        key = next(iter(table.primary_key.columns))
        some = select(key).where(mine, _is_nobody_elsewhere(erasing)).limit(limit)
        result: Any = await session.execute(delete(table).where(key.in_(some)))
        return int(result.rowcount)

    return erase


async def _erase_moves_of_person(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    """Delete what merges of the person moved: it is what their identities and fans were before."""
    mine = or_(merges.c.survivor_person_id == erasing.person_id, merges.c.absorbed_person_id == erasing.person_id)
    of_person = select(merges.c.id).where(mine, _is_nobody_elsewhere(erasing))
    some = select(moves.c.id).where(moves.c.merge_id.in_(of_person)).limit(limit)
    result: Any = await session.execute(delete(moves).where(moves.c.id.in_(some)))
    return int(result.rowcount)


HOLDING = Holding(
    tables=(
        *("persons", "identities", "identity_brands", "person_aliases", "fan_aliases"),
        *("identity_conflicts", "person_merges", "merge_moves"),
    ),
    sections={"identities": shows(_identities, (identities.c.id,), _identity)},
    erase=(
        erase_identities,
        forget_told,
        deletes(moves, "gone_fan_id"),
        deletes(moves, "into_fan_id"),
        _erase_moves_of_person,
        _deletes_of_person(merges, "survivor_person_id", "absorbed_person_id"),
        _deletes_of_person(conflicts, "one_person_id", "other_person_id"),
        _deletes_of_person(aliases, "person_id"),
        deletes(fan_aliases),
    ),
    why="the person goes with the last fan they are",
)
