"""Arguments of a field, coerced by graphql-core and converted by strawberry to what the resolver would be given.

What holds no variable is coerced once, at plan time.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import strawberry
from graphql import ArgumentNode, FieldNode, GraphQLArgument, GraphQLField, Undefined, VariableNode
from graphql.execution.values import VariableValues, coerce_argument
from strawberry.schema.compat import is_scalar
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.base import StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition

Given = Callable[[VariableValues | None], dict[str, Any]]


def bind_arguments(schema: strawberry.Schema, field: GraphQLField, node: FieldNode) -> Given:
    """Return what makes the keyword arguments of a resolver; raises GraphQLError for a constant that cannot be one."""
    sent = {argument.name.value: argument for argument in node.arguments or ()}
    fixed: dict[str, Any] = {}
    made: list[tuple[str, Callable[[Any], Any], Callable[[Any], Any] | None]] = []
    for argument in field.extensions["strawberry-definition"].arguments:
        name = schema.config.name_converter.from_argument(argument)
        coerce = partial(_coerced, node, name, field.args[name], sent.get(name))
        convert = _conversion(schema, argument, name)
        if name in sent and _holds_variable(sent[name].value):
            made.append((argument.python_name, coerce, convert))
        elif (constant := coerce(None)) is not Undefined:
            if convert is None and not isinstance(constant, dict | list):
                fixed[argument.python_name] = constant
            else:
                # a resolver may change what it is given, so each is given its own
                made.append((argument.python_name, partial(_constant, constant), convert or deepcopy))

    def given(values: VariableValues | None) -> dict[str, Any]:
        arguments = dict(fixed)
        for name, coerce, convert in made:
            if (value := coerce(values)) is not Undefined:
                arguments[name] = convert(value) if convert else value
        return arguments

    return given


def _constant(constant: Any, values: VariableValues | None) -> Any:
    return constant


def _coerced(
    node: FieldNode, name: str, argument: GraphQLArgument, sent: ArgumentNode | None, values: VariableValues | None
) -> Any:
    coerced: dict[str, Any] = {}
    coerce_argument(coerced, node, name, argument, sent, values, None)
    return coerced.get(name, Undefined)


def _holds_variable(node: Any) -> bool:
    inner = getattr(node, "values", ()) or [field.value for field in getattr(node, "fields", ())]
    return isinstance(node, VariableNode) or any(map(_holds_variable, inner))


def _conversion(schema: strawberry.Schema, argument: StrawberryArgument, name: str) -> Callable[[Any], Any] | None:
    """Return strawberry's conversion, or None for what it keeps as it is: scalars and enums."""
    registry = schema.schema_converter.scalar_registry
    kind: Any = argument.type
    inner = kind.of_type if type(kind) is StrawberryOptional else kind
    if is_scalar(inner, registry) or isinstance(inner, StrawberryEnumDefinition):
        return None
    return partial(convert_argument, type_=kind, scalar_registry=registry, config=schema.config, path=(name,))
