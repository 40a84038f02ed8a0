"""How share edges grow a cascade: always one tree from its seed, whatever order they come in."""

import random

from hypothesis import given
from hypothesis import strategies as st

from domain.shares.rules import Edge, Growth, grow

PAIRS = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), max_size=25)


def edges(*pairs: tuple[int, int], cascade: str = "c") -> list[Edge]:
    return [Edge(index, cascade, sharer, reached) for index, (sharer, reached) in enumerate(pairs)]


def rows(found: list[Edge]) -> list[int]:
    return [edge.index for edge in found]


def test_the_first_sharer_is_the_seed_and_a_chain_hangs_from_it() -> None:
    growth = grow(edges((1, 2), (2, 3), (3, 4)), {}, {})

    assert growth.seeds == {"c": 1}
    assert rows(growth.added) == [0, 1, 2]


def test_a_fan_is_reached_once_by_the_first_who_brings_them() -> None:
    growth = grow(edges((1, 2), (1, 3), (2, 3), (1, 2)), {}, {})

    assert rows(growth.added) == [0, 1]
    assert rows(growth.repeated) == [2, 3]


def test_nobody_reaches_themselves_or_the_seed() -> None:
    growth = grow(edges((1, 2), (2, 2), (2, 1)), {}, {})

    assert rows(growth.added) == [0]
    assert [edge.index for edge, _ in growth.refused] == [1, 2]


def test_an_edge_waits_for_its_sharer_and_no_longer() -> None:
    growth = grow(edges((1, 2), (3, 4), (2, 3), (8, 9)), {}, {})

    assert rows(growth.added) == [0, 2, 1]
    assert rows(growth.waiting) == [3]


def test_a_known_cascade_goes_on_from_the_fans_it_has() -> None:
    growth = grow(edges((2, 5), (6, 7), (5, 1), (2, 3)), {"c": {1, 2, 3}}, {"c": 1})

    assert growth.seeds == {}
    assert rows(growth.added) == [0]
    assert rows(growth.waiting) == [1]
    assert [edge.index for edge, _ in growth.refused] == [2]
    assert rows(growth.repeated) == [3]


def test_cascades_do_not_mix() -> None:
    batch = [Edge(0, "a", 1, 2), Edge(1, "b", 2, 1), Edge(2, "a", 2, 3), Edge(3, "b", 3, 4)]

    growth = grow(batch, {}, {})

    assert growth.seeds == {"a": 1, "b": 2}
    assert rows(growth.added) == [0, 1, 2]
    assert rows(growth.waiting) == [3]


def tree_of(growth: Growth, seed: int) -> dict[int, int]:
    """Return each fan's sharer, having made sure that the edges are one tree from the seed."""
    parents: dict[int, int] = {}
    for edge in growth.added:
        assert edge.sharer == seed or edge.sharer in parents
        assert edge.reached != seed
        assert edge.reached not in parents
        parents[edge.reached] = edge.sharer
    return parents


@given(PAIRS)
def test_whatever_comes_is_one_tree_and_every_row_has_one_fate(pairs: list[tuple[int, int]]) -> None:
    growth = grow(edges(*pairs), {}, {})

    if growth.seeds:
        parents = tree_of(growth, growth.seeds["c"])
        assert all(edge.sharer not in {*parents, growth.seeds["c"]} for edge in growth.waiting)
    fates = [*rows(growth.added), *rows(growth.repeated), *rows(growth.waiting), *(e.index for e, _ in growth.refused)]
    assert sorted(fates) == list(range(len(pairs)))


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_fans_reached_do_not_depend_on_the_order(pairs: list[tuple[int, int]], chance: random.Random) -> None:
    seed = {"c": 1}
    shuffled = list(pairs)
    chance.shuffle(shuffled)

    one = tree_of(grow(edges(*pairs), {"c": {1}}, seed), 1)
    other = tree_of(grow(edges(*shuffled), {"c": {1}}, seed), 1)

    assert set(one) == set(other)


@given(PAIRS, st.integers(0, 25))
def test_two_batches_make_the_tree_that_one_makes(pairs: list[tuple[int, int]], cut: int) -> None:
    seed, members = {"c": 1}, {1}
    whole = tree_of(grow(edges(*pairs), {"c": set(members)}, seed), 1)

    first = grow(edges(*pairs[:cut]), {"c": set(members)}, seed)
    members |= {edge.reached for edge in first.added}
    rest = [(edge.sharer, edge.reached) for edge in first.waiting] + pairs[cut:]
    second = grow(edges(*rest), {"c": set(members)}, seed)

    assert {edge.reached for edge in first.added + second.added} == set(whole)
