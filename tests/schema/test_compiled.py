"""The compiled executor answers what the reference answers, to the byte, and leaves to it what it is not for."""

from collections.abc import Callable
from typing import Any

import pytest
import strawberry
from graphql import Undefined, parse
from strawberry.schema.config import StrawberryConfig

from domain.errors import NotFound
from resolvers.nodes import Found
from schema.bind import PUBLIC, query
from server.http.execution import execute_operation
from tests.schema.library import (
    Asked,
    Context,
    Row,
    both,
    failing,
    library,
    list_shelves,
    schema,
    spoiled,
    written,
)

ALL = "title subtitle pages weight lent colour copies bought price words grid extra label"
ANSWERED = {
    "every kind of leaf": f"{{ shelves {{ books {{ id {ALL} firstWord }} }} }}",
    "keys in their order": "{ shelves { count z: title books { note a: title __typename cover { artist tint } } id } }",
    "a root twice": "{ a: shelves { id } number b: shelves { title } __typename }",
    "typename alone": "{ __typename }",
    "fields merged": "{ shelves { books { title } books { cover { tint } pages } } shelves { count } }",
    "objects in objects": "{ shelves { books { cover { tint artist } chapters { heading } } } }",
    "an object of a function": "{ shelf(id: 1) { books { bigCover { tint artist } } } }",
    "typename of objects alone": "{ shelves { __typename home { __typename } books { cover { __typename } } } }",
    "relations below lists": "{ shelves { books { chapters { note heading n: note(loud: true) } shelf { count } } } }",
    "relations of relations": "{ shelves { books(first: 2) { shelf { books { note shelf { title } } } } } }",
    "arguments": '{ shelves { books(first: 1) { note(loud: true, mark: "m") other: note(mark: null) } } }',
    "fragments": "{ shelves { ...S ... on Shelf { count } ... { title } } }"
    " fragment S on Shelf { id books { ...B } } fragment B on Book { title ... on Node { id } }",
    "constant switches": "{ shelves { id @skip(if: true) title @include(if: true) books @skip(if: false) { id } } }",
    "nothing left": "{ shelves { title @skip(if: true) } number @include(if: false) }",
    "a type that looks at its rows": "{ shelves { books { spine { name __typename } } } }",
    "interfaces": "{ things(ids: [0, 3, 99, 1]) { __typename id ... on Book { title note } ... on Shelf { count } } }",
    "an interface below": "{ shelves { books { related { id ... on Shelf { title count } } } } }",
    "unions": "{ oneOf { __typename ... on Plain { name } ... on Fancy { shine label: name } } }",
    "enums and inputs": '{ shelf(id: 1, colour: BLUE, wanted: { word: "w", colours: [RED], most: 9 }) { id } }',
    "defaults": "{ shelf(id: 2, wanted: { inner: {} }) { books { note } } }",
    "a scalar of any shape": "{ things(ids: [1], extra: { a: [1, { b: null }] }) { id } }",
    "one for a list": "{ things(ids: 1) { id } }",
}


@pytest.mark.parametrize("text", ANSWERED.values(), ids=ANSWERED)
async def test_a_plan_answers_what_the_reference_answers(text: str) -> None:
    found, expected, asked = await both(text)

    assert written(found) == written(expected)
    assert found.errors is None
    assert asked.left == 0


VARIABLES: list[tuple[str, dict[str, Any]]] = [
    ("query($id: Int!) { shelf(id: $id) { id } }", {"id": 2}),
    ("query($id: Int = 3) { shelf(id: $id) { id } }", {}),
    ("query($id: Int!, $c: Colour) { shelf(id: $id, colour: $c) { id } }", {"id": 1}),
    ("query($id: Int!, $c: Colour!) { shelf(id: $id, colour: $c) { id } }", {"id": 1, "c": "BLUE"}),
    ("query($w: WantedInput) { shelf(id: 1, wanted: $w) { id } }", {"w": {"most": 5, "inner": {"word": "x"}}}),
    ("query($w: WantedInput) { shelf(id: 1, wanted: $w) { id } }", {"w": None}),
    ("query($c: Colour!, $m: Int64) { shelf(id: 1, wanted: { colours: [$c, RED], most: $m }) { id } }", {"c": "BLUE"}),
    ("query($w: String!) { shelf(id: 1, wanted: { inner: { word: $w } }) { id } }", {"w": "deep"}),
    ("query($i: Int!) { things(ids: [1, $i, 2]) { id } }", {"i": 5}),
    ("query($i: [Int!]!) { things(ids: $i) { id } }", {"i": [5, 2]}),
    ("query($j: JSON) { things(ids: [1], extra: { a: $j }) { id } }", {"j": {"b": 1}}),
    ("query($m: String, $l: Boolean!) { shelves { books { note(mark: $m, loud: $l) } } }", {"l": True}),
    ("query($m: String, $l: Boolean!) { shelves { books { note(mark: $m, loud: $l) } } }", {"l": False, "m": "x"}),
    ("query($s: Boolean!) { shelves { id @skip(if: $s) title @include(if: $s) } }", {"s": True}),
    ("query($s: Boolean = false) { shelves { ...F @skip(if: $s) } } fragment F on Shelf { id }", {}),
]


@pytest.mark.parametrize("text, variables", VARIABLES)
async def test_variables_reach_the_resolver_as_the_reference_hands_them_in(
    text: str, variables: dict[str, Any]
) -> None:
    contexts: list[Context] = []

    def context() -> Context:
        contexts.append(library())
        return contexts[-1]

    found, expected, asked = await both(text, variables, context)

    assert (written(found), asked.left) == (written(expected), 0)
    assert contexts[0].calls[0] == contexts[1].calls[0]


class Refusing:
    def __str__(self) -> str:
        raise RuntimeError("no text")


async def promised(found: Any) -> Any:
    return found


def nested(depth: int) -> dict[str, Any]:
    """Return an input that holds itself."""
    made: dict[str, Any] = {}
    for _ in range(depth):
        made = {"inner": made}
    return made


BOOKS = "{ shelves { title books { id %s } } number }"
ODD: dict[str, tuple[str, Callable[[], Context]]] = {
    "null in a non-null leaf": (BOOKS % "title", spoiled(title=None)),
    "null in a non-null item": (BOOKS % "grid", spoiled(grid=[[1], [None]])),
    "null for a non-null object": (BOOKS % "bigCover { tint }", spoiled(cover=None)),
    "an int over 32 bits": (BOOKS % "pages", spoiled(pages=2**31)),
    "a float that is none": (BOOKS % "weight", spoiled(weight=float("nan"))),
    "a float beyond all": (BOOKS % "weight", spoiled(weight=float("inf"))),
    "a text for an int": (BOOKS % "pages", spoiled(pages="many")),
    "a thing without a text": (BOOKS % "title", spoiled(title=Refusing())),
    "a value that is no member": (BOOKS % "colour", spoiled(colour="violet")),
    "a scalar's own refusal": (BOOKS % "bought", spoiled(bought="yesterday")),
    "null in a scalar that writes it as a text": (BOOKS % "label", spoiled(label=None)),
    "a scalar that answers nothing": (BOOKS % "label", spoiled(label="worn")),
    "a list that is a text": (BOOKS % "words", spoiled(words="one")),
    "a list that is a number": (BOOKS % "chapters { heading }", spoiled(chapters=3)),
    "an error for a leaf": (BOOKS % "subtitle", spoiled(subtitle=NotFound())),
    "an error for an object": (BOOKS % "cover { __typename }", spoiled(cover=NotFound())),
    "an error for an item": (BOOKS % "chapters { __typename }", spoiled(chapters=[NotFound()])),
    "a row of another type": (BOOKS % "spine { name }", spoiled(spine=Row(1, name="a row"))),
    "an attribute that is missing": (BOOKS % "cover { tint artist }", spoiled(cover=Row(1))),
    "a function that fails": (BOOKS % "firstWord", spoiled(title="")),
    "an object of no known type": (BOOKS % "related { id }", spoiled(related=Found("Ghost", Row(1)))),
    "an object of another type": (BOOKS % "related { id }", spoiled(related=Found("Cover", Row(1)))),
    "an object without a type": (BOOKS % "related { id }", spoiled(related=object())),
    "a relation that raises": (BOOKS % "note", failing("notes")),
    "one relation of two that raises": (BOOKS % "note shelf { id }", failing("notes")),
    "a root that raises": (BOOKS % "title", failing("shelves")),
    "one root of two that raises": (BOOKS % "title", failing("number", RuntimeError("no number"))),
    "an argument refused": ("{ shelves { id books(first: 0) { id } } }", library),
    "a root's argument refused": ("query($i: Int! = 9) { shelf(id: $i) { id } }", library),
    "a permission that is missing": ("{ shelves { id secret } hidden }", library),
    "a null for a variable that must not be": ("query($f: Int = 1) { shelves { books(first: $f) { id } } }", library),
}


@pytest.mark.parametrize("text, context", ODD.values(), ids=ODD)
async def test_what_a_plan_is_not_for_is_answered_by_the_reference(text: str, context: Callable[[], Context]) -> None:
    found, expected, asked = await both(text, {"f": None} if "$f" in text else {}, context)

    assert written(found) == written(expected)
    assert found.errors
    assert asked.left == 1


TAKEN: dict[str, tuple[str, Callable[[], Context]]] = {
    "a number for a text": (BOOKS % "title", spoiled(title=7)),
    "a truth for an int": (BOOKS % "pages", spoiled(pages=True)),
    "an int for a float": (BOOKS % "weight", spoiled(weight=3)),
    "a float for an int": (BOOKS % "pages", spoiled(pages=3.0)),
    "a value for a member": (BOOKS % "colour", spoiled(colour="r")),
    "a tuple for a list": (BOOKS % "words grid", spoiled(words=("a", None), grid=([1], (2,)))),
}


@pytest.mark.parametrize("text, context", TAKEN.values(), ids=TAKEN)
async def test_what_a_type_coerces_a_plan_coerces_too(text: str, context: Callable[[], Context]) -> None:
    found, expected, asked = await both(text, None, context)

    assert written(found) == written(expected)
    assert (found.errors, asked.left) == (None, 0)


WAITED: dict[str, tuple[str, Callable[[], Any]]] = {
    "an awaitable list": ("words", lambda: promised(["later"])),
    "an awaitable leaf": ("title", lambda: promised("later")),
    "an awaitable object": ("cover", lambda: promised(Row(1))),
    "an iterator": ("words", lambda: iter(["a"])),
    "a set": ("words", lambda: {"a"}),
    "nothing in another word": ("cover", lambda: Undefined),
    "nothing in another word for a leaf": ("subtitle", lambda: Undefined),
}


@pytest.mark.parametrize("name, odd", WAITED.values(), ids=WAITED)
async def test_what_the_reference_waits_for_or_walks_through_is_left_to_it(name: str, odd: Callable[[], Any]) -> None:
    def context() -> Context:
        return spoiled(**{name: odd()})()

    below = " { __typename }" if name == "cover" else ""
    found, expected, asked = await both(f"{{ shelf(id: 1) {{ books {{ {name}{below} }} }} }}", None, context)

    assert (written(found), asked.left) == (written(expected), 1)
    assert found.errors is None


@pytest.mark.parametrize(
    "text",
    [
        "{ __schema { queryType { name } } }",
        "{ unbound number }",
        "{ shelves { books { loudTitle } } }",
        "subscription { shelf { title } }",
    ],
)
async def test_introspection_subscriptions_and_resolvers_of_their_own_are_never_planned(text: str) -> None:
    found, expected, asked = await both(text)

    assert written(found) == written(expected)
    assert asked.left == 1


async def test_attributes_that_are_read_in_a_way_of_their_own_are_never_planned() -> None:
    @strawberry.type
    class Titled:
        title: str

    @strawberry.type(name="Query")
    class Other:
        shelves = query(list_shelves, list[Titled], permission=PUBLIC)

    config = StrawberryConfig(default_resolver=lambda row, name: f"the {name}")
    asked = Asked(strawberry.Schema(Other, config=config))

    found = await asked("{ shelves { title } }")

    assert (found.data, asked.left) == ({"shelves": [{"title": "the title"}] * 4}, 1)


async def test_what_a_resolver_does_to_its_arguments_ends_with_the_call() -> None:
    asked, document = Asked(), parse("{ things(ids: [1], extra: { a: 1 }) { id } }")
    calls = []

    for _ in range(2):
        context = library()
        await asked(document, context=context)
        calls += context.calls

    assert calls == [("([1], {'a': 1})", [])] * 2
    assert asked.left == 0


@pytest.mark.parametrize(
    "text, variables, name",
    [
        ("query($i: Int!) { shelf(id: $i) { id } }", {"i": "one"}, None),
        ("query($i: Int!) { shelf(id: $i) { id } }", {}, None),
        ("query($m: String!) { shelf(id: 3) { books { note(mark: $m) } } }", {}, None),
        ("query($m: String) { shelf(id: 3) { books { note(mark: $m) } } }", {"m": 5}, None),
        ("query($w: WantedInput) { shelf(id: 1, wanted: $w) { id } }", {"w": nested(250)}, None),
        ("query A { number } query B { number }", {}, None),
        ("query A { number } query B { number }", {}, "C"),
        ("query A { number }", {}, ""),
    ],
)
async def test_a_request_that_cannot_begin_is_refused_by_the_reference(
    text: str, variables: dict[str, Any], name: str | None
) -> None:
    document = parse(text)
    asked = Asked()

    found = await asked(document, variables, name=name)

    expected = await execute_operation(schema, document, name, variables, library())
    assert written(found) == written(expected)
    assert (found.data, asked.left) == (None, 1)


PAINT = (
    'mutation { a: paint(input: { word: "x" }) { %s } n: count b: paint(input: { word: "y" }) { userErrors { code } } }'
)


@pytest.mark.parametrize(
    "below", ["shelf { count }", "books { id note } shelf { title books { title } }", "__typename"]
)
async def test_the_payloads_of_a_mutation_are_completed_by_the_plan(below: str) -> None:
    document = parse(PAINT.replace("n: count ", "") % below)
    asked, context, other = Asked(), library(), library()
    context.loaders.load = None  # type: ignore[assignment, method-assign]

    found = await asked(document, context=context)

    expected = await execute_operation(schema, document, None, {}, other)
    assert written(found) == written(expected)
    assert (found.errors, asked.left) == (None, 0)
    assert [name for name, _ in context.calls if "paint" in name] == ["paint x", "paint y"]


async def test_a_payload_that_a_plan_is_not_for_is_completed_by_the_reference_and_the_mutation_runs_once() -> None:
    document = parse(PAINT.replace("n: count ", "") % "books { title note } shelf { id }")
    asked, context, other = Asked(), failing("notes")(), failing("notes")()

    found = await asked(document, context=context)

    expected = await execute_operation(schema, document, None, {}, other)
    assert written(found) == written(expected)
    assert found.errors
    assert [name for name, _ in context.calls] == ["paint x", "notes", "notes", "paint y"]


async def test_a_mutation_that_refuses_and_one_that_is_not_planned_answer_as_the_reference_does() -> None:
    for text in (
        'mutation { paint(input: { word: "refused" }) { userErrors { code } shelf { id } } }',
        PAINT % "__typename",
    ):
        found, expected, _ = await both(text)

        assert written(found) == written(expected)
        assert found.data
