"""A small library behind the schema's binding: what the compiled executor does is seen on it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, NewType

import orjson
import strawberry
from graphql import ExecutionResult, parse, validate
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig

from authz.viewer import Anonymous
from domain.errors import NotFound
from domain.ids import ABSENT, Absent, Wide
from resolvers.loaders import Loaders
from resolvers.nodes import Found
from schema.arguments import enum_type
from schema.bind import PUBLIC, Node, Payload, column, entity, mutation, query, relation, value
from schema.compiled import CompiledExecutor
from schema.scalars import CONFIG, Int64
from server.http.execution import execute_operation


class Colour(Enum):
    RED = "r"
    BLUE = "b"


enum_type(Colour)
MOMENT = datetime(2026, 1, 31, 8, tzinfo=UTC)


class Row:
    """A row with the attributes it was given."""

    def __init__(self, number: int, **values: Any) -> None:
        self.id = number
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


def shelf(number: int, **values: Any) -> Row:
    usual: dict[str, Any] = {"title": f"shelf {number}", "books": [], "home": None}
    return Row(number, **{**usual, **values})


def book(number: int, **values: Any) -> Row:
    usual = {
        "title": f"book {number}",
        "subtitle": None if number % 2 else 'ä "quoted" \\ line',
        "pages": number * 100,
        "weight": number / 4,
        "lent": number % 2 == 0,
        "colour": Colour.RED if number % 2 else Colour.BLUE,
        "copies": 2**40 + number,
        "bought": MOMENT,
        "price": Decimal("12.50"),
        "words": ["one", "two"],
        "grid": [[1, 2], [], [3]],
        "extra": {"a": [1, None]},
        "cover": Row(number, tint="dark", artist=None),
        "chapters": [Row(place, heading=f"chapter {place}") for place in range(number % 3)],
        "related": None,
        "label": number,
        "spine": Spine(),
        "loud_title": "quiet",
    }
    return Row(number, **{**usual, **values})


@dataclass
class Context:
    """Who asks, what there is, and the calls that were made."""

    shelves: list[Row]
    viewer: Any = field(default_factory=Anonymous)
    loaders: Loaders = field(default_factory=Loaders)
    max_page: int = 100
    calls: list[tuple[str, list[int]]] = field(default_factory=list)
    broken: dict[str, Callable[[], Awaitable[Any]]] = field(default_factory=dict)

    async def note(self, name: str, parents: Sequence[Any]) -> None:
        self.calls.append((name, [getattr(parent, "id", 0) for parent in parents]))
        await asyncio.sleep(0)
        if name in self.broken:
            await self.broken[name]()


@dataclass(frozen=True)
class Wanted:
    """What to look for."""

    word: str = "any"
    colours: list[Colour] = field(default_factory=list)
    most: Annotated[int, Wide()] | Absent = ABSENT
    inner: "Wanted | None" = None


async def books_of(context: Context, shelves: Sequence[Any], *, first: int = 3) -> Any:
    """Return the books."""
    await context.note("books", shelves)
    return [shelf.books[:first] if shelf.books is not None else None for shelf in shelves]


async def notes_of(context: Context, books: Sequence[Any], *, loud: bool = False, mark: str | None = None) -> Any:
    """Return a note."""
    await context.note("notes", books)
    return [f"{mark or 'note'} {book.id}{'!' if loud else ''}" if book.id % 3 else None for book in books]


async def shelf_of(context: Context, books: Sequence[Any]) -> Any:
    """Return where it stands."""
    await context.note("shelf", books)
    homes = {id(book): found for found in context.shelves for book in found.books or []}
    return [homes.get(id(book)) for book in books]


async def count_of(context: Context, shelves: Sequence[Any]) -> Any:
    """Return how many there are."""
    await context.note("count", shelves)
    return [len(shelf.books or []) for shelf in shelves]


Label = NewType("Label", str)


@strawberry.interface
class Named:
    name: str = "a name"


@strawberry.type
class Spine(Named):
    """Not any row is one: this type looks."""


@strawberry.type
class Cover:
    tint: str = column("Its tint.")
    artist: str | None = column("Who drew it.")


@strawberry.type
class Chapter:
    heading: str = column("Its heading.")
    note = relation(notes_of, str | None)


@entity("A book.")
class Book(Node):
    title: str = column("Its title.")
    subtitle: str | None = column("What is under it.")
    pages: int = column("How many pages.")
    weight: float = column("What it weighs.")
    lent: bool = column("Whether it is out.")
    colour: Colour = column("Its colour.")
    copies: Int64 = column("How many were printed.")
    bought: datetime = column("When.")
    price: Decimal | None = column("What for.")
    words: list[str | None] | None = column("Some words.")
    grid: list[list[int]] = column("Some numbers.")
    extra: JSON = column("Whatever.")
    cover: Cover | None = column("Its cover.")
    chapters: list[Chapter] = column("Its chapters.")
    related: Node | None = column("Something else.")
    label: Label = column("What is written on it; nothing where it is worn.")
    spine: Spine | None = column("Its back.")
    first_word = value(lambda book: book.title.split()[0], str, "A word.")
    big_cover = value(lambda book: book.cover, Cover, "The cover again.")
    note = relation(notes_of, str | None)

    @strawberry.field
    def loud_title(self) -> str:
        return "LOUD"

    shelf = relation(shelf_of, Annotated["Shelf", strawberry.lazy("tests.schema.library")] | None)


@entity("A shelf.")
class Shelf(Node):
    title: str = column("Its title.")
    books = relation(books_of, list[Book] | None)
    count = relation(count_of, int)
    secret = relation(count_of, int | None, permission="fan:read")
    home: Cover | None = column("Odd.")


@strawberry.type
class Plain:
    name: str = "plain"


@strawberry.type
class Fancy:
    name: str = "fancy"
    shine: int = 3


async def list_shelves(context: Context) -> Any:
    """Return the shelves."""
    await context.note("shelves", [])
    return context.shelves


async def shelf_by(context: Context, *, id: int, wanted: Wanted | None = None, colour: Colour = Colour.RED) -> Any:
    """Return a shelf."""
    context.calls.append((repr((id, wanted, colour)), []))
    found = [shelf for shelf in context.shelves if shelf.id == id]
    if not found:
        raise NotFound
    return found[0]


async def list_things(context: Context, *, ids: list[int], extra: JSON | None = None) -> Any:
    """Return things."""
    context.calls.append((repr((ids, extra)), []))
    ids = [ids.pop() for _ in range(len(ids))][::-1]
    if extra:
        extra["more"] = "than was given"  # type: ignore[index]
    found = {book.id: Found("Book", book) for shelf in context.shelves for book in shelf.books or []}
    found[0] = Found("Shelf", context.shelves[0])
    return [found.get(number) for number in ids]


async def list_both(context: Context) -> Any:
    """Return both."""
    return [Plain(), Fancy(), Plain()]


async def seven(context: Context) -> Any:
    """Return a number."""
    await context.note("number", [])
    return 7


@strawberry.type
class Query:
    shelves = query(list_shelves, list[Shelf], permission=PUBLIC)
    shelf = query(shelf_by, Shelf, permission=PUBLIC)
    things = query(list_things, list[Node | None], permission=PUBLIC)
    one_of = query(list_both, list[Plain | Fancy], permission=PUBLIC)
    number = query(seven, int, permission=PUBLIC)
    hidden = query(seven, int, permission="fan:read")

    @strawberry.field
    def unbound(self) -> str:
        return "by a resolver of its own"


@strawberry.type(description="What came of it.")
class PaintPayload(Payload):
    shelf: Shelf | None = column("The shelf.")
    books: list[Book] | None = column("The books.")


async def paint_shelf(context: Context, input: Wanted) -> Any:
    """Paint it."""
    context.calls.append((f"paint {input.word}", []))
    if input.word == "refused":
        raise NotFound
    return {"shelf": context.shelves[0], "books": context.shelves[0].books}


@strawberry.type
class Mutation:
    paint = mutation(paint_shelf, PaintPayload, permission=PUBLIC)

    @strawberry.mutation
    async def count(self, info: strawberry.Info[Context, None]) -> int:
        info.context.calls.append(("count", []))
        return len(info.context.calls)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def shelf(self) -> AsyncGenerator[Shelf, None]:
        yield shelf(1)  # type: ignore[misc]


LABEL = strawberry.scalar(
    name="Label", serialize=lambda found: None if found == "worn" else str(found), parse_value=str
)
config = StrawberryConfig(scalar_map={**CONFIG.scalar_map, Label: LABEL})
schema = strawberry.Schema(Query, Mutation, Subscription, types=[Book], config=config)


def library() -> Context:
    """Return a context with two shelves of books, one without any and one whose books are not known."""
    return Context(
        [
            shelf(1, books=[book(1), book(2), book(3), book(4)]),
            shelf(2, books=[book(5, related=Found("Shelf", shelf(9))), book(6, cover=None, words=None, price=None)]),
            shelf(3),
            shelf(4, books=None),
        ]
    )


class Asked:
    """An executor with what it left to the reference."""

    def __init__(self, own: strawberry.Schema = schema, max_bytes: int = 2**24, **more: Any) -> None:
        self.left = 0
        self.schema = own
        self.executor = CompiledExecutor(own, self._reference, **{"max_bytes": max_bytes, **more})

    async def _reference(self, *args: Any, **named: Any) -> ExecutionResult:
        self.left += "executor_class" not in named
        return await execute_operation(*args, **named)

    async def __call__(
        self, document: Any, variables: dict[str, Any] | None = None, context: Any = None, name: str | None = None
    ) -> ExecutionResult:
        document = parse(document) if isinstance(document, str) else document
        context = context or library()
        return await self.executor(self.schema, document, name, variables or {}, context, hide_suggestions=True)


def written(result: ExecutionResult) -> bytes:
    """Return data and errors as text: the order of the keys counts."""
    return orjson.dumps([result.data, [error.formatted for error in result.errors or []]])


async def both(
    text: str, variables: dict[str, Any] | None = None, context: Callable[[], Any] = library
) -> tuple[ExecutionResult, ExecutionResult, Asked]:
    """Answer a valid document by both, each with a context of its own."""
    document = parse(text)
    assert validate(schema._schema, document) == []
    asked = Asked()
    found = await asked(document, variables, context())
    expected = await execute_operation(schema, document, None, variables or {}, context())
    return found, expected, asked


def spoiled(**values: Any) -> Callable[[], Context]:
    """Return a library in which one book holds something odd."""

    def context() -> Context:
        made = library()
        made.shelves[0].books[1] = book(2, **values)
        return made

    return context


def failing(name: str, error: BaseException | None = None) -> Callable[[], Context]:
    """Return a library in which one batch or resolver raises."""

    async def fail() -> None:
        raise error or NotFound

    def context() -> Context:
        made = library()
        made.broken[name] = fail
        return made

    return context
