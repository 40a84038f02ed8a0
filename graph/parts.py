"""The three parts of the projection, each with both its ends: the SQL rows it comes from and what the graph keeps."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from domain.database import Database
from domain.outbox import projection
from domain.outbox.delivery import Pending
from domain.outbox.projection import FanState, ReferralState, ShareState
from domain.scope import Scope, system_scope
from graph.driver import Graph
from graph.edges import EdgeKind, bury_edges, delete_edges, stream_edges
from graph.events import (
    LARGEST,
    GoneEdge,
    fan_of_event,
    gone_referral_of_event,
    gone_share_of_event,
    referral_of_event,
    share_of_event,
)
from graph.fans import FanNode, bury_fans, delete_fans, node_id, stream_fans, upsert_fans
from graph.gone import Tomb, forget_edges, forget_fans, stream_edge_tombs, stream_fan_tombs
from graph.referrals import REFERRED, ReferralEdge, upsert_referrals
from graph.shares import SHARED, ShareEdge, share_key, upsert_shares

ROWS_PER_PAGE: Final = 5_000
# PostgreSQL plans a longer list of pairs badly.
NAMES_PER_LOOKUP: Final = 1_000
PROJECTION: Final[Scope] = system_scope("graph projection")

State = TypeVar("State", FanState, ShareState, ReferralState)


@dataclass(frozen=True, slots=True)
class Fact:
    """What both stores can be asked for: a key of the graph, and what stands under it, as text."""

    key: str
    value: str


@dataclass(frozen=True)
class Part(Generic[State]):
    """One sort of thing the graph holds. `kind` is the kind of its events and the prefix of their keys.

    An event of the kind with `_gone` behind it, under the same key, says that SQL has the thing no more.
    """

    name: str
    kind: str
    of_event: Callable[[Pending], State]
    page: Callable[[Any, Scope, int, int, int], Awaitable[list[State]]]
    named: Callable[[Any, Scope, int, Sequence[tuple[int, int]]], Awaitable[list[State]]]
    fact: Callable[[State], Fact]
    upsert: Callable[[Graph, Sequence[State]], Awaitable[None]]
    gone_of_event: Callable[[Pending], Any]
    bury: Callable[[Graph, Sequence[Any]], Awaitable[None]]
    stored: Callable[[Graph, int], AsyncIterator[Fact]]
    delete: Callable[[Graph, Sequence[str]], Awaitable[None]]
    tombs: Callable[[Graph, int], AsyncIterator[list[Tomb]]]
    forget: Callable[[Graph, int, Sequence[Tomb]], Awaitable[None]]
    event_keys: Callable[[Fact], tuple[str, ...]]

    async def states(self, database: Database, brand_id: int) -> AsyncIterator[list[State]]:
        """Yield what SQL says of a brand, a page at a time, each read in a short transaction of its own."""
        after = 0
        while True:
            async with database.reading(PROJECTION) as session:
                found = await self.page(session, PROJECTION, brand_id, after, ROWS_PER_PAGE)
            if found:
                yield found
            if len(found) < ROWS_PER_PAGE:
                return
            after = found[-1].id

    async def truth(self, database: Database, brand_id: int, keys: Sequence[str]) -> dict[str, str]:
        """Return what SQL says under each of these keys of the graph; what it does not have is left out."""
        names = [name for name in map(_numbers, keys) if name is not None]
        known: dict[str, str] = {}
        for start in range(0, len(names), NAMES_PER_LOOKUP):
            async with database.reading(PROJECTION) as session:
                found = await self.named(session, PROJECTION, brand_id, names[start : start + NAMES_PER_LOOKUP])
            known |= {fact.key: fact.value for fact in map(self.fact, found)}
        return known


def _numbers(key: str) -> tuple[int, int] | None:
    """Return the two numbers of a key, or None for a key the product never writes."""
    parts = key.split(":")
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() for part in parts):
        return None
    first, second = map(int, parts)
    return (first, second) if max(first, second) <= LARGEST else None


async def _fans_named(session: Any, scope: Scope, brand_id: int, names: Sequence[tuple[int, int]]) -> list[FanState]:
    return await projection.fans_named(session, scope, brand_id, [fan_id for _, fan_id in names])


async def _referrals_named(
    session: Any, scope: Scope, brand_id: int, names: Sequence[tuple[int, int]]
) -> list[ReferralState]:
    return await projection.referrals_named(session, scope, brand_id, [fan_id for _, fan_id in names])


def _fan_fact(state: FanState) -> Fact:
    return Fact(node_id(state.brand_id, state.id), str(state.version))


def _share_fact(state: ShareState) -> Fact:
    ends = (node_id(state.brand_id, state.from_fan_id), node_id(state.brand_id, state.to_fan_id))
    return Fact(share_key(state.cascade_id, state.to_fan_id), ">".join(ends))


def _referral_fact(state: ReferralState) -> Fact:
    invitee = node_id(state.brand_id, state.invitee_fan_id)
    return Fact(invitee, f"{node_id(state.brand_id, state.referrer_fan_id)}>{invitee}")


async def _upsert_fans(graph: Graph, states: Sequence[FanState]) -> None:
    await upsert_fans(graph, [FanNode(s.brand_id, s.id, s.version) for s in states])


async def _upsert_shares(graph: Graph, states: Sequence[ShareState]) -> None:
    rows = [ShareEdge(s.brand_id, s.cascade_id, s.from_fan_id, s.to_fan_id, s.at, s.channel, s.v) for s in states]
    await upsert_shares(graph, rows)


async def _upsert_referrals(graph: Graph, states: Sequence[ReferralState]) -> None:
    rows = [ReferralEdge(s.brand_id, s.referrer_fan_id, s.invitee_fan_id, s.at, s.v) for s in states]
    await upsert_referrals(graph, rows)


async def _bury_fans(graph: Graph, states: Sequence[FanState]) -> None:
    await bury_fans(graph, [FanNode(s.brand_id, s.id, s.version) for s in states])


async def _bury(kind: EdgeKind, graph: Graph, edges: Sequence[GoneEdge]) -> None:
    rows = [{"key": ":".join(map(str, edge.key)), "brand": edge.brand_id, "v": edge.v} for edge in edges]
    await bury_edges(graph, kind, rows)


async def _stored_fans(graph: Graph, brand_id: int) -> AsyncIterator[Fact]:
    async for fan in stream_fans(graph, brand_id):
        yield Fact(fan.id, str(fan.v))


async def _stored(kind: EdgeKind, graph: Graph, brand_id: int) -> AsyncIterator[Fact]:
    async for edge in stream_edges(graph, kind, brand_id):
        yield Fact(edge.key, f"{edge.source}>{edge.target}")


async def _forget_fans(graph: Graph, brand_id: int, tombs: Sequence[Tomb]) -> None:
    await forget_fans(graph, tombs)


def _tombs(kind: EdgeKind, graph: Graph, brand_id: int) -> AsyncIterator[list[Tomb]]:
    return stream_edge_tombs(graph, kind.name, brand_id)


async def _forget(kind: EdgeKind, graph: Graph, brand_id: int, tombs: Sequence[Tomb]) -> None:
    await forget_edges(graph, kind.name, brand_id, tombs)


def _fan_keys(fact: Fact) -> tuple[str, ...]:
    return (_fan_key(fact.key),)


def _share_keys(fact: Fact) -> tuple[str, ...]:
    return (f"share:{fact.key}", *_end_keys(fact))


def _referral_keys(fact: Fact) -> tuple[str, ...]:
    return (f"referral:{fact.key.partition(':')[2]}", *_end_keys(fact))


def _end_keys(fact: Fact) -> list[str]:
    # the edges of a fan that leaves go with the fan, and have no event of their own
    return [_fan_key(node) for node in fact.value.split(">")]


def _fan_key(node: str) -> str:
    return f"fan:{node.partition(':')[2]}"


async def _delete(kind: EdgeKind, graph: Graph, keys: Sequence[str]) -> None:
    await delete_edges(graph, kind, keys)


FANS: Final = Part(
    name="fans",
    kind="fan",
    of_event=fan_of_event,
    page=projection.fan_states,
    named=_fans_named,
    fact=_fan_fact,
    upsert=_upsert_fans,
    gone_of_event=fan_of_event,
    bury=_bury_fans,
    stored=_stored_fans,
    delete=delete_fans,
    tombs=stream_fan_tombs,
    forget=_forget_fans,
    event_keys=_fan_keys,
)
SHARES: Final = Part(
    name="shares",
    kind="share",
    of_event=share_of_event,
    page=projection.share_states,
    named=projection.shares_named,
    fact=_share_fact,
    upsert=_upsert_shares,
    gone_of_event=gone_share_of_event,
    bury=partial(_bury, SHARED),
    stored=partial(_stored, SHARED),
    delete=partial(_delete, SHARED),
    tombs=partial(_tombs, SHARED),
    forget=partial(_forget, SHARED),
    event_keys=_share_keys,
)
REFERRALS: Final = Part(
    name="referrals",
    kind="referral",
    of_event=referral_of_event,
    page=projection.referral_states,
    named=_referrals_named,
    fact=_referral_fact,
    upsert=_upsert_referrals,
    gone_of_event=gone_referral_of_event,
    bury=partial(_bury, REFERRED),
    stored=partial(_stored, REFERRED),
    delete=partial(_delete, REFERRED),
    tombs=partial(_tombs, REFERRED),
    forget=partial(_forget, REFERRED),
    event_keys=_referral_keys,
)
# In this order nodes come before the edges between them.
PARTS: Final[tuple[Part[Any], ...]] = (FANS, SHARES, REFERRALS)
