"""How the compiled executor runs: a level at a time, beside a look-ahead, and leaving nothing behind."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
import strawberry
from graphql import parse

from domain.errors import NotFound
from schema.bind import PUBLIC, query
from schema.compiled.complete import together
from schema.scalars import CONFIG
from schema.written import Written
from server.http.execution import execute_operation
from tests.schema.library import Asked, Colour, failing, library, schema, seven, written


async def test_a_relation_is_asked_once_for_all_objects_of_its_level() -> None:
    asked, context = Asked(), library()

    await asked("{ shelves { books { note chapters { note } shelf { count } } } }", context=context)

    assert sorted(context.calls) == [
        ("books", [1, 2, 3, 4]),
        ("count", [1, 1, 1, 2, 2]),
        ("notes", [0, 0, 1, 0, 1]),
        ("notes", [1, 2, 3, 5, 6]),
        ("shelf", [1, 2, 3, 5, 6]),
        ("shelves", []),
    ]


async def test_places_that_ask_the_same_are_asked_together() -> None:
    asked, context = Asked(), library()

    await asked(
        '{ shelf(id: 1) { a: books { note } b: books { x: note y: note(mark: "y") } c: books(first: 1) { note } } }',
        context=context,
    )

    assert sorted(context.calls[1:]) == [
        ("books", [1]),
        ("books", [1, 1]),
        ("notes", [1]),
        ("notes", [1, 2, 3]),
        ("notes", [1, 2, 3, 1, 2, 3]),
    ]


async def test_a_relation_without_objects_is_not_asked() -> None:
    asked, context = Asked(), library()

    found = await asked("{ shelf(id: 3) { books { note shelf { title } } } }", context=context)

    assert found.data == {"shelf": {"books": []}}
    assert [name for name, _ in context.calls[1:]] == ["books"]


async def test_a_batch_that_answers_too_little_is_left_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    async def short(context: Any, batch: Any, parents: Sequence[Any], arguments: Any) -> Any:
        return [1]

    monkeypatch.setattr("schema.bind.run_batch", short)
    asked = Asked()

    found = await asked("{ shelves { count } }")

    assert (found.data, asked.left) == ({"shelves": [{"count": n} for n in (4, 2, 0, 0)]}, 1)


class Hanging:
    """A batch that waits for ever, and cleans up at length when it is told to go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.left: list[str] = []

    async def __call__(self) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            self.left.append("cleaned up")


BOTH = "{ shelves { books { note shelf { title } } } }"


async def test_a_cancellation_goes_through_and_leaves_no_task() -> None:
    asked, context, note, shelf = Asked(), library(), Hanging(), Hanging()
    context.broken = {"notes": note, "shelf": shelf}
    running = asyncio.create_task(asked(BOTH, context=context))
    async with asyncio.timeout(5):
        await asyncio.gather(note.entered.wait(), shelf.entered.wait())

    running.cancel()

    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await running
    assert (note.left, shelf.left, asked.left) == (["cleaned up"], ["cleaned up"], 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_runs_beside_a_failure_has_ended_before_the_reference_begins() -> None:
    asked, context, shelf = Asked(), library(), Hanging()
    seen: list[list[str]] = []

    async def fail() -> None:
        await shelf.entered.wait()
        seen.append(list(shelf.left))
        del context.broken["shelf"]
        raise NotFound

    context.broken = {"notes": fail, "shelf": shelf}

    async with asyncio.timeout(5):
        found = await asked(BOTH, context=context)

    assert (seen, shelf.left, asked.left) == ([[], ["cleaned up"]], ["cleaned up"], 1)
    assert found.errors
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_batch_that_was_cancelled_itself_cancels_the_request() -> None:
    with pytest.raises(asyncio.CancelledError):
        await Asked()(BOTH, context=failing("notes", asyncio.CancelledError())())


class Statement:
    """A look-ahead's answer to a root field."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers
        self.given: list[Any] = []

    async def run(self, context: Any, given: Any, values: Any) -> Any:
        self.given.append((dict(given(values)), values.coerced))
        given(values).clear()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_root_field_is_answered_by_its_statement_or_by_the_plan_or_by_the_reference() -> None:
    statement = Statement([Written(orjson.Fragment(b'{"id":"from SQL"}')), None, NotFound()])
    planned: list[Any] = []

    def plan_root(core: Any, field: Any, details: Any, collect: Any) -> Any:
        planned.append((core, field, details[0].node.name.value))
        return statement if details[0].node.name.value == "shelf" else None

    asked = Asked(plan_root=plan_root)
    document = parse("query($i: Int!) { number shelf(id: $i) { id } }")

    found = [await asked(document, {"i": 2}) for _ in range(3)]

    plain = written(await execute_operation(schema, document, None, {"i": 2}, library()))
    assert orjson.dumps(found[0].data) == b'{"number":7,"shelf":{"id":"from SQL"}}'
    assert [written(one) for one in found[1:]] == [plain, plain]
    assert statement.given == [({"id": 2, "colour": Colour.RED}, {"i": 2})] * 3
    assert asked.left == 1
    fields = schema._schema.query_type.fields  # type: ignore[union-attr]
    assert planned == [(schema._schema, fields[name], name) for name in ("number", "shelf")]


@pytest.mark.parametrize("fields, counted", [((1, 1), 4), ((1, None), None)])
async def test_fields_are_counted_where_all_that_is_written_was(
    fields: tuple[int | None, ...], counted: int | None
) -> None:
    statement = Statement([Written(orjson.Fragment(b'{"id":"x"}'), known) for known in fields])
    asked = Asked(plan_root=lambda *given: statement)

    found = await asked(parse("{ shelf(id: 1) { id } other: shelf(id: 2) { id } }"))

    assert orjson.dumps(found.data) == b'{"shelf":{"id":"x"},"other":{"id":"x"}}'
    assert getattr(found, "fields", None) == counted


async def test_another_schema_is_run_by_the_reference() -> None:
    @strawberry.type(name="Query")
    class Other:
        number = query(seven, int, permission=PUBLIC)

    other, asked = strawberry.Schema(Other, config=CONFIG), Asked()

    found = await asked.executor(other, parse("{ number }"), None, {}, library(), hide_suggestions=True)

    assert (found.data, asked.left) == ({"number": 7}, 1)


async def test_who_is_stopped_with_others_is_stopped_once() -> None:
    """A second time would interrupt how they clean up, which for a connection is how it is closed."""
    stops: list[int] = []

    async def works(number: int) -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            stops.append(number)
            try:
                await asyncio.sleep(0.01 * number)
            except asyncio.CancelledError:
                stops.append(number)
            raise

    async def fails() -> None:
        await asyncio.sleep(0)
        raise NotFound("No such thing.")

    with pytest.raises(NotFound):
        await together([fails(), together([works(1), works(2), works(3)])])

    assert sorted(stops) == [1, 2, 3]
