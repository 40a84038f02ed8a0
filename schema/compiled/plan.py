"""From an operation to a plan. graphql-core collects the fields, so merging, fragments and directives are its own."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import strawberry
from graphql import (
    GraphQLError,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    OperationType,
    get_nullable_type,
    is_abstract_type,
    is_leaf_type,
    is_object_type,
    print_ast,
)
from graphql.execution import collect_fields as core
from graphql.execution.values import VariableValues

from domain.errors import DomainError
from schema.compiled import complete
from schema.compiled.arguments import Given, bind_arguments
from schema.compiled.code import Bail
from schema.written import Written

MAX_FIELDS = 5_000  # of one plan
TRIES, RETRY_CALLS, RETRY_SECONDS = 3, 16, 30.0
MAX_CALLERS = 64  # whose refusals a plan remembers

Details: TypeAlias = list[core.FieldDetails]
PlanRoot: TypeAlias = Callable[..., Any]  # of lookahead: the statement that answers a whole root field, or None


class Root(NamedTuple):
    """A root field of a query."""

    key: str
    answer: Callable[[Any, dict[str, Any]], Any]
    given: Given
    column: complete.Column
    statement: Any


class Falls:
    """How often a plan fell back in a row."""

    def __init__(self) -> None:
        self._count = self._skipped = 0
        self._last = 0.0

    def add(self) -> None:
        """Count one more."""
        self._count += 1
        self._last = time.monotonic()

    def rests(self) -> bool:
        """Tell whether it is not worth a try now."""
        if self._count < TRIES:
            return False
        self._skipped += 1
        return self._skipped % RETRY_CALLS != 0 and time.monotonic() - self._last < RETRY_SECONDS


class NotGiven(Exception):
    """The caller gave what cannot be an argument, by a variable that may have it."""


class Plan:
    """What executes an operation. One that keeps falling back rests, but for a try now and then."""

    def __init__(self) -> None:
        self.keys: dict[str, str | None] = {}  # the answer's in their order, with what is constant
        self.roots: list[Root] = []
        self.payloads: dict[str, complete.Column] = {}  # of a mutation, which runs by an executor of its own
        self.mutation: type[Any] | None = None
        self.is_one_row = False  # by its id, read by a statement
        self.falls: OrderedDict[str | None, Falls] = OrderedDict()

    async def query(self, context: Any, values: VariableValues) -> tuple[dict[str, Any], int | None]:
        """Return the data of a query, and how many fields it has where that is known without looking at it.

        Any exception means that the reference has to execute it.
        """
        data: dict[str, Any] = dict(self.keys)
        if len(self.roots) == 1:
            below = [await _answer(self.roots[0], context, values, data)]
        else:
            below = await complete.together([_answer(root, context, values, data) for root in self.roots])
        known = [fields for fields in below if fields is not None]
        return data, len(data) + sum(known) if len(known) == len(below) else None

    def rests(self, context: Any) -> bool:
        """Tell whether this call is for the reference at once."""
        if not self.falls:
            return False
        names = (None, context.viewer.principal)
        return any(falls.rests() for name in names if (falls := self.falls.get(name)) is not None)

    def has_fallen(self, context: Any) -> bool:
        """Tell whether it did not hold for this caller, or for anybody, the last time."""
        return None in self.falls or context.viewer.principal in self.falls

    def note(self, context: Any, error: Exception | None) -> None:
        """Remember whether the plan held. What a caller is refused is theirs alone; a fault is everybody's."""
        if error is not None:
            name = context.viewer.principal if isinstance(error, DomainError | NotGiven) else None
            self.falls.setdefault(name, Falls()).add()
            if len(self.falls) > MAX_CALLERS:
                self.falls.popitem(last=False)
        elif self.falls:
            self.falls.pop(None, None)
            self.falls.pop(context.viewer.principal, None)


async def _answer(root: Root, context: Any, values: VariableValues, data: dict[str, Any]) -> int | None:
    """Answer a root field, and return how many fields are below it where that is known."""
    written: Written | None = None if root.statement is None else await root.statement.run(context, root.given, values)
    if written is not None:
        data[root.key], fields = written
        return fields
    try:
        given = root.given(values)
    except GraphQLError as error:
        raise NotGiven from error
    found = await root.answer(context, given)
    data[root.key] = await complete.value(root.column, context, values, found)
    return None


class Planner:
    """Plans an operation for one set of skip and include values. Whatever it raises: this is for the reference."""

    def __init__(
        self, schema: strawberry.Schema, operation: Any, values: VariableValues, plan_root: PlanRoot | None
    ) -> None:
        self.fields = 0
        self._schema = schema
        self._core = schema._schema  # noqa: SLF001 (strawberry has no public name for it)
        self._operation = operation
        self._values = values
        self._plan_root = plan_root

    def plan(self) -> Plan:
        """Return the plan."""
        node, plan = self._operation.node, Plan()
        root = self._core.get_root_type(node.operation)
        if root is None or node.operation is OperationType.SUBSCRIPTION:
            raise Bail
        fields = self._counted(core.collect_fields(self._core, self._operation.fragments, self._values, root, node))
        for key, details in fields.items():
            plan.keys[key] = root.name if _name(details) == "__typename" else None
            if plan.keys[key] is not None:
                continue
            field, bound = self._field(root, details)
            column = self._column(field.type, details)
            if node.operation is OperationType.QUERY:
                statement = self._plan_root and self._plan_root(self._core, field, details, self.collect)
                given = bind_arguments(self._schema, field, details[0].node)
                plan.roots.append(Root(key, bound.metadata["answer"], given, column, statement))
            elif is_object_type(get_nullable_type(field.type)):
                plan.payloads[key] = column
            else:
                raise Bail
        plan.is_one_row = len(plan.roots) == 1 and hasattr(plan.roots[0].statement, "reader")
        return plan

    def collect(self, kind: GraphQLObjectType, details: Details) -> dict[str, Details]:
        """Return what is asked of an object type in the place of a field."""
        asked = self._operation
        return self._counted(
            core.collect_subfields(self._core, asked.fragments, self._values, asked.node, kind, details)
        )

    def _counted(self, collected: core.CollectedFields) -> dict[str, Details]:
        self.fields += len(collected.grouped_field_set)
        if collected.new_defer_usages or self.fields > MAX_FIELDS:
            raise Bail
        return collected.grouped_field_set

    def _field(self, parent: GraphQLObjectType, details: Details) -> tuple[GraphQLField, Any]:
        field = self._core.get_field(parent, _name(details))
        bound = field and field.extensions.get("strawberry-definition")
        if field is None or bound is None:
            raise Bail
        return field, bound

    def _column(self, kind: GraphQLOutputType, details: Details) -> complete.Column:
        inner: Any = get_nullable_type(kind)
        if is_leaf_type(inner):
            return complete.leaves(kind)
        if isinstance(inner, GraphQLList):
            column = complete.lists(self._column(inner.of_type, details))
        elif is_abstract_type(inner):
            concrete = {found.name: self._objects(found, details) for found in self._core.get_possible_types(inner)}
            column = complete.abstract(self._core, inner, concrete)
        else:
            column = self._objects(inner, details)
        return complete.checked(column, nullable=not isinstance(kind, GraphQLNonNull))

    def _objects(self, kind: GraphQLObjectType, details: Details) -> complete.Column:
        fields = self.collect(kind, details)
        return complete.objects(kind, {key: self._part(kind, key, found) for key, found in fields.items()})

    def _part(self, parent: GraphQLObjectType, key: str, details: Details) -> complete.Part:
        if _name(details) == "__typename":
            return parent.name
        field, bound = self._field(parent, details)
        level, compute = bound.metadata.get("level"), bound.metadata.get("compute")
        if level is not None:
            given = bind_arguments(self._schema, field, details[0].node)
            asked = " ".join(print_ast(argument) for argument in details[0].node.arguments or ())
            return complete.Relation(key, level, given, asked, self._column(field.type, details))
        if compute is None and not (bound.is_basic_field and bound.default_resolver is getattr):
            raise Bail
        read = compute or bound.python_name
        leaf = is_leaf_type(get_nullable_type(field.type))
        return complete.Leaf(read, field.type) if leaf else complete.Deep(read, self._column(field.type, details))


def _name(details: Details) -> str:
    return details[0].node.name.value
