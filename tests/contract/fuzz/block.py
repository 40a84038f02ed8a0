"""A block of cases on one world: asked of every executor, compared, and counted."""

import json
import random
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import orjson
from graphql import GraphQLSchema
from sqlalchemy import select

from domain import clock
from domain.audit import AuditEntry
from domain.scope import system_scope
from domain.tables import table_of
from schema import fan_schema, staff_schema
from tests.contract.fuzz.callers import Callers, is_fan, is_of_broken_group
from tests.contract.fuzz.operations import Maker, Operation, Request, first_pages, is_sound, pages_of, request_of
from tests.contract.fuzz.pools import Pools, Root
from tests.contract.fuzz.stage import Actor, Answer, Work

NOW = datetime(2026, 7, 1, 12, 0, 0, 345_000, tzinfo=UTC)
READERS = ("HQ1", "D1")
SERVICES = ("SERVICE", "KEY")
ROWS = (
    "query($id: ID!) { fan(id: $id) { id nickname } }",
    "query($id: ID!) { fan(id: $id) { city brand { name } tags { name weight } lastOrders(first: 2) { number } } }",
)
REMEMBERED = 40
AT_ONCE = 8
# a statement is compiled for what is asked a second time, and used again by the third, which comes with others
TURNS = {"look_ahead": 2, "compiled": 1}
PHONES = Operation("{ fans(first: 50) { nodes { phone } } }", None, None, sound=True)
LISTS = ("fans", "orders", "tags", "brands", "dealers", "stores", "cascades", "channelAccounts")
# what a caller sees, asked for once, so that most of what they ask for later is there
LOOK = Operation(
    f"{{ {' '.join(f'{name}(first: 30) {{ nodes {{ id }} }}' for name in LISTS)} }}",
    None,
    None,
    sound=True,
    roots=[Root(name, name) for name in LISTS],
)
SCHEMAS: dict[bool, GraphQLSchema] = {False: staff_schema()._schema, True: fan_schema()._schema}


@dataclass
class Tally:
    """What came of the cases; what is `sound` should be answered, what is `clean` was, without an error."""

    sound: int = 0
    answered: int = 0
    clean: int = 0
    # of the clean queries: all, those that graphql-core had no part in, those with a field that one statement answered
    asked: int = 0
    fast: Counter[str] = field(default_factory=Counter)
    ahead: Counter[str] = field(default_factory=Counter)
    # rows that a service known from before was answered without being looked up, and pages that were read together
    known: int = 0
    paged: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    # faults of ours that no broken row explains
    faults: list[str] = field(default_factory=list)
    reordered: int = 0
    # what is shown of them, by request
    differences: dict[str, str] = field(default_factory=dict)


class Block:
    """Asks, compares and counts. The last of the applications is the reference."""

    def __init__(self, actors: Sequence[Actor], callers: Callers, work: Work) -> None:
        *self.actors, self.reference = actors
        self.callers = callers
        self.work = work
        self.tally = Tally()
        self.earlier: dict[bool, list[Operation]] = {False: [], True: []}
        self.together: list[tuple[Request, Answer]] = []

    async def run(self, seed: str, cases: int, pools: Pools) -> None:
        """Run the block's cases. Reading a phone is recorded, so the log is asked for before that and not after."""
        rng = random.Random(seed)
        await self.each(rng, first_pages(SCHEMAS[False]), pools)
        await self.half(rng, "phone", cases // 2, pools)
        await self.each(rng, [PHONES], pools)
        await self.half(rng, "auditLog", cases - cases // 2, pools)
        await self.rows()
        await self.pages(pools)

    async def each(self, rng: random.Random, operations: Sequence[Operation], pools: Pools) -> None:
        for who, operation in product(READERS, operations):
            await self.case(request_of(rng, who, operation), operation, pools)

    async def rows(self) -> None:
        """Have services ask for rows that all of them see, so that some of what is answered is of who is known."""
        ids = [self.callers.world.id("Fan", f"g1/b1/d1#{number}") for number in (1, 2, 3)]
        asked = [json.dumps({"query": query, "variables": {"id": one}}) for query, one in product(ROWS, ids)]
        self.together = [
            (request, await self.ask(self.reference, request))
            for request in (Request("HQ1", "/graphql", body) for body in asked)
        ]
        for actor, (request, expected) in product(self.actors, self.together):
            await self.turns(actor, request, expected)
        await self.ask_together()

    async def pages(self, pools: Pools) -> None:
        """Have pages of each list asked for at once, where they are read together."""
        if self.reference.database.dialect != "postgresql":
            return
        for who, (query, cursors) in product(READERS, pages_of(pools.cursors)):
            for cursor in cursors[:AT_ONCE]:
                request = Request(who, "/graphql", json.dumps({"query": query, "variables": {"cursor": cursor}}))
                self.together.append((request, await self.ask(self.reference, request)))
            await self.ask_together()

    async def half(self, rng: random.Random, without: str, cases: int, pools: Pools) -> None:
        makers = {fan: Maker(schema, rng, pools, frozenset({without})) for fan, schema in SCHEMAS.items()}
        self.earlier = {False: [], True: []}
        for number in range(cases):
            who = self.callers.any(rng)
            if not is_fan(who) and who not in pools.seen:
                pools.seen[who] = {}
                await self.case(Request(who, "/graphql", json.dumps({"query": LOOK.query})), LOOK, pools)
            operation = self.operation(rng, makers[is_fan(who)], who)
            # those that are asked at once later are asked of one moment
            await self.case(request_of(rng, who, operation, after=number - number % AT_ONCE), operation, pools)
        await self.ask_together()

    def operation(self, rng: random.Random, maker: Maker, who: str) -> Operation:
        """Make an operation, or take an earlier one again: for another caller, or with other variables."""
        earlier = self.earlier[is_fan(who)]
        if earlier and rng.random() < 0.3:
            return maker.again(rng.choice(earlier[-REMEMBERED:]), who)
        made = maker.operation(who)
        if made.sound:
            earlier.append(made)
        return made

    async def case(self, request: Request, operation: Operation, pools: Pools) -> None:
        """Send one request to all, compare, and learn from the answer."""
        if request.may_change or len(self.together) == AT_ONCE:
            await self.ask_together()
        expected = await self.ask(self.reference, request)
        ways = {actor.executor: await self.turns(actor, request, expected) for actor in self.actors}
        found = expected.json() if expected.is_json else {}
        if is_sound(request, operation) and expected.status != 401:
            self.count(operation, found, ways)
        # said by an error: introspection names the code too
        codes = {error["extensions"]["code"] for error in found.get("errors", ())}
        if "INTERNAL" in codes and not is_of_broken_group(request.who):
            self.tally.faults.append(self.told(request, self.reference, expected))
        if "data" in found:
            pools.learn(request.who, operation.roots, found["data"])
        if not request.may_change:
            self.together.append((request, expected))

    async def turns(self, actor: Actor, request: Request, expected: Answer) -> Work:
        """Ask as often as this executor needs to go its fastest way, and return who answered the last time."""
        turns = 1 if request.may_change else TURNS[actor.executor]
        work = Work()
        for _ in range(turns):
            before = replace(self.work)
            self.compare(request, actor, await self.ask(actor, request), expected)
            work = self.work.since(before)
        return work

    async def ask(self, actor: Actor, request: Request) -> Answer:
        """Ask at the request's moment; once more where the machine was too busy to answer in time."""
        with clock.at(NOW + timedelta(seconds=request.after)):
            token = self.callers.token(request.who)
            answer = await actor.answer(request, token)
            return await actor.answer(request, token) if _is_late(request, answer) else answer

    async def ask_together(self) -> None:
        """Ask all that was asked since something changed once more, at the same time."""
        again, self.together = self.together, []
        again += await self.by_services([request for request, _ in again])
        for after in sorted({request.after for request, _ in again}):
            same = [one for one in again if one[0].after == after]
            for actor in self.actors:
                with clock.at(NOW + timedelta(seconds=after)):
                    asked = [(request, self.callers.token(request.who)) for request, _ in same]
                    before = replace(self.work)
                    answers = await actor.answer_together(asked)
                    done = self.work.since(before)
                    self.tally.known += done.by_known
                    self.tally.paged += done.by_pages
                for answer, (request, expected) in zip(answers, same, strict=True):
                    found = await self.ask(actor, request) if _is_late(request, answer) else answer
                    self.compare(request, actor, found, expected)

    async def by_services(self, requests: Sequence[Request]) -> list[tuple[Request, Answer]]:
        """Have services ask for the same rows by ids, so often that they are known and what they ask is compiled."""
        rows = [request for request in requests if any(actor.knows_row(request) for actor in self.actors)]
        found = []
        for request in (replace(row, who=who) for row, who in product(rows, SERVICES)):
            expected = await self.ask(self.reference, request)
            for actor in self.actors:
                await self.turns(actor, request, expected)
            found.append((request, expected))
        return found

    def compare(self, request: Request, actor: Actor, answer: Answer, expected: Answer) -> None:
        if answer == expected:
            return
        if answer.in_order() == expected.in_order():
            self.tally.reordered += 1
            return
        told = self.told(request, actor, answer)
        self.tally.differences.setdefault(f"{actor.executor} {request}", f"{told}\nThe reference:\n  {expected}")

    def told(self, request: Request, actor: Actor, answer: Answer) -> str:
        """Tell what was answered to what, and how to ask it again."""
        tests = Path(__file__).parents[1].relative_to(Path(__file__).parents[3])
        return (
            f"{actor.executor} answers {request.who} at {request.path}:\n  {answer}\nto:\n  "
            f"{request.body or request.query_string}\nAsk again: SCRM_FUZZ_REPLAY={shlex.quote(request.dump())} "
            f"pytest {tests}/test_executor_fuzz.py -k again"
        )

    def count(self, operation: Operation, found: Any, ways: Mapping[str, Work]) -> None:
        tally = self.tally
        tally.sound += 1
        tally.answered += "data" in found
        tally.codes.update({error["extensions"]["code"] for error in found.get("errors", ())})
        if "data" in found and "errors" not in found:
            tally.clean += 1
            if not operation.mutates:
                tally.asked += 1
                tally.fast.update(name for name, work in ways.items() if not work.by_reference)
                tally.ahead.update(name for name, work in ways.items() if work.by_statement)

    async def readings(self) -> list[set[tuple[str, str, int]]]:
        """Return whose phones and identities were read in the clear, and by whom, as each application recorded it."""
        log = table_of(AuditEntry)
        wanted = select(log.c.principal, log.c.detail).where(log.c.action == "fan:read_personal")
        found = []
        for actor in [*self.actors, self.reference]:
            async with actor.database.reading(system_scope("test")) as session:
                rows = (await session.execute(wanted)).all()
            read = [(row.principal, kind, row.detail.get(kind, ())) for row in rows for kind in ("fans", "persons")]
            found.append({(principal, kind, one) for principal, kind, ids in read for one in ids})
        return found


def _is_late(request: Request, answer: Answer) -> bool:
    """Tell whether the machine was too busy to answer in time, which may be asked again."""
    return b'"TIMEOUT"' in answer.body and not request.may_change


def shown(tally: Tally) -> str:
    """Say what came of a block."""
    counts = {name: value for name, value in vars(tally).items() if name not in ("differences", "faults")}
    return orjson.dumps(counts).decode()
