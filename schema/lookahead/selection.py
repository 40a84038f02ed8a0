"""What is asked below a root field, as far as SQL can answer it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    Visitor,
    get_named_type,
    is_leaf_type,
    visit,
)
from graphql.execution.collect_fields import FieldDetails

from schema.lookahead.text import NotInSql

Collect = Callable[[GraphQLObjectType, list[FieldDetails]], Mapping[str, list[FieldDetails]]]


class Asked(NamedTuple):
    """One field: its key in the answer, the field of the schema (None for __typename) and what is asked below it."""

    key: str
    node: FieldNode
    field: GraphQLField | None
    below: "Selection | None"

    @property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.node.name.value

    @property
    def bound(self) -> Any:
        """What schema/bind.py made of it."""
        return None if self.field is None else self.field.extensions["strawberry-definition"]


class Selection(NamedTuple):
    """The fields asked of one object type, in the order of the answer."""

    type: GraphQLObjectType
    asked: Sequence[Asked]


class Reader:
    """Reads selections with the executor's own collecting of fields."""

    def __init__(self, schema: GraphQLSchema, collect: Collect) -> None:
        self._schema = schema
        self._collect = collect

    def below(self, field: GraphQLField, details: list[FieldDetails]) -> Selection | None:
        """Return what is asked below a field, None for a leaf. Raises NotInSql."""
        kind = get_named_type(field.type)
        if is_leaf_type(kind):
            return None
        if not isinstance(kind, GraphQLObjectType):
            raise NotInSql(kind)
        return Selection(kind, [self._asked(kind, key, same) for key, same in self._collect(kind, details).items()])

    def _asked(self, parent: GraphQLObjectType, key: str, details: list[FieldDetails]) -> Asked:
        node = details[0].node
        if node.name.value == "__typename":
            return Asked(key, node, None, None)
        field = self._schema.get_field(parent, node.name.value)
        if field is None or "strawberry-definition" not in field.extensions:
            raise NotInSql(key)
        return Asked(key, node, field, self.below(field, details))


def written(selection: Selection) -> Selection:
    """Return the selection where every field of it can be written by SQL; raise NotInSql where one cannot."""
    for asked in selection.asked:
        bound = asked.bound
        if bound is None or bound.is_basic_field:
            continue
        if not any(bound.metadata.get(name) for name in ("sql", "each", "among")):
            raise NotInSql(asked.key)
        if asked.below is not None:
            written(asked.below)
    return selection


def arguments_below(selection: Selection) -> list[ArgumentNode]:
    """Return the arguments of all fields of the selection, those that come by fragments too."""
    found: list[ArgumentNode] = []
    for asked in selection.asked:
        found += asked.node.arguments or ()
        found += arguments_below(asked.below) if asked.below else []
    return found


def relations_below(selection: Selection) -> int:
    """Count the relations of the selection: each is a sub-select, or a join."""
    relates = sum(1 for asked in selection.asked if asked.bound is not None and "level" in asked.bound.metadata)
    return relates + sum(relations_below(asked.below) for asked in selection.asked if asked.below)


def variables_of(arguments: Sequence[ArgumentNode]) -> list[str]:
    """Return the name of every variable in the arguments, once for each place it stands in."""
    found: list[str] = []

    class Names(Visitor):
        def enter_variable(self, node: Any, *_: Any) -> None:
            found.append(node.name.value)

    for argument in arguments:
        visit(argument, Names())
    return found
