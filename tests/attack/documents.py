"""Documents made from a schema itself, so that a field added tomorrow is asked about tomorrow."""

from collections.abc import Iterator
from typing import Any

from graphql import (
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from schema.ids import decode

SIZES = {"lastOrders": "(first: 2)", "grants": "(first: 5)", "tags": "(first: 5)", "lines": "(first: 2)"}


def lists(schema: GraphQLSchema) -> dict[str, GraphQLObjectType]:
    """Return the list fields of Query with the type of their rows."""
    assert schema.query_type
    found: dict[str, GraphQLObjectType] = {}
    for name, field in schema.query_type.fields.items():
        connection = get_named_type(field.type)
        if connection.name.endswith("Connection"):
            assert isinstance(connection, GraphQLObjectType)
            row = get_named_type(connection.fields["nodes"].type)
            assert isinstance(row, GraphQLObjectType)
            found[name] = row
    return found


def selections(owner: GraphQLObjectType, depth: int) -> str:
    """Select the ids of an object and, `depth` relations deep, of everything it leads to; empty where there is none."""
    own = [name for name, field in owner.fields.items() if get_named_type(field.type).name == "ID"]
    return " ".join([*own, *branches(owner, depth)])


def branches(owner: GraphQLObjectType, depth: int) -> Iterator[str]:
    """Yield the same selections, one relation of the object at a time, so that each fits the limits of a request."""
    for name, field in owner.fields.items() if depth else ():
        target = get_named_type(field.type)
        needs_more = any(is_required_argument(argument) for argument in field.args.values())
        if isinstance(target, GraphQLObjectType) and not needs_more and (inner := selections(target, depth - 1)):
            yield f"{name}{SIZES.get(name, '')} {{ {inner} }}"


def entities(schema: GraphQLSchema) -> set[str]:
    """Return the names of the types whose objects have an id."""
    return {
        name for name, kind in schema.type_map.items() if isinstance(kind, GraphQLObjectType) and "id" in kind.fields
    }


def inputs_of(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Yield (where, type name) of every argument and input field a client can fill."""
    for name, kind in schema.type_map.items():
        for field_name, field in getattr(kind, "fields", {}).items():
            if hasattr(field, "args"):
                for argument_name, argument in field.args.items():
                    yield f"{name}.{field_name}({argument_name})", get_named_type(argument.type).name
            elif is_leaf_type(get_named_type(field.type)):
                yield f"{name}.{field_name}", get_named_type(field.type).name


def ids_in(value: Any) -> Iterator[tuple[str, int]]:
    """Yield kind and number of every id in an answer."""
    if isinstance(value, list):
        for item in value:
            yield from ids_in(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str) and (name == "id" or name.endswith("Id")):
                yield decode(item, name)
            else:
                yield from ids_in(item)
