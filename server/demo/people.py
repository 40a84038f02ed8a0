"""The fans: who they are, decided before anything is written, and how they come into the brands."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from domain.database import Database
from domain.fans.models import Gender
from domain.fans.service import NewFan, resolve_fans
from domain.persons.models import IdentityKind
from domain.persons.service import IdentityRef
from domain.vault import Vault
from server.demo.batching import batches
from server.demo.catalogue import ELSEWHERE, MOMENT
from server.demo.names import nickname
from server.demo.tenancy import BrandPlace, DealerPlace, DemoGroup
from server.progress import Progress

FANS = 20_000
_TWO_BRANDS = 0.15
_DAYS = 1095
_PREFIXES = ("138", "139", "136", "150", "158", "186", "188", "199")
_OPEN_PLATFORM = "demo-open-platform"


@dataclass(frozen=True)
class DemoFan:
    """A fan as planned, with the id the database gave."""

    id: int
    plan: NewFan

    @property
    def identity(self) -> IdentityRef:
        return self.plan.identity


@dataclass(frozen=True)
class _Human:
    number: int
    gender: Gender
    nickname: str
    birthday: date | None
    phone: str
    kind: IdentityKind


def plan_fans(group: DemoGroup, count: int) -> list[list[NewFan]]:
    """Return the fans of each brand, `count` in all; some 15 % of the persons are fans of two brands."""
    random = Random("demo fans")
    plans: list[list[NewFan]] = [[] for _ in group.brands]
    weights = [place.spec.share for place in group.brands]
    left, number = count, 0
    while left:
        number += 1
        chosen = [random.choices(range(len(plans)), weights)[0]]
        if random.random() < _TWO_BRANDS and left > 1:
            chosen.append(random.choice([index for index in range(len(plans)) if index != chosen[0]]))
        human = _human(random, number, is_shared=len(chosen) > 1)
        for index in chosen:
            plans[index].append(_fan(random, group.brands[index], human))
        left -= len(chosen)
    return plans


def _human(random: Random, number: int, *, is_shared: bool) -> _Human:
    gender = random.choices((Gender.FEMALE, Gender.MALE, Gender.UNKNOWN), (50, 44, 6))[0]
    born = date(1968, 1, 1) + timedelta(days=random.randrange(40 * 365))
    # 7919 has no factor in common with 10^8, so no two people get one number
    phone = f"{_PREFIXES[number % len(_PREFIXES)]}{number * 7919 % 10**8:08d}"
    kinds = (IdentityKind.UNIONID, IdentityKind.PHONE, IdentityKind.OPENID)
    kind = random.choices(kinds, (50, 50, 0) if is_shared else (35, 35, 30))[0]
    return _Human(number, gender, nickname(random, gender), born if random.random() < 0.7 else None, phone, kind)


def _fan(random: Random, place: BrandPlace, human: _Human) -> NewFan:
    account = place.account_ids[0] if random.random() < 0.65 else random.choice(place.account_ids)
    dealer = random.choice(place.dealers) if random.random() < 0.75 else None
    store = random.choice(dealer.store_ids) if dealer and random.random() < 0.7 else None
    province, city, district = _home(random, dealer)
    followed = MOMENT - timedelta(days=_DAYS * random.random() ** 1.4, seconds=random.randrange(86_400))
    return NewFan(
        identity=_identity(place, human),
        nickname=human.nickname,
        gender=human.gender,
        birthday=human.birthday,
        province=province,
        city=city,
        district=district,
        phone=human.phone if human.kind is IdentityKind.PHONE or random.random() < 0.4 else None,
        dealer_id=dealer.id if dealer else None,
        store_id=store,
        source_account_id=account,
        subscribed=random.random() < 0.8,
        followed_at=followed,
        created_at=followed,
    )


def _home(random: Random, dealer: DealerPlace | None) -> tuple[str, str, str | None]:
    if dealer is None or random.random() < 0.1:
        return (*random.choice(ELSEWHERE), None)
    return dealer.city.province, dealer.city.name, random.choice(dealer.city.districts)


def _identity(place: BrandPlace, human: _Human) -> IdentityRef:
    if human.kind is IdentityKind.PHONE:
        return IdentityRef(human.kind, human.phone)
    if human.kind is IdentityKind.UNIONID:
        return IdentityRef(human.kind, f"u{human.number:07d}", _OPEN_PLATFORM)
    return IdentityRef(human.kind, f"o{human.number:07d}", place.spec.accounts[0].app_id)


async def load_fans(
    database: Database, vault: Vault, group: DemoGroup, count: int, progress: Progress
) -> list[list[DemoFan]]:
    """Make the fans that are not there yet, and return each brand's fans in the order of the plan."""
    made: list[list[DemoFan]] = []
    done = 0
    for place, plan in zip(group.brands, plan_fans(group, count), strict=True):
        known: dict[IdentityRef, int] = {}
        for batch in batches(plan):
            async with database.writing(group.scope) as session:
                known |= await resolve_fans(session, vault, place.row, batch)
            done += len(batch)
            progress.advance("fans", done, count)
        made.append([DemoFan(known[new.identity], new) for new in plan])
    return made
