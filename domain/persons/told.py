"""Which brand was told of which identity: a brand looks for its fans by what it was told itself."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import and_, delete, exists, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain.database import dialect_insert
from domain.persons.holdings import among
from domain.persons.models import Identity, IdentityBrand, IdentityKind
from domain.persons.rules import Held
from domain.privacy.subject import Erasing
from domain.tables import table_of
from domain.tenancy.models import ChannelAccount

identities, identity_brands, accounts = table_of(Identity), table_of(IdentityBrand), table_of(ChannelAccount)


async def note_told(session: AsyncSession, group_id: int, brand_id: int, known: Iterable[Held]) -> None:
    """Write down that the brand was told of identities of which another was told before."""
    others = sorted(one.id for one in known if one.first_brand_id != brand_id)
    if not others:
        return
    noted = exists().where(identity_brands.c.identity_id == identities.c.id, identity_brands.c.brand_id == brand_id)
    new = select(identities.c.id).where(among(session, identities.c.id, others), ~noted).order_by(identities.c.id)
    # one that is being erased is not there any more when the lock is had
    found = (await session.execute(new.with_for_update(read=True, key_share=True))).scalars().all()
    rows = [{"identity_id": one, "brand_id": brand_id, "group_id": group_id} for one in found]
    if rows:
        await session.execute(dialect_insert(session, identity_brands).on_conflict_do_nothing(), rows)


def told(value_hash: bytes, group_id: int, kind: IdentityKind, brand_ids: Sequence[int]) -> Any:
    """Select person and brand of an identity for those of the brands that were told of it.

    An openid besides is asked for by the brand of its account alone: another may have been told of it, but is not to
    learn whose it is.
    """
    same = and_(identities.c.group_id == group_id, identities.c.value_hash == value_hash)
    first = select(identities.c.person_id, identities.c.first_brand_id.label("brand_id")).where(
        same, identities.c.first_brand_id.in_(brand_ids)
    )
    later = select(identities.c.person_id, identity_brands.c.brand_id).where(
        same, identity_brands.c.identity_id == identities.c.id, identity_brands.c.brand_id.in_(brand_ids)
    )
    if kind is IdentityKind.OPENID:
        first = first.where(_has_account(identities.c.first_brand_id))
        later = later.where(_has_account(identity_brands.c.brand_id))
    return union_all(first, later)


def _has_account(brand_id: Any) -> Any:
    return exists().where(accounts.c.brand_id == brand_id, accounts.c.app_id == identities.c.issuer)


async def forget_told(session: AsyncSession, erasing: Erasing, limit: int) -> int:
    """Forget which identities of the fan's person the brand was told of."""
    mine = select(identities.c.id).where(identities.c.person_id == erasing.person_id)
    first = mine.where(identities.c.first_brand_id == erasing.brand_id).limit(limit)
    emptied: Any = await session.execute(
        update(identities).where(identities.c.id.in_(first)).values(first_brand_id=None)
    )
    later = identity_brands.c.brand_id == erasing.brand_id
    some = select(identity_brands.c.identity_id).where(later, identity_brands.c.identity_id.in_(mine)).limit(limit)
    gone: Any = await session.execute(delete(identity_brands).where(later, identity_brands.c.identity_id.in_(some)))
    return max(int(emptied.rowcount), int(gone.rowcount))
