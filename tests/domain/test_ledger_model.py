"""Whatever is done to the ledger, in any order, again, crashed or two at once, ends as a plain model says (M20, M21).

The model (`tests/plain_ledger.py`) knows nothing of the product. After every step each fan's balances, lots, growth and
level are the model's, the answers too, the books add up and the chain holds. SCRM_TEST_RUNS says how many programs are
tried a policy.
"""

import asyncio
import copy
import dataclasses
import itertools
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain import clock
from domain.errors import Conflict, DomainError
from domain.fans.models import Fan
from domain.fans.service import NewFan, resolve_fans
from domain.levels.definitions import NewLadder, NewLevel, set_ladder
from domain.levels.models import Demotion, FanLevel, Level
from domain.persons.merging import Wanted
from domain.persons.models import MergeReason, Side
from domain.persons.review import merge_by_hand
from domain.persons.unmerging import unmerge
from domain.points.ledger import service as ledger
from domain.points.ledger.accounts import accounts, lots
from domain.points.ledger.adjusting import Adjustment, adjust
from domain.points.ledger.audit import audit_accounts
from domain.points.ledger.book import transfers
from domain.points.ledger.rules import ClawBack, ClawedBack, Earn, Posted, Spend
from domain.points.ledger.sealing import seals
from domain.points.ledger.verifying import slipped_in, verify_chain
from domain.points.programme.models import ClawBackPolicy, ExpiryPolicy
from domain.points.programme.queries import programme_of, programmes
from domain.points.sealer import Sealer
from domain.tables import table_of
from domain.tenancy.models import Brand
from tests.cast import EVERYTHING
from tests.plain_ledger import Answer, PlainLedger, Refused
from tests.world import World, person

RUNS = int(os.environ.get("SCRM_TEST_RUNS", "8"))
START = datetime(2026, 10, 30, 15, 30, tzinfo=UTC)
FANS = ("a", "b", "c")
LADDER = {"BASE": 0, "BRONZE": 10, "SILVER": 40}
# two at once may be in each other's way, and are told to come again
PATIENCE = 20
# tenths of a second
SEALED_AFTER = 600
# so many orders that two at once may have had are followed; a program that leaves open more ends there
MODELS = 32
# a program is read as it is, and to make a shorter one of it takes minutes
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
brands, fans, levels, fan_levels = table_of(Brand), table_of(Fan), table_of(Level), table_of(FanLevel)
numbers = itertools.count(1)


@dataclass(frozen=True)
class Call:
    """One operation with everything it takes: the model and the product have a method of this name each."""

    name: str
    given: Mapping[str, Any]

    @property
    def is_keyed(self) -> bool:
        return self.name not in ("adjust", "release", "expire", "merge", "unmerge")


@dataclass(frozen=True)
class Step:
    """What is done next; which of the things done before it is about is counted from the last."""

    kind: str
    fan: str
    other: str
    points: int
    growth: int
    days: int
    which: int


@dataclass(frozen=True)
class Turn:
    """A step and what befalls it; two at once where there is another, and time going by where there are days."""

    step: Step
    fate: str
    beside: Step | None
    days: int


KINDS: tuple[str, ...] = (
    *("earn", "earn", "spend", "hold", "post_hold", "void_hold", "claw_back", "claw_back", "reverse", "adjust"),
    *("release", "expire", "merge", "merge", "unmerge", "unmerge", "again"),
)
SWEEPS, ONE_BY_ONE = {"release", "expire"}, {"merge", "unmerge", "release", "expire"}
# what is done instead where there is nothing to do it to
INSTEAD = {"post_hold": "hold", "void_hold": "hold", "unmerge": "merge", "merge": "earn"}
STEP = st.builds(
    Step,
    st.sampled_from(KINDS),
    st.sampled_from("aabbc"),
    st.sampled_from("aabbc"),
    st.integers(0, 40),
    st.integers(0, 30),
    st.sampled_from((0, 0, 1, 15)),
    st.sampled_from((0, 0, 0, 1, 1, 2, 3, 4, 5)),
)
TURN = st.builds(
    Turn,
    STEP,
    st.sampled_from(("done", "done", "crashed", "answer lost")),
    st.one_of(st.none(), st.none(), st.none(), STEP),
    st.sampled_from((0, 0, 0, 0, 0, 1, 16, 40)),
)
RULES = st.tuples(
    st.sampled_from(("Asia/Shanghai", "America/New_York")),
    st.sampled_from(((ExpiryPolicy.NEVER, None), (ExpiryPolicy.ROLLING_MONTHS, 1), (ExpiryPolicy.END_OF_YEAR, None))),
)


class Crash(Exception):
    """The process ends before it commits."""


@dataclass
class Product:
    """The product's ledger of a brand of its own, asked as the model is."""

    world: World
    brand_id: int = 0
    fans: dict[str, int] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    adjusted: dict[int, int] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)
    sealer: Sealer | None = None

    @classmethod
    async def made(cls, world: World, zone: str, expiry: ExpiryPolicy, months: int | None, claw: Any) -> "Product":
        made, group, run = cls(world), world.nodes["g1"], f"model {next(numbers)}"
        async with world.services.database.writing(EVERYTHING) as session:
            place = {"group_id": group, "code": run, "name": run, "time_zone": zone}
            brand: Any = (await session.execute(insert(brands).values(**place).returning(brands))).one()
            rules = {"expiry": expiry.value, "expiry_months": months, "claw_back": claw.value}
            await session.execute(insert(programmes).values(brand_id=brand.id, group_id=group, **rules))
            steps = [NewLevel(code, code, growth) for code, growth in LADDER.items()]
            await set_ladder(session, "test", brand, NewLadder(brand.id, steps, Demotion.AT_ONCE))
            wanted = {fan: person(f"{run} {fan}") for fan in FANS}
            found = await resolve_fans(session, world.services.vault, brand, [NewFan(ref) for ref in wanted.values()])
            made.brand_id, made.fans = brand.id, {fan: found[ref] for fan, ref in wanted.items()}
            of = select(fans.c.id, fans.c.person_id).where(fans.c.brand_id == brand.id)
            people = {row.id: row.person_id for row in await session.execute(of)}
            made.people = {fan: people[number] for fan, number in made.fans.items()}
        return made

    async def do(self, call: Call, now: datetime, *, crash: bool = False) -> Answer | str:
        """Return what the product answers, or the code it refuses with."""
        for _ in range(PATIENCE):
            try:
                with clock.at(now):
                    return await self._once(call, crash=crash)
            except Conflict as refusal:
                if type(refusal) is not Conflict:
                    return refusal.code
            except DomainError as refusal:
                return refusal.code
        raise AssertionError("the product says again and again that another was faster")

    async def _once(self, call: Call, *, crash: bool) -> Answer:
        async with self.world.services.database.writing(EVERYTHING) as session:
            programme = await programme_of(session, self.brand_id)
            said = await getattr(self, f"_{call.name}")(session, programme, **call.given)
            if crash:
                raise Crash
        if isinstance(said, Posted):
            return (said.points, said.growth, said.balance, said.growth_balance)
        if isinstance(said, ClawedBack):
            numbers = {name: value for name, value in vars(said).items() if name != "posted"}
            return tuple(numbers.values())
        return ()

    async def _earn(
        self, session: AsyncSession, programme: Any, fan: str, source: str, points: int, growth: int, days: int
    ) -> Posted:
        day = clock.now() + timedelta(days=days) if days else None
        wanted = Earn(self.fans[fan], source, points, growth, available_at=day)
        return (await ledger.earn(session, programme, [wanted], actor="test"))[0]

    async def _spend(self, session: AsyncSession, programme: Any, fan: str, source: str, points: int) -> Posted:
        return await ledger.spend(session, programme, Spend(self.fans[fan], points, source), actor="test")

    async def _hold(self, session: AsyncSession, programme: Any, fan: str, source: str, points: int) -> Posted:
        return await ledger.hold(session, programme, Spend(self.fans[fan], points, source), actor="test")

    async def _post_hold(self, session: AsyncSession, programme: Any, of: str) -> Posted:
        return await ledger.post_hold(session, programme, hold_id=await self._id(session, of), actor="test")

    async def _void_hold(self, session: AsyncSession, programme: Any, of: str) -> Posted:
        hold_id = await self._id(session, of)
        return await ledger.void_hold(session, programme, hold_id=hold_id, actor="test", reason="")

    async def _claw_back(
        self, session: AsyncSession, programme: Any, of: str, source: str, points: int, growth: int
    ) -> ClawedBack:
        wanted = ClawBack(await self._source(session, of), source, points, growth)
        return await ledger.claw_back(session, programme, wanted, actor="test")

    async def _reverse(self, session: AsyncSession, programme: Any, of: str) -> Posted:
        wanted = await self._source(session, of)
        return await ledger.reverse(session, programme, of=wanted, reason="", actor="test")

    async def _adjust(
        self, session: AsyncSession, programme: Any, fan: str, number: int, points: int, growth: int
    ) -> None:
        wanted = Adjustment(self.fans[fan], "test", points, growth)
        self.adjusted[number] = await adjust(session, programme, wanted, actor="test")

    async def _release(self, session: AsyncSession, programme: Any) -> None:
        await ledger.release_due(session, 1_000)

    async def _expire(self, session: AsyncSession, programme: Any) -> None:
        await ledger.expire_due(session, 1_000)

    async def _merge(self, session: AsyncSession, programme: Any, into: str, gone: str, number: int) -> None:
        wanted = Wanted(self.people[into], self.people[gone], MergeReason.MANUAL)
        self.merged[number] = await merge_by_hand(session, programme.group_id, wanted, principal="test")

    async def _unmerge(self, session: AsyncSession, programme: Any, number: int, absorbed: bool) -> None:
        later = Side.ABSORBED if absorbed else Side.SURVIVOR
        await unmerge(session, programme.group_id, self.merged[number], later=later, principal="test")

    async def _source(self, session: AsyncSession, of: str) -> str:
        """Return the product's name of what the model calls `end:…` or `adjust:…`."""
        kind, _, name = of.partition(":")
        if kind == "adjust":
            return f"~adjust:{self.adjusted[int(name)]}"
        return f"~end:{await self._id(session, name)}" if kind == "end" else of

    async def _id(self, session: AsyncSession, source: str) -> int:
        named = (transfers.c.brand_id == self.brand_id, transfers.c.source == source)
        return int((await session.execute(select(transfers.c.id).where(*named))).scalar_one())

    async def agreeing(self, models: Sequence[PlainLedger]) -> list[PlainLedger]:
        """Return the models that say what is seen of the brand's points: there must be one, and the books be right."""
        seen = await self._seen()
        found = [model for model in models if self._expected(model) == seen]
        assert found or seen == self._expected(models[0])
        async with self.world.services.database.reading(EVERYTHING) as session:
            assert (await audit_accounts(session, self.brand_id)).differences == ()
        await self._seal()
        return found

    async def all_sealed(self) -> bool:
        """Seal what is left, and tell whether the chain has a link of every transfer.

        A fence is past when whoever was writing on the server has ended, tests in other databases of it included.
        """
        written = select(func.count()).where(transfers.c.brand_id == self.brand_id)
        async with self.world.services.database.reading(EVERYTHING) as session:
            expected = (await session.execute(written)).scalar_one()
        for _ in range(SEALED_AFTER):
            if await self._seal() >= expected:
                break
            await asyncio.sleep(0.1)
        return await self._seal() == expected

    async def _seal(self) -> int:
        """Seal what was written until the last step, and make the chain again: every line stands as it was written."""
        services = self.world.services
        self.sealer = self.sealer or Sealer(services.database, services.vault)
        await self.sealer.run_once()
        async with services.database.reading(EVERYTHING) as session:
            chain = await verify_chain(session, services.vault, self.brand_id)
            assert chain.faults == ()
            upto = (await session.execute(select(func.max(seals.c.transfer_id)))).scalar() or 0
            assert await slipped_in(session, after=max(0, upto - 200), upto=upto, limit=1) == []
        return chain.count

    def _expected(self, model: PlainLedger) -> dict[str, Any]:
        said = [source for source in model.said if not source.startswith(("end:", "reverse:"))]
        reached = {
            fan: max(needed for needed in LADDER.values() if needed <= has) for fan, has in model.growth().items()
        }
        return {
            "balances": {fan: has for fan, has in model.balances().items() if any(has)},
            "lots": dict(model.lots()),
            "sources": sorted(said),
            "levels": {fan: level for fan, level in reached.items() if level},
            "told wrong": [],
        }

    async def _seen(self) -> dict[str, Any]:
        names = {number: fan for fan, number in self.fans.items()}
        async with self.world.services.database.reading(EVERYTHING) as session:
            has = await ledger.balances_by_fan(session, self.fans.values())
            stands = (accounts.c.fan_id, accounts.c.former, lots.c.granted_at, lots.c.expires_at)
            left = select(*stands, func.sum(lots.c.remaining)).join_from(accounts, lots)
            mine = (accounts.c.brand_id == self.brand_id, lots.c.remaining > 0)
            ends = (await session.execute(left.where(*mine).group_by(*stands))).all()
            natural = (transfers.c.brand_id == self.brand_id, transfers.c.source.not_like("~%"))
            sources = (await session.execute(select(transfers.c.source).where(*natural))).scalars().all()
            held = select(fan_levels.c.fan_id, levels.c.growth).join(levels, levels.c.id == fan_levels.c.level_id)
            stood = (await session.execute(held.where(fan_levels.c.brand_id == self.brand_id))).all()
            return {
                "balances": {names[fan]: _told(one) for fan, one in has.items() if any(_told(one))},
                "lots": {(names[fan], *where): int(points) for fan, *where, points in ends},
                "sources": sorted(sources),
                "levels": {names[fan]: growth for fan, growth in stood},
                "told wrong": await self._told_wrong(session),
            }

    async def _told_wrong(self, session: AsyncSession) -> list[int]:
        """Return the accounts whose last line does not say the balances they have."""
        of = transfers.alias("of")
        last = select(func.max(of.c.id)).where(of.c.account_id == accounts.c.id).scalar_subquery()
        joined = accounts.join(transfers, transfers.c.id == last)
        differs = (transfers.c.balance != accounts.c.spendable + accounts.c.debt) | (
            transfers.c.growth_balance != accounts.c.growth
        )
        mine = select(accounts.c.id).select_from(joined).where(accounts.c.brand_id == self.brand_id, differs)
        return list((await session.execute(mine)).scalars())


def _told(one: Any) -> Answer:
    return (one.spendable, one.held, one.pending, one.debt, one.growth, one.growth_pending, one.spent, one.expired)


def call_of(step: Step, model: PlainLedger, before: Sequence[Call], number: int) -> Call | None:
    """Return the operation a step means now, or one like it where there is nothing it could be about, or None."""
    meant = _meant(step, model, before, number)
    if meant is None:
        other = dataclasses.replace(step, kind=INSTEAD.get(step.kind, "earn"), points=step.points or 7)
        meant = _meant(other, model, before, number)
    return meant


def _meant(step: Step, model: PlainLedger, before: Sequence[Call], number: int) -> Call | None:
    source = {"source": f"{step.kind} {number}"}
    match step.kind:
        case "again":
            keyed = [call for call in before if call.is_keyed]
            return _of(keyed, step) if keyed else None
        case "earn" | "adjust":
            own = source | {"days": step.days} if step.kind == "earn" else {"number": number}
            return _giving(step, own)
        case "spend" | "hold":
            # all there is, or as it comes
            points = (step.which == 0 and model.free(step.fan)) or step.points
            return Call(step.kind, {"fan": step.fan, "points": points, **source}) if points > 0 else None
        case "merge" | "unmerge":
            return _merging(step, model)
        case "release" | "expire":
            return Call(step.kind, {})
    return _about(step, model, source)


def _giving(step: Step, own: dict[str, Any]) -> Call | None:
    points, growth = step.points, step.growth
    if step.kind == "adjust":
        signs = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 1), (-1, 1))[step.which]
        points, growth = points * signs[0], growth * signs[1]
    return Call(step.kind, {"fan": step.fan, "points": points, "growth": growth, **own}) if points or growth else None


def _merging(step: Step, model: PlainLedger) -> Call | None:
    if step.kind == "unmerge":
        wanted = (
            {"number": _of(range(len(model.merges)), step), "absorbed": bool(step.points % 2)} if model.merges else {}
        )
        return Call(step.kind, wanted) if wanted else None
    into, gone = model.name(step.fan), model.name(step.other)
    return Call(step.kind, {"into": into, "gone": gone, "number": len(model.merges)}) if into != gone else None


def _about(step: Step, model: PlainLedger, source: dict[str, Any]) -> Call | None:
    """Return an operation on something that was given, spent or held before."""
    held = [of for of in model.taken if of.startswith("hold")]
    choice = {"claw_back": list(model.given), "reverse": [*model.given, *model.taken]}.get(step.kind, held)
    if not choice:
        return None
    of = _of(choice, step)
    if step.kind != "claw_back":
        return Call(step.kind, {"of": of})
    points, growth = model.given[of].points * (step.points % 6) // 4, model.given[of].growth * (step.growth % 6) // 4
    return Call(step.kind, {"of": of, "points": points, "growth": growth, **source}) if points or growth else None


def _of(things: Sequence[Any], step: Step) -> Any:
    return things[-1 - step.which % len(things)]


def said_by(model: PlainLedger, call: Call, now: datetime) -> tuple[PlainLedger, Answer | str]:
    """Return the model after the operation and what it answers; as it was, and why, where it refuses."""
    after = copy.deepcopy(model)
    try:
        return after, getattr(after, call.name)(now, **call.given)
    except Refused as refusal:
        return model, str(refusal)


async def play(product: Product, model: PlainLedger, turns: Sequence[Turn]) -> None:
    """Do the turns to both and hold one to the other after each.

    After two at once both orders may look the same and differ in what comes of it later: then both are gone on with.
    """
    now, before, models = START, list[Call](), [model]
    for number, turn in enumerate(turns):
        now += timedelta(days=turn.days, minutes=1)
        call = call_of(turn.step, models[0], before, number)
        if call is None:
            continue
        beside = None if turn.beside is None else call_of(turn.beside, models[0], before, number + len(turns))
        note(f"{now:%m-%d %H:%M} {turn.fate}: {call}" + (f" beside {beside}" if beside else ""))
        if turn.fate == "crashed":
            with suppress(Crash):
                await product.do(call, now, crash=True)
            models = await product.agreeing(models)
        if beside is None or {call.name, beside.name} <= ONE_BY_ONE:
            models = await in_turn(product, models, call, now, twice=turn.fate == "answer lost" and call.is_keyed)
        else:
            models = await at_once(product, models, call, beside, now)
        before += [call] if beside is None else [call, beside]
        if len(models) > MODELS:
            return


async def in_turn(
    product: Product, models: Sequence[PlainLedger], call: Call, now: datetime, *, twice: bool
) -> list[PlainLedger]:
    """Do one, again where its answer was lost, and return the models that say what the product does."""
    said = [await product.do(call, now) for _ in range(1 + twice)]
    found = [said_by(model, call, now) for model in models]
    assert any(said == [answer] * len(said) for _, answer in found), (said, [answer for _, answer in found])
    return await product.agreeing([model for model, answer in found if said == [answer] * len(said)])


async def at_once(
    product: Product, models: Sequence[PlainLedger], one: Call, other: Call, now: datetime
) -> list[PlainLedger]:
    """Do two at once, and return the models after whichever order it was that the product did them in.

    What is done when its day comes leaves alone what another is at, and comes again.
    """
    later = now + timedelta(seconds=1)
    said = list(await asyncio.gather(product.do(one, now), product.do(other, later)))
    sweeps = [call for call in (one, other) if call.name in SWEEPS]
    for sweep in sweeps:
        await product.do(sweep, later)
    found = []
    for model in models:
        half, first = said_by(model, one, now)
        after, second = said_by(half, other, later)
        found.append((after, [first, second]))
        half, second = said_by(model, other, later)
        after, first = said_by(half, one, now)
        found.append((after, [first, second]))
    assert any(answers == said for _, answers in found), (said, [answers for _, answers in found])
    return await product.agreeing([_swept(after, sweeps, later) for after, answers in found if answers == said])


def _swept(model: PlainLedger, sweeps: Sequence[Call], now: datetime) -> PlainLedger:
    for sweep in sweeps:
        model, _ = said_by(model, sweep, now)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("policy", ClawBackPolicy)
@settings(
    max_examples=RUNS,
    phases=PHASES,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(RULES, st.lists(TURN, min_size=10, max_size=30))
async def test_the_ledger_does_what_the_model_does(
    world: World, policy: ClawBackPolicy, rules: tuple[str, tuple[ExpiryPolicy, int | None]], turns: list[Turn]
) -> None:
    zone, (expiry, months) = rules

    with clock.at(START):
        product = await Product.made(world, zone, expiry, months, policy)
    model = PlainLedger(ZoneInfo(zone), expiry.value, months or 0, policy.value)

    await play(product, model, turns)
    assert await product.all_sealed()
