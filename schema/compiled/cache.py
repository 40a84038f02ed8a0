"""The operations in use with their plans, kept up to a number of bytes."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    coerce_input_value,
    get_nullable_type,
    get_operation_ast,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.collect_fields import FragmentDetails
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, input_is_nested_too_deeply
from graphql.utilities.coerce_input_value import coerce_default_value

from schema.compiled.plan import Plan

# measured: a plan with nothing in it, a field with the code generated for it, a character of the document that is held
PLAN_BYTES, FIELD_BYTES, CHARACTER_BYTES = 4_000, 2_000, 160
MAX_VARIANTS = 16  # plans of one operation: one for each set of skip and include values


class RowAsked(NamedTuple):
    """A query for one row by its id: a plan that is kept, and its variables, without what they were coerced from."""

    plan: Plan
    values: VariableValues

    def answered(self, context: Any, row: Any) -> dict[str, Any]:
        """Return the data of the query with this row in it."""
        if self.plan.falls:
            self.plan.note(context, None)
        return {**self.plan.keys, self.plan.roots[0].key: row}


class Operation:
    """One operation of a document, with its plans by the values of its skip and include variables."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode) -> None:
        self.node = node
        self.document = document  # held, so that no other document gets its id
        fragments = [found for found in document.definitions if isinstance(found, FragmentDefinitionNode)]
        self.fragments = {fragment.name.value: FragmentDetails(fragment) for fragment in fragments}
        self.plans: OrderedDict[tuple[Any, ...], tuple[Plan | None, int]] = OrderedDict()
        self.bytes = PLAN_BYTES + CHARACTER_BYTES * (len(document.loc.source.body) if document.loc else 10_000)
        # what graphql-core would find out for each call
        signatures: list[Any] = [get_variable_signature(schema, found) for found in node.variable_definitions or ()]
        self._signatures = [(found, _leaf(found.type)) for found in signatures]
        self._takes_leaves = all(leaf is not None for _, leaf in self._signatures)
        self._turned_away = 0
        self._switches = sorted(set(_switches([node, *fragments])))

    def coerce(self, variables: dict[str, Any]) -> VariableValues | None:
        """Return the variables as graphql-core's `get_variable_values` does, or None where it has errors to tell."""
        coerced = self._coerced(variables)
        if coerced is None:
            return None
        sent = [(found, variables.get(found.name, Undefined)) for found, _ in self._signatures]
        return VariableValues({found.name: VariableValueSource(found, value) for found, value in sent}, coerced)

    def _coerced(self, variables: dict[str, Any]) -> dict[str, Any] | None:
        coerced: dict[str, Any] = {}
        for signature, leaf in self._signatures:
            sent = variables.get(signature.name, Undefined)
            if leaf is None and input_is_nested_too_deeply(sent, signature.type):
                return None
            if sent is Undefined:
                value = coerce_default_value(signature)
            elif leaf is None or sent is None:
                value = coerce_input_value(sent, signature.type)
            else:
                try:
                    # as `coerce_input_value` comes to do it for a leaf, without asking for every other kind first
                    value = leaf.coerce_input_value(sent)
                except Exception:  # noqa: BLE001 (whatever it is, the reference meets it too and says it)
                    return None
            if value is not Undefined:
                coerced[signature.name] = value
            elif sent is not Undefined or is_non_null_type(signature.type):
                return None
        return coerced

    def variant(self, coerced: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the key of the plan for these variables."""
        if not self._switches:
            return ()
        # another operation's fragment may switch on a name that stands for something else here
        found = [coerced.get(name) for name in self._switches]
        return tuple([value if isinstance(value, bool) else None for value in found])

    def row_asked(self, variables: dict[str, Any]) -> RowAsked | None:
        """Return what is asked where that is one row by its id and has been planned, or None."""
        coerced = self._coerced(variables) if self._takes_leaves else None
        found, _ = (None, 0) if coerced is None else self.plans.get(self.variant(coerced), (None, 0))
        if found is None or coerced is None or not found.is_one_row:
            return None
        return RowAsked(found, VariableValues({}, coerced))

    def is_crowded(self) -> bool:
        """Tell whether to plan no more for now: who turns every switch makes a plan for one call in many only."""
        self._turned_away += len(self.plans) >= MAX_VARIANTS
        return self._turned_away % MAX_VARIANTS != 0


class Operations:
    """The operations. The least used leave when they are too many bytes."""

    def __init__(self, schema: GraphQLSchema, max_bytes: int) -> None:
        self._schema = schema
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[int, str | None], Operation] = OrderedDict()

    def find(self, document: DocumentNode, name: str | None) -> Operation | None:
        """Return the operation that would run, or None where the name does not decide it."""
        key = (id(document), name)
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        node = get_operation_ast(document, name)
        if node is None:
            return None
        made = self._kept[key] = Operation(self._schema, document, node)
        self._grow(made.bytes)
        return made

    def keep(self, operation: Operation, variant: tuple[Any, ...], plan: Plan | None, fields: int) -> None:
        """Keep a plan, or that there is none."""
        size = PLAN_BYTES + FIELD_BYTES * fields
        operation.plans[variant] = plan, size
        if len(operation.plans) > MAX_VARIANTS:
            size -= operation.plans.popitem(last=False)[1][1]
        operation.bytes += size
        if operation in self._kept.values():
            self._grow(size)

    def _grow(self, size: int) -> None:
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].bytes

    def __len__(self) -> int:
        return len(self._kept)


def _leaf(kind: Any) -> Any:
    """Return the scalar or enum that a type is, nullable or not, or None."""
    inner = get_nullable_type(kind)
    return inner if is_leaf_type(inner) else None


def _switches(nodes: list[Any]) -> Iterator[str]:
    """Yield the variables that the directives of the selections take."""
    for node in nodes:
        for directive in node.directives or ():
            for argument in directive.arguments or ():
                if isinstance(argument.value, VariableNode):
                    yield argument.value.name.value
        below = getattr(node, "selection_set", None)
        yield from _switches(below.selections if below else [])
