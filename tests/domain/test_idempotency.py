"""One effect a key, whatever happens around it (M01 to M03, M05)."""

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select

from domain import clock
from domain.errors import BadInput, IdempotencyConflict
from domain.idempotency import Answer, Idempotency, Once, run_once
from domain.tables import table_of
from domain.tenancy.models import Group
from tests.cast import EVERYTHING, snapshot
from tests.world import World

groups, keys = table_of(Group), table_of(Idempotency)


def once(world: World, **changes: Any) -> Once:
    given_ = {"principal": "staff:1", "mutation": "spend", "key": "k", "request": {"amount": 1}}
    return Once(group_id=world.nodes["g1"], **{**given_, **changes})


async def make_group(world: World, this: Once, code: str, *, fails: bool = False) -> tuple[dict[str, Any], bool]:
    """Run, under the key, an effect that can be counted."""
    async with world.services.database.writing(EVERYTHING) as session:

        async def effect() -> Answer:
            row = {"code": code, "name": code, "policy_version": 1, "created_at": clock.now()}
            await session.execute(insert(groups).values(row))
            if fails:
                raise BadInput
            return Answer({"code": code})

        return await run_once(session, this, effect)


async def groups_made(world: World) -> int:
    async with world.services.database.reading(EVERYTHING) as session:
        return int((await session.execute(select(func.count()).select_from(groups))).scalar_one()) - 2


async def test_the_second_time_answers_what_the_first_did(world: World) -> None:
    assert await make_group(world, once(world), "a") == ({"code": "a"}, False)
    assert await make_group(world, once(world), "b") == ({"code": "a"}, True)
    assert await groups_made(world) == 1


async def test_another_input_under_the_key_is_a_conflict(world: World) -> None:
    await make_group(world, once(world), "a")
    before = await snapshot(world)

    with pytest.raises(IdempotencyConflict) as refused:
        await make_group(world, once(world, request={"amount": 2}), "b")

    assert refused.value.field == ("input", "idempotencyKey")
    assert await snapshot(world) == before


@pytest.mark.parametrize("change", [{"principal": "staff:2"}, {"mutation": "earn"}, {"key": "K"}])
async def test_a_key_is_the_callers_and_the_mutations_own(world: World, change: dict[str, Any]) -> None:
    await make_group(world, once(world), "a")

    assert await make_group(world, once(world, **change), "b") == ({"code": "b"}, False)
    assert await groups_made(world) == 2


async def test_a_refused_effect_does_not_burn_the_key(world: World) -> None:
    before = await snapshot(world)

    with pytest.raises(BadInput):
        await make_group(world, once(world), "a", fails=True)

    assert await snapshot(world) == before
    assert await make_group(world, once(world, request={"amount": 2}), "a") == ({"code": "a"}, False)


async def test_an_effect_that_wrote_nothing_leaves_the_key_free(world: World) -> None:
    before = await snapshot(world)

    async def nothing() -> Answer:
        return Answer({"refused": True}, wrote=False)

    async with world.services.database.writing(EVERYTHING) as session:
        assert await run_once(session, once(world), nothing) == ({"refused": True}, False)

    assert await snapshot(world) == before
    assert await make_group(world, once(world, request={"amount": 2}), "a") == ({"code": "a"}, False)


async def test_fifty_at_once_have_one_effect(world: World) -> None:
    answers = await asyncio.gather(*(make_group(world, once(world), f"made {n}") for n in range(50)))

    assert sorted(replayed for _, replayed in answers) == [False] + [True] * 49
    assert len({answer["code"] for answer, _ in answers}) == 1
    assert await groups_made(world) == 1


async def test_who_waited_for_one_that_failed_has_the_effect(world: World) -> None:
    attempts = [make_group(world, once(world), f"made {n}", fails=n % 2 == 0) for n in range(10)]

    answers = await asyncio.gather(*attempts, return_exceptions=True)

    worked = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert sum(not replayed for _, replayed in worked) == 1
    assert {type(answer) for answer in answers if isinstance(answer, BaseException)} == {BadInput}
    assert await groups_made(world) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_two_requests_have_one_digest_when_and_only_when_they_are_equal(one: Any, other: Any) -> None:
    def digest(request: Any) -> bytes:
        return Once("p", 1, "m", "k", request).digest

    same = orjson.dumps(one, option=orjson.OPT_SORT_KEYS) == orjson.dumps(other, option=orjson.OPT_SORT_KEYS)
    assert (digest(one) == digest(other)) is same
    if isinstance(one, dict):
        assert digest(one) == digest(dict(reversed(one.items())))
