"""A root field that one statement answers: what the statement is compiled for, and where it is kept."""

from collections.abc import Callable, Hashable, Mapping
from hashlib import blake2b
from itertools import count
from typing import Any

import orjson
from graphql import FieldNode, NullValueNode, VariableNode
from graphql.execution.values import VariableValues

from domain.errors import BadInput, DomainError
from schema.bind import require
from schema.lookahead.kept import Kept, Statement
from schema.lookahead.selection import Selection, arguments_below, variables_of
from schema.lookahead.text import NotInSql

_NUMBERS = count()
# beyond these a statement costs more to make, to keep and to plan than it saves
MAX_TEXT, MAX_VARIABLE_BYTES, MAX_BREADTH = 32_000, 4_000, 100
Given = Callable[[VariableValues], dict[str, Any]]  # the arguments as the resolver takes them


class Root:
    """A root field: what was bound to it, what is asked below it, and which variables change from call to call."""

    changing: tuple[str, ...] = ()

    def __init__(self, kept: Kept, metadata: Mapping[str, Any], node: FieldNode, below: Selection) -> None:
        self._kept = kept
        # kept by a number and not by itself: what was compiled must not keep a plan alive that was dropped
        self._number = next(_NUMBERS)
        self._metadata = metadata
        self._below = below
        # fields that merge have the same arguments
        arguments = node.arguments or ()
        self._given = {a.name.value: a.value for a in arguments if a.name.value in self.changing}
        everywhere = variables_of(arguments) + variables_of(arguments_below(below))
        own = {value.name.value for value in self._given.values() if isinstance(value, VariableNode)}
        # what the statement is compiled for: all that stands here and below, but what is bound at each call
        self._fixed = sorted(name for name in set(everywhere) if name not in own or everywhere.count(name) > 1)

    def _changed(self, variables: VariableValues) -> dict[str, Any]:
        """Return what was given for the arguments that change, but nulls."""
        given = self._given.items()
        return {name: found for name, value in given if (found := sent(value, variables)) is not None}

    def _find(
        self, context: Any, variables: VariableValues, shape: object, build: Callable[[], Statement]
    ) -> Statement | None:
        """Return the statement for these rights, variables and shape of a call, built where it is worth it."""
        key = self._key(context, variables, shape)
        kept = None if key is None else self._kept.get(key)
        return self._built(key, build) if kept is None and key is not None else kept

    def _key(self, context: Any, variables: VariableValues, shape: object) -> Hashable | None:
        """Say what the statement is kept by, or None where none is made; raise DomainError for who may not ask."""
        require(context, self._metadata["permission"])
        digest = self._digest(variables) if self._fixed else b""
        if digest is None or context.scope.breadth > MAX_BREADTH:
            return None
        return self._number, context.scope.digest, context.max_page, shape, digest

    def _built(self, key: Hashable, build: Callable[[], Statement]) -> Statement | None:
        def built() -> Statement | None:
            try:
                made = build()
            except (NotInSql, DomainError) as error:
                if isinstance(error, BadInput) and error.field in [(name,) for name in self.changing]:
                    raise  # the next call may have a better one
                return None  # whoever answers in another way says what is wrong
            return made if all(len(one.text) <= MAX_TEXT for one in made.prepared()) else None

        return self._kept.find(key, built)

    def _digest(self, variables: VariableValues) -> bytes | None:
        """Say what the variables are that the statement is compiled for, or None where they are too many bytes."""
        fixed = {name: variables.coerced[name] for name in self._fixed if name in variables.coerced}
        written = orjson.dumps(fixed, default=repr)
        return blake2b(written, digest_size=16).digest() if len(written) <= MAX_VARIABLE_BYTES else None


def sent(value: Any, variables: VariableValues) -> Any:
    """Return what was given for an argument, a literal or the value of a variable, or None."""
    if isinstance(value, VariableNode):
        return variables.coerced.get(value.name.value)
    return None if isinstance(value, NullValueNode) else value.value
