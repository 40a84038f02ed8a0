"""How share edges grow a cascade. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Edge:
    """One fan brought one content to another; `index` is the caller's row."""

    index: int
    cascade: str
    sharer: int
    reached: int


@dataclass
class Growth:
    """What a batch does to cascades: edges to add in order, rows already known, and rows that do not hang together."""

    seeds: dict[str, int]
    added: list[Edge] = field(default_factory=list)
    repeated: list[Edge] = field(default_factory=list)
    refused: list[tuple[Edge, str]] = field(default_factory=list)
    waiting: list[Edge] = field(default_factory=list)


def grow(edges: Iterable[Edge], members: dict[str, set[int]], seeds: dict[str, int]) -> Growth:
    """Decide what each edge does to its cascade.

    The first sharer of a cascade nobody knows is its seed. A fan is reached once, by the first who brings it, and only
    by a fan who is in the cascade: so every cascade is one tree from its seed and no loop can close. An edge whose
    sharer is not in yet waits for a later edge to bring them.
    """
    result = Growth(seeds={})
    pending = list(edges)
    inside = {code: set(known) for code, known in members.items()}
    known_seeds = dict(seeds)
    while pending:
        waiting = [edge for edge in pending if not _place(edge, inside, known_seeds, result)]
        if len(waiting) == len(pending):
            break
        pending = waiting
    result.waiting = pending
    return result


def _place(edge: Edge, inside: dict[str, set[int]], seeds: dict[str, int], result: Growth) -> bool:
    if edge.sharer == edge.reached:
        result.refused.append((edge, "a fan cannot reach themselves"))
        return True
    if edge.cascade not in seeds:
        seeds[edge.cascade] = result.seeds[edge.cascade] = edge.sharer
        inside[edge.cascade] = {edge.sharer}
    here = inside.setdefault(edge.cascade, {seeds[edge.cascade]})
    if edge.reached == seeds[edge.cascade]:
        result.refused.append((edge, "the seed of a cascade is reached by nobody"))
        return True
    if edge.reached in here:
        result.repeated.append(edge)
        return True
    if edge.sharer not in here:
        return False
    here.add(edge.reached)
    result.added.append(edge)
    return True
