"""The generated source: one list comprehension makes the answers of all objects of a level.

Only response names, attribute names and type names are written into it; everything else is handed in by name.
"""

from collections.abc import Callable, Sequence
from typing import Any

from graphql import GraphQLEnumType, GraphQLLeafType, GraphQLNonNull, GraphQLOutputType, Undefined, get_nullable_type
from strawberry.execution import optimized_is_awaitable

Read = str | Callable[[Any], Any]  # an attribute, or a pure function of the object

# what of GraphQL's own scalars leaves as it is; the rest goes through the type's function
_AS_IT_IS = {
    "String": "type({v} := {read}) is str",
    "ID": "type({v} := {read}) is str",
    "Int": "type({v} := {read}) is int and -2147483648 <= {v} <= 2147483647",
    "Float": "type({v} := {read}) is float and {v} - {v} == 0.0",
    "Boolean": "type({v} := {read}) is bool",
}


class Bail(Exception):
    """What was found is not what the plan is for: the reference executes the operation from the start."""


class Source:
    """Python text with the things it names."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}

    def name(self, thing: Any) -> str:
        """Hand a thing in and return its name."""
        name = f"n{len(self._names)}"
        self._names[name] = thing
        return name

    def read(self, read: Read, item: str) -> str:
        """Write how a field's value is read."""
        return f"{item}.{read}" if isinstance(read, str) else f"{self.name(read)}({item})"

    def leaf(self, kind: GraphQLOutputType, read: str) -> str:
        """Write how a leaf is completed, with its type checked on the way."""
        inner: Any = get_nullable_type(kind)
        convert = self.name(serializer(inner))
        v = f"v{convert}"
        required = isinstance(kind, GraphQLNonNull)
        rest = f"{convert}({v})" if required else f"None if {v} is None else {convert}({v})"
        if isinstance(inner, GraphQLEnumType) and hasattr(inner, "wrapped_cls"):
            # by the member's own name: a member is hashed by a function in Python
            names = self.name({member.name: inner.coerce_output_value(member) for member in inner.wrapped_cls})
            return f"({names}[{v}._name_] if type({v} := {read}) is {self.name(inner.wrapped_cls)} else {rest})"
        if inner.name in _AS_IT_IS:
            return f"({v} if {_AS_IT_IS[inner.name].format(v=v, read=read)} else {rest})"
        return f"{convert}({read})" if required else f"(None if ({v} := {read}) is None else {convert}({v}))"

    def rows(self, expression: str, columns: Sequence[str] = ()) -> Callable[..., list[Any]]:
        """Compile the comprehension over objects `o`, with columns that are already complete beside them."""
        names = ", ".join(["o", *columns])
        each = f"{names} in zip(objects, *columns)" if columns else "o in objects"
        text = f"def rows(objects, *columns):\n    return [{expression} for {each}]\n"
        exec(compile(text, "<compiled selection>", "exec"), self._names)  # noqa: S102 (see the module's docstring)
        made: Callable[..., list[Any]] = self._names["rows"]
        return made


def serializer(kind: GraphQLLeafType) -> Callable[[Any], Any]:
    """Return the type's own coercion, with Bail for what the reference would not coerce: null, an error, a promise."""
    coerce: Any = kind.coerce_output_value
    harmless: set[type] = set()

    def serialize(value: Any) -> Any:
        if type(value) not in harmless:
            if value is None or not is_plain(type(value)) or optimized_is_awaitable(value):
                raise Bail
            harmless.add(type(value))
        coerced = coerce(value)
        if coerced is None or coerced is Undefined:
            raise Bail
        return coerced

    return serialize


def is_plain(kind: type) -> bool:
    """Tell whether the reference takes values of the class for values, and not for errors or promises of one."""
    return not (issubclass(kind, Exception) or hasattr(kind, "__await__") or kind is type(Undefined))
