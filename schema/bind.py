"""Where resolver, GraphQL type and permission meet, and nowhere else.

`query` and `mutation` bind a resolver to a root field and cannot be called without a permission. `relation` binds a
batch function, which gets all parents of a level and answers one value for each: a DataLoader is derived from it here,
and an executor that has the whole level in hand calls the same function directly. `value` is a pure function of one row
and `column` an attribute of it. All of them leave what they bound in the field's metadata.
"""

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import strawberry
from strawberry.types.field import StrawberryField

from authz.permissions import PERMISSIONS
from authz.viewer import Anonymous
from domain.errors import Conflict, DomainError, Forbidden, RateLimited, Timeout, Unauthenticated, Unavailable
from domain.reads import Among
from resolvers.loaders import run_batch
from resolvers.nodes import Found
from schema import ids
from schema.arguments import Argument, input_argument, read_arguments
from schema.errors import UserError, user_error
from schema.sql import id_text

PUBLIC = "public"

Info = strawberry.Info[Any, Any]
Resolver = Callable[..., Awaitable[Any]]
# these say something about the request and not about the input, so they are errors and not data of a payload
_TOP_LEVEL = (Conflict, Unauthenticated, Forbidden, RateLimited, Timeout, Unavailable)


def column(description: str, *, size: int | None = None) -> Any:
    """Bind an attribute of the row; `size` is what the cost of a query counts for a list."""
    return strawberry.field(description=description, metadata={} if size is None else {"size": size})


def value(
    compute: Callable[[Any], Any], graphql_type: Any, description: str, *, size: int | None = None, sql: Any = None
) -> Any:
    """Bind a pure function of the row.

    `sql` says the same as a function from the columns of the row: one expression, or for an object its columns by name.
    """

    def resolve(root: Any) -> Any:
        return compute(root)

    metadata = {"compute": compute, "sql": sql} | ({} if size is None else {"size": size})
    return _field(resolve, graphql_type, description, [], metadata, wants_info=False)


def query(resolver: Resolver, graphql_type: Any, *, permission: str, cut: Any = None, select: Any = None) -> Any:
    """Bind a resolver to a field of Query. Its first paragraph is the field's description.

    Where a look-ahead may answer it: `cut` takes what the resolver takes and returns the Window it would read, or None
    for one it cannot; `select` is the select of what a scope may read, for a resolver that finds one row by its `id`.
    """
    arguments = read_arguments(resolver, skip=1)

    async def answer(context: Any, given: dict[str, Any]) -> Any:
        require(context, permission)
        return await resolver(context, **_converted(arguments, given, context))

    async def resolve(root: Any, info: Info, **given: Any) -> Any:
        return await answer(info.context, given)

    def plan(context: Any, given: dict[str, Any]) -> Any:
        return cut(context, **_converted(arguments, given, context))

    read_id = next((argument.shape.convert for argument in arguments if argument.name == "id"), None)
    look_ahead = {"cut": cut and plan, "select": select, "read_id": read_id}
    metadata = {"permission": permission, "answer": answer, **look_ahead}
    # nullable, so that a refusal here does not take the other root fields of the document with it
    return _field(resolve, graphql_type | None, _described(resolver, permission), arguments, metadata)


def mutation(resolver: Resolver, payload: Any, *, permission: str, rows: str | None = None) -> Any:
    """Bind a resolver to a field of Mutation: one `input`, one payload, expected refusals in its userErrors.

    `rows` names the list of the input whose length multiplies the cost of what is asked back.
    """
    argument = input_argument(resolver)
    parts = {field.name for field in dataclasses.fields(payload)}

    async def resolve(root: Any, info: Info, **given: Any) -> Any:
        require(info.context, permission)
        try:
            wanted = argument.convert(given["input"], "input")
            return _Payload(parts, await resolver(info.context, wanted))
        except _TOP_LEVEL:
            raise
        except DomainError as error:
            return _Payload(parts, {"user_errors": [user_error(error)]})

    metadata = {"permission": permission, "size": 1, "rows": rows}
    return _field(resolve, payload | None, _described(resolver, permission), [argument], metadata)


def subscription(resolver: Resolver, graphql_type: Any, *, permission: str) -> Any:
    """Bind a resolver that answers a feed, whose `admit` decides over each row by the rights of that moment."""
    arguments = read_arguments(resolver, skip=1)

    async def resolve(root: Any, info: Info, **given: Any) -> Any:
        require(info.context, permission)
        return await resolver(info.context, **_converted(arguments, given, info.context))

    described = _described(resolver, permission)
    field = _field(resolve, graphql_type, described, arguments, {"permission": permission, "size": 1})
    field.is_subscription = True
    return field


def relation(
    batch: Resolver,
    graphql_type: Any,
    *,
    permission: str | None = None,
    size: int | None = None,
    each: Any = None,
    among: Among | None = None,
) -> Any:
    """Bind a batch function `(context, parents, **arguments) -> one value per parent`.

    `size` is what the cost of a query counts for a list that takes no `first`. `each` and `among` say the same in SQL:
    `each` as a function `(scope, row, **arguments)` that selects what belongs to one row of an outer statement, `among`
    as the rows of all owners, for lists that are read faster whole than one by one.
    """
    arguments = read_arguments(batch, skip=2)

    def admit(context: Any, given: dict[str, Any]) -> dict[str, Any]:
        if permission is not None:
            require(context, permission)
        return _converted(arguments, given, context)

    async def resolve(root: Any, info: Info, **given: Any) -> Any:
        return await info.context.loaders.load(info.context, batch, root, admit(info.context, given))

    async def level(context: Any, parents: Sequence[Any], given: dict[str, Any]) -> Sequence[Any]:
        return await run_batch(context, batch, parents, admit(context, given))

    description = _described(batch, permission)
    sql = {"each": each, "among": among, "admit": admit}
    metadata = {"batch": batch, "level": level, "permission": permission, **sql} | (
        {} if size is None else {"size": size}
    )
    return _field(resolve, graphql_type, description, arguments, metadata)


def check_permissions(schema: strawberry.Schema) -> strawberry.Schema:
    """Return the schema, or raise TypeError naming a root field that was bound without a known permission."""
    roots: tuple[Any, ...] = (schema.query, schema.mutation, schema.subscription)
    for root in (definition for definition in roots if definition is not None):
        for field in root.__strawberry_definition__.fields:
            permission = field.metadata.get("permission")
            if permission != PUBLIC and permission not in PERMISSIONS:
                raise TypeError(f"{root.__name__}.{field.python_name} needs a permission")
    return schema


class _Payload:
    """What a mutation answers: the parts it changed by name, and null for every part it did not get to."""

    __slots__ = ("_parts",)

    def __init__(self, known: set[str], parts: dict[str, Any]) -> None:
        if not set(parts) <= known:
            raise AssertionError(f"a payload has no {sorted(set(parts) - known)}")
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        return self._parts.get(name, [] if name == "user_errors" else None)


@strawberry.interface(description="What every mutation answers.")
class Payload:
    """The refusals of a mutation, empty where it did all that was asked."""

    user_errors: list[UserError] = column("Why it was refused; empty where it was not.", size=1)

    @classmethod
    def is_type_of(cls, root: Any, info: Any) -> bool:
        return True


@strawberry.interface(description="Anything that has an id.")
class Node:
    """An object of its own, found again by its id."""

    id: strawberry.ID = strawberry.field(description="The object's id: opaque, and for ever the same object's.")

    @classmethod
    def resolve_type(cls, found: Any, info: Any, abstract: Any) -> str:
        return Found.type_of(found)


def entity(description: str) -> Callable[[type], Any]:
    """Declare a type with an id of its own. Its rows come from many places, so no class decides what it is."""

    def declare(cls: type) -> Any:
        kind = cls.__name__

        def own_id(row: Any) -> str:
            return ids.encode(kind, row.id)

        described = "The object's id: opaque, and for ever the same object's."
        cls.id = value(own_id, strawberry.ID, described, sql=partial(id_text, kind))  # type: ignore[attr-defined]
        cls.is_type_of = classmethod(lambda owner, row, info: True)  # type: ignore[attr-defined]
        return strawberry.type(cls, description=description)

    return declare


def require(context: Any, permission: str) -> None:
    """Raise Unauthenticated or Forbidden where the caller has the permission nowhere."""
    if permission == PUBLIC:
        return
    if isinstance(context.viewer, Anonymous):
        raise Unauthenticated
    context.scope.require(permission)


def _described(resolver: Resolver, permission: str | None) -> str:
    sentence = inspect.cleandoc(resolver.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    if not sentence:
        raise TypeError(f"{resolver.__qualname__} needs a docstring: it is what the schema says")
    return f"{sentence} Needs {permission}." if permission not in (None, PUBLIC) else sentence


def _converted(arguments: list[Argument], given: dict[str, Any], context: Any) -> dict[str, Any]:
    return {argument.name: argument.take(given, context) for argument in arguments}


def _size(arguments: list[Argument]) -> dict[str, int]:
    """What a nested list counts in the cost of a query where its `first` is left to the default."""
    sizes = [argument.default for argument in arguments if argument.name == "first"]
    return {"size": sizes[0]} if sizes else {}


def _field(
    resolve: Callable[..., Any],
    graphql_type: Any,
    description: str,
    arguments: list[Argument],
    metadata: dict[str, Any],
    *,
    wants_info: bool = True,
) -> StrawberryField:
    """Give strawberry the signature it reads arguments from, and declare the field."""
    parameters = [inspect.Parameter("root", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Any)]
    if wants_info:
        parameters.append(inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info))
    parameters += [parameter for argument in arguments for parameter in argument.parameters()]
    resolve.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    resolve.__annotations__ = {p.name: p.annotation for p in parameters}
    made: StrawberryField = strawberry.field(
        resolver=resolve,
        graphql_type=graphql_type,
        description=description,
        metadata={**metadata, "arguments": arguments, **_size(arguments)},
    )
    return made


__all__ = [
    "PUBLIC",
    "Node",
    "Payload",
    "check_permissions",
    "column",
    "entity",
    "mutation",
    "query",
    "relation",
    "require",
    "subscription",
    "value",
]
