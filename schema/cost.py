"""The cost of a selection as an expression: folded to a number except where a variable gives a page size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLNamedType,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    Undefined,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)

from domain.errors import BadInput
from schema.limits import CEILING

PAGE_ARGUMENTS = ("first", "last", "limit")
ROWS = "rows"
DEFAULT_SIZE = 100
NO_VALUES: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Size:
    """One argument that says how many: a literal number, or the name of the variable that holds it."""

    argument: str
    literal: int | None = None
    variable: str | None = None
    # in a mutation's input object, the list whose rows are counted
    rows: str | None = None

    @property
    def is_length(self) -> bool:
        """Tell whether it is the length of a list that was sent, and not a page that is asked for."""
        return self.argument in ("ids", ROWS)

    def resolve(self, values: Mapping[str, Any]) -> int | None:
        """Return the number, the length for a list of ids, or None where none is given."""
        if self.variable is None:
            return self.literal
        value = values.get(self.variable)
        if self.rows is not None:
            value = value.get(self.rows) if isinstance(value, dict) else None
        if self.is_length:
            return len(value) if isinstance(value, list) else 1
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Page:
    """How many objects one field may answer."""

    field: str
    sizes: tuple[Size, ...]
    default: int
    required: bool

    @property
    def constant(self) -> bool:
        """Tell whether no variable has a say."""
        return all(size.variable is None for size in self.sizes)

    def factor(self, values: Mapping[str, Any]) -> int:
        """Return the largest size given, or the default."""
        given = [number for size in self.sizes if (number := size.resolve(values)) is not None]
        return max(*given, 1) if given else self.default

    def check(self, values: Mapping[str, Any], max_page: int, max_ids: int) -> None:
        """Refuse a page outside 1..max_page, too many ids, or a connection without a page size; raise BadInput."""
        given = False
        for size in self.sizes:
            number = size.resolve(values)
            if number is None:
                continue
            given = True
            if size.argument == "ids" and number > max_ids:
                raise BadInput(f"`{self.field}` takes at most {max_ids} ids.", field=("ids",))
            if not size.is_length and not 1 <= number <= max_page:
                message = f"`{size.argument}` of `{self.field}` must be between 1 and {max_page}."
                raise BadInput(message, field=(size.argument,))
        if self.required and not given:
            raise BadInput(f"`{self.field}` needs `first` or `last`.", field=("first",))


@dataclass(frozen=True, slots=True)
class Cost:
    """A number plus products of a page and the cost below it."""

    number: int = 0
    terms: tuple[tuple[Page, "Cost"], ...] = ()

    def plus(self, other: "Cost") -> "Cost":
        """Add, stopping at the ceiling."""
        return Cost(min(self.number + other.number, CEILING), self.terms + other.terms)

    def evaluate(self, values: Mapping[str, Any]) -> int:
        """Return the points for these variables; as many steps as there are expanded fields, at most."""
        total = self.number
        for page, inner in self.terms:
            total += page.factor(values) * inner.evaluate(values)
        return min(total, CEILING)


def scale(page: Page, children: Cost) -> Cost:
    """Return size * (1 + children): now where the size is known, else as a term."""
    inner = Cost(min(children.number + 1, CEILING), children.terms)
    if not page.constant:
        return Cost(0, ((page, inner),))
    factor = page.factor(NO_VALUES)
    if factor == 1:
        return inner
    if not inner.terms:
        return Cost(min(factor * inner.number, CEILING))
    return Cost(0, ((page, inner),))


def page_of(node: FieldNode, definition: GraphQLField | None, parent: GraphQLNamedType | None) -> Page:
    """Read how many objects a field may answer from its arguments, its type and its `size` metadata."""
    name = node.name.value
    sizes = tuple(
        size
        for argument in node.arguments or ()
        if _is_size(argument.name.value, definition)
        and (size := _size(argument.name.value, argument.value)) is not None
    )
    default, required = _default(name, definition, parent)
    return Page(name, sizes + _rows(node, _metadata(definition).get(ROWS)), default, required)


def _metadata(definition: GraphQLField | None) -> Mapping[str, Any]:
    strawberry_field = definition.extensions.get("strawberry-definition") if definition else None
    found: Mapping[str, Any] = getattr(strawberry_field, "metadata", {})
    return found


def _rows(node: FieldNode, name: str | None) -> tuple[Size, ...]:
    """Read how many rows a batch mutation is sent: the list `name` of its `input`."""
    given = next((a.value for a in node.arguments or () if name and a.name.value == "input"), None)
    if isinstance(given, VariableNode):
        return (Size(ROWS, variable=given.name.value, rows=name),)
    fields = given.fields if isinstance(given, ObjectValueNode) else ()
    sent = next((field.value for field in fields if field.name.value == name), None)
    if isinstance(sent, VariableNode):
        return (Size(ROWS, variable=sent.name.value),)
    return (Size(ROWS, literal=len(sent.values)),) if isinstance(sent, ListValueNode) else ()


def _is_size(argument: str, definition: GraphQLField | None) -> bool:
    if argument == "ids":
        return True
    if argument not in PAGE_ARGUMENTS:
        return False
    known = definition.args.get(argument) if definition else None
    return known is None or get_named_type(known.type).name == "Int"


def _size(argument: str, value: object) -> Size | None:
    if isinstance(value, VariableNode):
        return Size(argument, variable=value.name.value)
    if argument == "ids":
        return Size(argument, literal=len(value.values) if isinstance(value, ListValueNode) else 1)
    if isinstance(value, IntValueNode):
        # Ten digits hold every 32-bit number, and thousands of them are dear to read.
        return Size(argument, literal=int(value.value) if len(value.value) < 11 else CEILING)
    return None


def _default(name: str, definition: GraphQLField | None, parent: GraphQLNamedType | None) -> tuple[int, bool]:
    """Return the size when no argument gives one, and whether one must."""
    if definition is None or (parent is not None and parent.name.startswith("__")):
        return 1, False
    declared = _metadata(definition).get("size")
    if isinstance(declared, int):
        return declared, False
    named = get_named_type(definition.type)
    if named.name.endswith("Connection"):
        return _connection_default(definition)
    wrapper = parent is not None and parent.name.endswith("Connection") and name in ("edges", "nodes")
    is_list = is_list_type(get_nullable_type(definition.type)) and not is_leaf_type(named)
    return (DEFAULT_SIZE if is_list and not wrapper else 1), False


def _connection_default(definition: GraphQLField) -> tuple[int, bool]:
    defaults = [definition.args[name].default_value for name in ("first", "last") if name in definition.args]
    numbers = [value for value in defaults if isinstance(value, int)]
    if numbers:
        return max(numbers), False
    return DEFAULT_SIZE, any(value is None or value is Undefined for value in defaults)
