"""Completing columns: all values of a field at one level at once, and the relations below them breadth first."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from types import NoneType, SimpleNamespace
from typing import Any, NamedTuple, TypeVar

from graphql import GraphQLAbstractType, GraphQLObjectType, GraphQLOutputType, GraphQLSchema
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable

from schema.compiled.arguments import Given
from schema.compiled.code import Bail, Read, Source, is_plain

T = TypeVar("T")
Column = Callable[[list["Job"], Sequence[Any]], list[Any]]  # completes values; what is to be asked joins the jobs


class Leaf(NamedTuple):
    """A field that is completed within its object's expression."""

    read: Read
    type: GraphQLOutputType


class Deep(NamedTuple):
    """A field that is read at once, and completed as a column."""

    read: Read
    complete: Column


class Relation(NamedTuple):
    """A field that is asked for all objects of the level; `asked` is the same for arguments written the same way."""

    key: str
    level: Callable[..., Any]
    given: Given
    asked: str
    complete: Column


Part = Leaf | Deep | Relation | str  # a string is a constant


class Job(NamedTuple):
    """A relation, the objects to ask it for, and the answers that wait for it."""

    relation: Relation
    objects: Sequence[Any]
    rows: list[dict[str, Any]]


def objects(kind: GraphQLObjectType, parts: Mapping[str, Part]) -> Column:
    """Return what completes objects of one type."""
    source = Source()
    entries: list[str] = []
    deep: list[tuple[Callable[[Any], Any], Column]] = []
    for key, part in parts.items():
        if isinstance(part, Deep):
            entries.append(f"{key!r}: c{len(deep)}")
            deep.append((attrgetter(part.read) if isinstance(part.read, str) else part.read, part.complete))
        elif isinstance(part, Leaf):
            entries.append(f"{key!r}: {source.leaf(part.type, source.read(part.read, 'o'))}")
        else:
            # a relation keeps its place until it is asked
            entries.append(f"{key!r}: {part!r}" if isinstance(part, str) else f"{key!r}: None")
    rows_of = source.rows("{" + ", ".join(entries) + "}", [f"c{place}" for place in range(len(deep))])
    relations = [part for part in parts.values() if isinstance(part, Relation)]
    is_type_of: Any = kind.is_type_of if _asks(kind) else None

    def complete(jobs: list[Job], found: Sequence[Any]) -> list[Any]:
        if is_type_of is not None and not all(is_type_of(one, None) is True for one in found):
            raise Bail
        rows = rows_of(found, *[column(jobs, list(map(read, found))) for read, column in deep])
        if rows:
            jobs.extend([Job(relation, found, rows) for relation in relations])
        return rows

    return complete


class _Mute:
    def __getattribute__(self, name: str) -> Any:
        raise AttributeError(name)


def _asks(kind: GraphQLObjectType) -> bool:
    """Tell whether a type looks at an object to say whether it is its own. Most take any, even one that is mute."""
    try:
        return kind.is_type_of is not None and kind.is_type_of(_Mute(), _Mute()) is not True  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 (it looked)
        return True


def leaves(kind: GraphQLOutputType) -> Column:
    """Return what completes a column of leaves."""
    source = Source()
    rows_of = source.rows(source.leaf(kind, "o"))
    return lambda jobs, values: rows_of(values)


def lists(complete: Column) -> Column:
    """Return what completes the items of all lists of a column as one column, and cuts it into lists again."""

    def column(jobs: list[Job], values: Sequence[Any]) -> list[Any]:
        if not set(map(type, values)) <= {list, tuple}:
            raise Bail
        if len(values) == 1:
            return [complete(jobs, values[0])]
        items = iter(complete(jobs, list(chain.from_iterable(values))))
        return [list(islice(items, len(value))) for value in values]

    return column


def abstract(schema: GraphQLSchema, kind: GraphQLAbstractType, concrete: Mapping[str, Column]) -> Column:
    """Return what completes the objects of each type among them as a level of its own."""
    resolve: Any = kind.resolve_type
    info = SimpleNamespace(schema=schema, field_name="", is_awaitable=optimized_is_awaitable)

    def column(jobs: list[Job], values: Sequence[Any]) -> list[Any]:
        places: dict[str, list[int]] = {}
        for place, value in enumerate(values):
            places.setdefault(resolve(value, info, kind), []).append(place)
        made: list[Any] = [None] * len(values)
        for name, same in places.items():
            for place, row in zip(same, concrete[name](jobs, [values[place] for place in same]), strict=True):
                made[place] = row
        return made

    return column


def checked(complete: Column, *, nullable: bool) -> Column:
    """Return what completes a column of lists or objects with the nulls among them."""

    def column(jobs: list[Job], values: Sequence[Any]) -> list[Any]:
        kinds = set(map(type, values))
        if not all(map(is_plain, kinds)) or (NoneType in kinds and not nullable):
            raise Bail
        if NoneType not in kinds:
            return complete(jobs, values)
        rows = iter(complete(jobs, [value for value in values if value is not None]))
        return [None if value is None else next(rows) for value in values]

    return column


async def value(column: Column, context: Any, variables: VariableValues, found: Any) -> Any:
    """Complete one value with everything below it."""
    jobs: list[Job] = []
    (completed,) = column(jobs, [found])
    if jobs:
        await ask(context, variables, jobs)
    return completed


async def ask(context: Any, variables: VariableValues, jobs: Iterable[Job]) -> None:
    """Ask the relations of a level, siblings at once and the same one once, and then those below them."""
    calls: dict[Any, list[Job]] = {}
    for job in jobs:
        calls.setdefault((job.relation.level, job.relation.asked), []).append(job)
    await together([_ask(context, variables, same) for same in calls.values()])


async def _ask(context: Any, variables: VariableValues, jobs: list[Job]) -> None:
    relation = jobs[0].relation
    found = jobs[0].objects if len(jobs) == 1 else [one for job in jobs for one in job.objects]
    values = await relation.level(context, found, relation.given(variables))
    below: list[Job] = []
    start = 0
    for job in jobs:
        end = start + len(job.objects)
        completed = job.relation.complete(below, values[start:end] if len(jobs) > 1 else values)
        for row, value in zip(job.rows, completed, strict=True):
            row[job.relation.key] = value
        start = end
    if below:
        await ask(context, variables, below)


async def together(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run them at once; where one fails, none is left running behind."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            # cancelled with what it is a part of: a second time would reach into how it cleans up
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
