"""Limits on input values: the length of arrays, the depth of nesting and the size of numbers."""

from collections.abc import Mapping
from typing import Any

from graphql import ListValueNode, ObjectValueNode, ValueNode

from domain.errors import BadInput
from schema.limits import Limits

INT64 = 2**63


def check_literal(node: ValueNode, name: str, limits: Limits) -> None:
    """Refuse a literal with too long an array or too deep a nesting; raise BadInput naming the argument."""
    stack: list[tuple[ValueNode, int]] = [(node, 0)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, ListValueNode):
            _check_container(len(value.values), depth, name, limits)
            stack.extend((item, depth + 1) for item in value.values)
        elif isinstance(value, ObjectValueNode):
            _check_container(0, depth, name, limits)
            stack.extend((item.value, depth + 1) for item in value.fields)


def check_variables(variables: Mapping[str, Any], limits: Limits) -> None:
    """Refuse variables with too long an array, too deep a nesting or an integer over 64 bits; raise BadInput."""
    for name, root in variables.items():
        if isinstance(root, str):
            continue
        stack: list[tuple[Any, int]] = [(root, 0)]
        while stack:
            value, depth = stack.pop()
            if isinstance(value, list):
                _check_container(len(value), depth, name, limits)
                stack.extend((item, depth + 1) for item in value)
            elif isinstance(value, dict):
                _check_container(0, depth, name, limits)
                stack.extend((item, depth + 1) for item in value.values())
            elif isinstance(value, int) and not -INT64 <= value < INT64:
                raise BadInput(f"`{name}` holds an integer over 64 bits.", field=(name,))


def _check_container(items: int, depth: int, name: str, limits: Limits) -> None:
    if items > limits.input_items:
        raise BadInput(f"`{name}` holds more than {limits.input_items} items in one list.", field=(name,))
    if depth >= limits.input_depth:
        raise BadInput(f"`{name}` is nested deeper than {limits.input_depth} levels.", field=(name,))
