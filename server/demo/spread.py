"""How word spread: share cascades of very different size, and who brought whom."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

from domain.database import Database
from domain.referrals.service import NewReferral, record_referrals
from domain.shares.service import ShareInput, record_shares
from domain.vault import Vault
from server.demo.batching import batches
from server.demo.catalogue import BRANDS, MOMENT
from server.demo.people import DemoFan
from server.demo.tenancy import BrandPlace, DemoGroup
from server.progress import Progress

CASCADES, SHARES, REFERRALS = 300, 8_000, 4_000
SOURCE = "mini_program"
_CHANNELS = {"CHAT": 45, "GROUP_CHAT": 25, "MOMENTS": 20, "POSTER": 10}


async def load_shares(
    database: Database,
    vault: Vault,
    group: DemoGroup,
    crowds: Sequence[Sequence[DemoFan]],
    scale: float,
    progress: Progress,
) -> None:
    """Record the cascades; shares that are there already stay as they are."""
    plans = _plan_shares(group, crowds, scale)
    done, total = 0, sum(map(len, plans))
    for place, plan in zip(group.brands, plans, strict=True):
        for batch in batches(plan):
            async with database.writing(group.scope) as session:
                await record_shares(session, vault, place.row, SOURCE, batch)
            done += len(batch)
            progress.advance("shares", done, total)


def _plan_shares(group: DemoGroup, crowds: Sequence[Sequence[DemoFan]], scale: float) -> list[list[ShareInput]]:
    random = Random("demo shares")
    plans: list[list[ShareInput]] = [[] for _ in group.brands]
    for number, size in enumerate(_sizes(max(1, round(CASCADES * scale)), round(SHARES * scale))):
        index = number % len(plans)
        place, crowd = group.brands[index], crowds[index]
        if crowd:
            plans[index] += _cascade(random, place, crowd, number, min(size, len(crowd) - 1))
    return plans


def _sizes(count: int, total: int) -> list[int]:
    """Return how many shares each cascade has: the n-th largest about 1/n of the largest, never none."""
    weights = [rank**-0.9 for rank in range(1, count + 1)]
    return [max(1, int(total * weight / sum(weights))) for weight in weights]


def _cascade(random: Random, place: BrandPlace, crowd: Sequence[DemoFan], number: int, size: int) -> list[ShareInput]:
    code = f"{place.spec.code}-{number:03d}"
    seed = crowd[int(len(crowd) * random.random() ** 6)] if number >= len(BRANDS) else crowd[0]
    reached = [fan for fan in random.sample(list(crowd), min(size + 1, len(crowd))) if fan.id != seed.id][:size]
    members = [(seed, MOMENT - timedelta(days=2 + 118 * random.random()))]
    shares = []
    for fan in reached:
        # the first who share bring most; the rest is chance
        sharer, at = members[int(len(members) * random.random() ** 1.8)]
        moment = _later(random, at)
        channel = random.choices(list(_CHANNELS), list(_CHANNELS.values()))[0]
        shares.append(ShareInput(code, sharer.identity, fan.identity, moment, channel))
        members.append((fan, moment))
    return shares


def _later(random: Random, at: datetime) -> datetime:
    # some share at once and few after days; nobody after the demo's day
    delay = timedelta(hours=0.05 + 60 * random.random() ** 4)
    return min(at + delay, at + (MOMENT - at) / 2)


async def load_referrals(
    database: Database, group: DemoGroup, crowds: Sequence[Sequence[DemoFan]], scale: float, progress: Progress
) -> None:
    """Record who brought whom; a fan who has a referrer keeps them."""
    plans = [
        _plan_referrals(place, crowd, round(REFERRALS * scale * place.spec.share / 100))
        for place, crowd in zip(group.brands, crowds, strict=True)
    ]
    done, total = 0, sum(map(len, plans))
    for place, plan in zip(group.brands, plans, strict=True):
        for batch in batches(plan):
            async with database.writing(group.scope) as session:
                await record_referrals(session, place.row, batch)
            done += len(batch)
            progress.advance("referrals", done, total)


def _plan_referrals(place: BrandPlace, crowd: Sequence[DemoFan], count: int) -> list[NewReferral]:
    """Let fans be brought by earlier ones, half of the time by one who was brought themselves."""
    random = Random(f"demo referrals {place.spec.code}")
    earliest = sorted(crowd, key=lambda fan: (fan.plan.followed_at or MOMENT, fan.identity.value))
    positions = sorted(random.sample(range(1, len(earliest)), min(count, max(0, len(earliest) - 1))))
    brought: list[DemoFan] = []
    plan = []
    for position in positions:
        pool = brought if brought and random.random() < 0.5 else earliest[:position]
        referrer = pool[int(len(pool) * random.random() ** 1.6)]
        invitee = earliest[position]
        plan.append(NewReferral(referrer.id, invitee.id, invitee.plan.followed_at))
        brought.append(invitee)
    return plan
