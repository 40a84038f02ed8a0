"""Children (未成年人): who is under 14 is served and not described, unless a guardian agreed."""

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.consents.models import Purpose
from domain.consents.queries import has_consent
from domain.errors import DomainError
from domain.fans.models import Fan
from domain.tables import table_of

OF_AGE = 14
fans = table_of(Fan)


class GuardianConsentMissing(DomainError):
    """A fan is a child, and no guardian agreed that they are described."""

    code = "GUARDIAN_CONSENT_MISSING"
    default = "The fan is under 14 and no guardian has agreed."


def is_child(birthday: date | None, today: date | None = None) -> bool:
    """Tell whether somebody is under 14; whose birthday nobody knows is not taken for a child."""
    if birthday is None:
        return False
    today = today or clock.now().date()
    first = (today.year - OF_AGE, today.month, today.day)
    return (birthday.year, birthday.month, birthday.day) > first


async def unguarded(session: AsyncSession, birthdays: Mapping[int, date | None]) -> set[int]:
    """Return the ids of the fans, given with their birthdays, who are children and whose guardian has not agreed."""
    children = {fan_id for fan_id, birthday in birthdays.items() if is_child(birthday)}
    if not children:
        return children
    agreed = select(fans.c.id).where(fans.c.id.in_(sorted(children)), has_consent(fans.c.id, Purpose.GUARDIAN))
    return children - set((await session.execute(agreed)).scalars())


async def check_guarded(session: AsyncSession, described: Sequence[Fan], *, own: bool = False) -> None:
    """Raise GuardianConsentMissing, naming the fan, where one of them may not be described; `own` is a fan's wish."""
    bare = await unguarded(session, {fan.id: fan.birthday for fan in described})
    for place, fan in enumerate(described):
        if fan.id in bare:
            raise GuardianConsentMissing(field=("input",) if own else ("input", "fanIds", str(place)))
