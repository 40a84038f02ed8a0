"""The fans: who they are, decided before anything is written, and how they come into the brands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from domain.database import Database
from domain.fans.models import Gender
from domain.fans.service import NewFan, resolve_fans
from domain.persons.models import IdentityKind
from domain.persons.service import IdentityRef
from domain.vault import Vault
from server.demo.batching import BATCH, batches
from server.demo.catalogue import ELSEWHERE, MOMENT
from server.demo.tenancy import BrandPlace, DealerPlace, DemoGroup
from server.progress import Progress

FANS = 20_000
TWO_BRANDS = 0.15
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
    phone: str | None
    kind: IdentityKind


def plan_fans(group: DemoGroup, count: int) -> list[list[NewFan]]:
    """Return the fans of each brand, `count` in all; about one person in seven is a fan of two brands."""
    from server.demo.names import nickname

    random = Random("demo fans")  # noqa: S311 - the same people on every machine, nothing secret
    plans: list[list[NewFan]] = [[] for _ in group.brands]
    weights = [place.spec.share for place in group.brands]
    left, number = count, 0
    while left:
        number += 1
        first = random.choices(range(len(plans)), weights)[0]
        chosen = [first]
        if random.random() < TWO_BRANDS and left > 1:
            chosen.append(random.choice([index for index in range(len(plans)) if index != first]))
        gender = random.choices([Gender.FEMALE, Gender.MALE, Gender.UNKNOWN], [50, 44, 6])[0]
        human = _human(random, number, gender, nickname(random, gender), is_shared=len(chosen) > 1)
        for index in chosen:
            plans[index].append(_fan(random, group.brands[index], human))
        left -= len(chosen)
    return plans
