"""What the compiled executor keeps, for how long, and when it does not try at all."""

from typing import Any

import pytest
from graphql import parse

from authz.viewer import StaffViewer
from domain.errors import NotFound
from schema.compiled import cache, plan
from tests.schema.library import Asked, Context, failing, library


async def test_plans_are_kept_by_the_values_of_their_switches() -> None:
    asked = Asked()
    document = parse(
        "query($a: Boolean!, $b: Boolean!) { shelves { id @skip(if: $a) ...F } }"
        " fragment F on Shelf { ... @include(if: $b) { title } }"
    )

    keys = [
        list((await asked(document, {"a": a, "b": b})).data["shelves"][0])  # type: ignore[index]
        for a in (True, False)
        for b in (True, False)
    ]

    assert keys == [["title"], [], ["id", "title"], ["id"]]
    (operation,) = asked.executor._operations._kept.values()
    assert (len(operation.plans), asked.left) == (4, 0)


async def test_who_turns_every_switch_is_planned_for_now_and_then_only() -> None:
    names = [f"s{number}" for number in range(6)]
    document = parse(
        f"query({' '.join(f'${name}: Boolean!' for name in names)})"
        f" {{ number {' '.join(f'{name}: number @skip(if: ${name})' for name in names)} }}"
    )
    asked = Asked()

    for turn in range(64):
        found = await asked(document, {name: bool(turn >> place & 1) for place, name in enumerate(names)})
        assert len(found.data or {}) == 7 - turn.bit_count()
        await asked(document, dict.fromkeys(names, False))

    (operation,) = asked.executor._operations._kept.values()
    assert len(operation.plans) == cache.MAX_VARIANTS
    assert (False,) * 6 in operation.plans
    assert asked.left == 64 - 16 - 3


async def test_operations_are_kept_up_to_a_number_of_bytes_and_the_least_used_leave() -> None:
    asked, often = Asked(max_bytes=100_000), parse("{ shelves { often: title } }")
    documents = [parse(f"{{ shelves {{ f{place}: title }} }}") for place in range(60)]
    operations = asked.executor._operations
    await asked(often)
    first = operations._kept[id(often), None]

    for document in documents:
        await asked(document)
        await asked(often)

    assert 5 < len(operations) < 60
    assert operations._bytes == sum(operation.bytes for operation in operations._kept.values()) <= 100_000
    assert operations._kept[id(often), None] is first
    kept = [(id(document), None) in operations._kept for document in (documents[-1], documents[0])]
    assert (kept, asked.left) == ([True, False], 0)


async def test_a_document_that_is_kept_leaves_its_identity_to_no_other() -> None:
    asked = Asked()

    for place in range(300):
        found = await asked(f"{{ f{place}: number }}")
        assert found.data == {f"f{place}": 7}


async def test_an_operation_too_large_to_be_kept_runs_all_the_same() -> None:
    asked = Asked(max_bytes=5_000)

    found = await asked("{ shelves { id title } }")

    assert (found.errors, asked.left, len(asked.executor._operations), asked.executor._operations._bytes) == (
        None,
        0,
        0,
        0,
    )


async def test_a_plan_is_not_made_without_end() -> None:
    asked = Asked()
    fields = " ".join(f"f{place}: title" for place in range(plan.MAX_FIELDS))

    found = await asked(f"{{ shelves {{ {fields} }} }}")

    assert (found.errors, asked.left) == (None, 1)


async def test_an_operation_that_keeps_falling_back_goes_straight_to_the_reference() -> None:
    asked, document = Asked(), parse("{ shelves { title } number }")
    calls = []

    for _ in range(plan.TRIES + plan.RETRY_CALLS):
        context = failing("number")()
        await asked(document, context=context)
        calls.append([name for name, _ in context.calls].count("shelves"))

    assert calls == [2] * plan.TRIES + [1] * (plan.RETRY_CALLS - 1) + [2]
    assert (await asked(document)).errors is None
    assert asked.left == plan.TRIES + plan.RETRY_CALLS + 1


async def test_an_operation_is_forgiven_as_soon_as_a_try_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, document = Asked(), parse("{ shelves { title } number }")
    for _ in range(plan.TRIES):
        await asked(document, context=failing("number")())
    await asked(document)
    assert asked.left == plan.TRIES + 1

    monkeypatch.setattr(plan, "RETRY_SECONDS", 0.0)
    await asked(document)
    monkeypatch.undo()
    await asked(document)

    assert asked.left == plan.TRIES + 1


async def left_after(asked: Asked, document: Any, *, error: Exception, first: int, then: int) -> int:
    """Return how many calls were left to the reference after one caller's failed, and another's held."""

    def context(staff_id: int, made: Context) -> Context:
        made.viewer = StaffViewer(staff_id, 1, "Lin", f"lin-{staff_id}")
        return made

    for _ in range(plan.TRIES):
        await asked(document, context=context(first, failing("number", error)()))
    await asked(document, context=context(then, library()))
    return asked.left - plan.TRIES


async def test_what_one_caller_is_refused_slows_nobody_else() -> None:
    document = parse("{ shelves { title } number }")

    assert await left_after(Asked(), document, error=NotFound(), first=1, then=2) == 0
    assert await left_after(Asked(), document, error=NotFound(), first=1, then=1) == 1


async def test_what_one_caller_gives_slows_nobody_else() -> None:
    """A null for what has a default may stand in a variable, and not where it is used."""
    asked, document = Asked(), parse("query($id: Int = 1) { shelf(id: $id) { title } }")
    for _ in range(plan.TRIES):
        found = await asked(document, {"id": None}, context=library())
        assert found.errors
    other = library()
    other.viewer = StaffViewer(2, 1, "Lin", "lin-2")

    assert (await asked(document, context=other)).errors is None

    assert asked.left == plan.TRIES


async def test_a_fault_is_everybodys() -> None:
    document = parse("{ shelves { title } number }")

    assert await left_after(Asked(), document, error=RuntimeError("down"), first=1, then=2) == 1


async def test_a_plan_remembers_the_refusals_of_a_number_of_callers() -> None:
    asked, document = Asked(), parse("{ shelves { title } number }")

    for staff_id in range(plan.MAX_CALLERS + 10):
        context = failing("number")()
        context.viewer = StaffViewer(staff_id, 1, "Lin", f"lin-{staff_id}")
        await asked(document, context=context)

    ((found, _),) = next(iter(asked.executor._operations._kept.values())).plans.values()
    assert found is not None
    assert len(found.falls) == plan.MAX_CALLERS


async def test_a_switch_of_another_operation_is_none_of_this_one() -> None:
    asked = Asked()
    document = parse(
        "query A($s: Boolean!) { shelves { ...F } } query B($s: [Int!]!) { things(ids: $s) { id } }"
        " fragment F on Shelf { id @skip(if: $s) }"
    )

    found = await asked(document, {"s": [1]}, name="B")

    assert (found.errors, asked.left) == (None, 0)
