"""Writes of fans."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from domain import audit, clock
from domain.bulk import run
from domain.consents.minors import GuardianConsentMissing, is_child, unguarded
from domain.database import dialect_insert
from domain.errors import BadInput
from domain.events import follows
from domain.events.models import FollowKind
from domain.fans.lookups import phone_space
from domain.fans.models import Fan, Gender
from domain.fans.sums import lock_fans, recompute_spend
from domain.ids import ABSENT, Absent
from domain.inputs import said
from domain.outbox import emit
from domain.outbox.telling import fan_changed, fan_gone
from domain.persons.claims import Claim, IdentityRef
from domain.persons.resolution import resolve
from domain.running import is_postgresql
from domain.tables import table_of
from domain.tenancy.models import Brand
from domain.timeline.changes import Change, record
from domain.timeline.models import ChangeAct, ChangeKind
from domain.vault import GroupVault, Vault, is_phone, normalise_phone

__all__ = ["fan_changed", "fan_gone", "lock_fans", "recompute_spend"]  # beside what is defined here

fans = table_of(Fan)


@dataclass(frozen=True)
class NewFan:
    """What is known of a fan when a channel first names them. Only used where the fan is new, but for who it is.

    `also` are further identities named with the first, `verified` those of all that were proved in the act.
    """

    identity: IdentityRef
    nickname: str | None = None
    avatar_url: str | None = None
    gender: Gender = Gender.UNKNOWN
    birthday: date | None = None
    province: str | None = None
    city: str | None = None
    district: str | None = None
    phone: str | None = None
    dealer_id: int | None = None
    store_id: int | None = None
    source_account_id: int | None = None
    source_scene: str | None = None
    subscribed: bool = False
    followed_at: datetime | None = None
    created_at: datetime | None = None
    also: tuple[IdentityRef, ...] = ()
    verified: frozenset[IdentityRef] = frozenset()
    evidence: str = ""

    def claim(self) -> Claim:
        """Return what is said of who the fan is."""
        return Claim((self.identity, *self.also), self.verified, self.evidence)


async def resolve_fans(
    session: AsyncSession, vault: Vault, brand: Brand, wanted: Sequence[NewFan], *, principal: str = "system"
) -> dict[IdentityRef, int]:
    """Return the brand's fan of each identity, making those it has not. Set-based, and safe to run twice at once.

    An identity that leads to nobody, such as a blocked value, is left out.
    """
    keys = await vault.of_group(session, brand.group_id)
    claims = [new.claim() for new in wanted]
    found = await resolve(session, keys, claims, principal=principal, brand_id=brand.id)
    people = {new.identity: person for new, person in zip(wanted, found, strict=True) if person is not None}
    new_of = {people[new.identity]: new for new in wanted if new.identity in people}
    known = await fans_of_persons(session, keys, brand, new_of, new_of.__getitem__)
    return {identity: known[person_id] for identity, person_id in people.items()}


async def fans_of_persons(
    session: AsyncSession,
    keys: GroupVault,
    brand: Brand,
    person_ids: Iterable[int],
    describe: Callable[[int], NewFan],
) -> dict[int, int]:
    """Return the brand's fan of each person; those it has not are made as described. They stay until the end."""
    wanted = sorted(set(person_ids))
    known = await hold_fans(session, brand.id, wanted)
    missing = {person_id: describe(person_id) for person_id in wanted if person_id not in known}
    return known | await make_fans(session, keys, brand, missing) if missing else known


async def make_fans(
    session: AsyncSession, keys: GroupVault, brand: Brand, missing: Mapping[int, NewFan]
) -> dict[int, int]:
    """Make the brand's fans of persons it had none of, and return them; whoever was faster with one has made it."""
    rows = [_row(brand, keys, person_id, new) for person_id, new in sorted(missing.items())]
    statement = dialect_insert(session, fans).on_conflict_do_nothing().returning(fans.c.person_id, fans.c.id)
    made = {row.person_id: row.id for row in await session.execute(statement, rows)}
    await emit(session, [fan_changed(brand.group_id, brand.id, fan_id, 1) for fan_id in made.values()])
    others = missing.keys() - made
    known = made | await hold_fans(session, brand.id, others) if others else made
    by_fan = {known[person]: new for person, new in missing.items()}
    await _begin_follows(session, brand, by_fan, set(made.values()))
    return known


async def _begin_follows(session: AsyncSession, brand: Brand, new_by_fan: Mapping[int, NewFan], made: set[int]) -> None:
    """Write what is said of new fans' following into their history, which the follow state is read off."""
    steps: list[follows.Step] = []
    for fan_id, new in new_by_fan.items():
        if fan_id in made and new.followed_at is not None:
            steps.append(follows.Step(fan_id, FollowKind.FOLLOW, new.followed_at, new.source_account_id))
            if not new.subscribed:
                # when they left nobody knows: some time before now
                steps.append(follows.Step(fan_id, FollowKind.UNFOLLOW, clock.now(), new.source_account_id))
    await follows.record(session, brand, steps)


_HOLD_FANS = """
SELECT array_agg(person_id), array_agg(id) FROM (
    SELECT person_id, id FROM fans WHERE brand_id = $1::bigint AND person_id = ANY ($2::text::bigint[])
    ORDER BY id FOR KEY SHARE
) AS held
"""


async def hold_fans(session: AsyncSession, brand_id: int, person_ids: Iterable[int]) -> dict[int, int]:
    """Return the brand's fan of each person who has one.

    A merge or an erasure of them waits until the transaction ends, and finds what it wrote.
    """
    wanted = sorted(set(person_ids))
    if is_postgresql(session):
        people, ids = await run(session, _HOLD_FANS, brand_id, "{" + ",".join(map(str, wanted)) + "}")
        return dict(zip(people or (), ids or (), strict=True))
    mine = (fans.c.brand_id == brand_id, fans.c.person_id.in_(wanted))
    found = (await session.execute(select(fans.c.person_id, fans.c.id).where(*mine))).all()
    return {row.person_id: row.id for row in found}


def _row(brand: Brand, keys: GroupVault, person_id: int, new: NewFan) -> dict[str, Any]:
    new = _of_a_child(new) if is_child(new.birthday) else new
    created = new.created_at or clock.now()
    plain = {name: value for name, value in vars(new).items() if name in fans.c and name != "created_at"}
    return {
        **plain,
        **sealed_phone(keys, brand.id, new.phone),
        "gender": new.gender.value,
        "group_id": brand.group_id,
        "brand_id": brand.id,
        "person_id": person_id,
        "currency": brand.currency,
        "created_at": created,
        "updated_at": created,
    }


def _of_a_child(new: NewFan) -> NewFan:
    """Keep of a child what serves them: no guardian can have agreed to more before the brand knew them."""
    bare = replace(new, nickname=None, avatar_url=None, gender=Gender.UNKNOWN, birthday=None, phone=None)
    return replace(bare, province=None, city=None, district=None)


def sealed_phone(keys: GroupVault, brand_id: int, phone: str | None) -> dict[str, bytes | None]:
    """Return the columns a phone is kept in: encrypted, and hashed under the brand's own space."""
    if phone is None:
        return {"phone_cipher": None, "phone_hash": None}
    number = normalise_phone(phone)
    if not is_phone(number):
        raise BadInput("A phone has 5 to 15 digits.", field=("input", "phone"))
    return {
        "phone_cipher": keys.seal(number, "fans.phone"),
        "phone_hash": keys.find_hash(number, phone_space(brand_id)),
    }


@dataclass(frozen=True)
class ProfileChange:
    """What a fan changes of their profile. A field that is left out stays; null empties it."""

    nickname: str | Absent | None = said("What they call themselves, 1 to 200 characters.", ABSENT)
    avatar_url: str | Absent | None = said("The address of their picture.", ABSENT)
    gender: Gender | Absent = said("Their gender.", ABSENT)
    birthday: date | Absent | None = said("Their birthday, which lies in the past.", ABSENT)
    province: str | Absent | None = said("The province they live in.", ABSENT)
    city: str | Absent | None = said("The city they live in.", ABSENT)
    district: str | Absent | None = said("The district they live in.", ABSENT)
    language: str | Absent | None = said("The language they use, such as zh-CN.", ABSENT)
    phone: str | Absent | None = said("Their phone, however it is written.", ABSENT)


async def update_profile(session: AsyncSession, vault: Vault, principal: str, fan: Fan, change: ProfileChange) -> None:
    """Change a fan's profile. Raises BadInput naming the field that cannot be so."""
    given = {name: value for name, value in vars(change).items() if not isinstance(value, Absent)}
    columns = {name: _fitting(name, value) for name, value in given.items() if name != "phone"}
    if "phone" in given:
        keys = await vault.of_group(session, fan.group_id)
        columns |= sealed_phone(keys, fan.brand_id, given["phone"])
    await _check_child(session, fan, given)
    if columns:
        await session.execute(update(fans).where(fans.c.id == fan.id).values(**columns, updated_at=clock.now()))
        # the log says what was changed and not to what: it holds no personal data
        deed = audit.Deed(fan.group_id, fan.brand_id, "fan:update", f"Fan:{fan.id}", {"fields": sorted(given)})
        await audit.record(session, principal, [deed])
        made = Change(
            fan.group_id, fan.brand_id, fan.id, ChangeKind.PROFILE, ChangeAct.CHANGED, principal, detail=deed.detail
        )
        await record(session, [made])


async def _check_child(session: AsyncSession, fan: Fan, given: Mapping[str, Any]) -> None:
    """Raise GuardianConsentMissing where a child would be described; what is emptied describes nobody."""
    birthday = given.get("birthday", fan.birthday)
    if any(value is not None for value in given.values()) and await unguarded(session, {fan.id: birthday}):
        raise GuardianConsentMissing(field=("input", "birthday") if given.get("birthday") else ("input",))


def _fitting(name: str, value: Any) -> Any:
    shown = name.replace("_url", "Url")
    limit = getattr(fans.c[name].type, "length", None)
    if isinstance(value, str) and limit and not 1 <= len(value.strip()) <= len(value) <= limit:
        raise BadInput(f"{shown} has 1 to {limit} characters.", field=("input", shown))
    if isinstance(value, date) and value > clock.now().date():
        raise BadInput(f"{shown} lies in the future.", field=("input", shown))
    return value
