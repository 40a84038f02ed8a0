"""Random cascades, and in plain Python what the graph must say about them."""

import random
import secrets
from collections.abc import Sequence

from graph.shares import ShareEdge


def new_brand() -> int:
    """Return a brand id no other test uses."""
    return secrets.randbelow(10**12) + 10**6


def seeded(seed: int) -> random.Random:
    """Return a generator that gives the same numbers in every run."""
    return random.Random(seed)


def random_cascade(rng: random.Random, brand_id: int, cascade_id: int, size: int, *, bias: int = 5) -> list[ShareEdge]:
    """Grow a tree from fan 1 over fans 2..size; a small `bias` makes it deep."""
    return [
        ShareEdge(brand_id, cascade_id, rng.randrange(max(1, fan - bias), fan), fan, 1_790_000_000_000 + fan)
        for fan in range(2, size + 1)
    ]


def breadths_of(edges: Sequence[ShareEdge], seed: int) -> list[int]:
    """Count the generations of a tree."""
    breadths, generation = [], {seed}
    while generation:
        breadths.append(len(generation))
        generation = {edge.to_fan_id for edge in edges if edge.from_fan_id in generation}
    return breadths


def path_of(edges: Sequence[ShareEdge], seed: int, fan: int) -> list[int] | None:
    """Walk up from a fan to the seed."""
    parents = {edge.to_fan_id: edge.from_fan_id for edge in edges}
    path = [fan]
    while path[-1] != seed:
        if path[-1] not in parents:
            return None
        path.append(parents[path[-1]])
    return path[::-1]
