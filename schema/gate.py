"""The gate: what a document asks, measured before the spec's validation rules, the dear part, may run.

A fragment is measured once, not once per path, and counts stop at a ceiling, so no document costs more than its length.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
    value_from_ast_untyped,
)

from domain.errors import Forbidden
from schema.cost import Cost, Page, page_of, scale
from schema.inputs import check_literal, check_variables
from schema.limits import CEILING, Limits, Measure, TooComplex

__all__ = ["Gate", "Limits", "Measure", "TooComplex", "measure"]


def measure(
    document: DocumentNode,
    operation_name: str | None,
    variables: Mapping[str, Any],
    schema: GraphQLSchema,
    limits: Limits,
) -> Measure:
    """Measure a document once; raise TooComplex, BadInput or Forbidden. Keep a `Gate` to measure it again."""
    return Gate(document, schema, limits).measure(operation_name, variables)


class Gate:
    """The measures of one document: walked once, then asked for every set of variables."""

    def __init__(self, document: DocumentNode, schema: GraphQLSchema, limits: Limits) -> None:
        """Walk the document; raise TooComplex or BadInput for what no variable can mend."""
        self.limits = limits
        walk = _Walk(document, schema, limits)
        self.operations = walk.operations
        named = [(node.name.value, index) for index, node in enumerate(self.operations) if node.name]
        self._names = dict(reversed(named))  # the first of a name, until validation refuses the second
        self._costs = [weight.cost for weight in walk.weights]
        self._counts = walk.total.counts()
        self._pages = tuple(walk.pages)
        self._introspects = walk.introspects
        self.is_sized_by_variables = any(not page.constant for page in walk.pages)
        self._constant: dict[int, Measure] = {}
        self._refuse_counts()

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """Return the operation that would run, or None where the name does not decide it."""
        index = self._index(name)
        return None if index is None else self.operations[index]

    def measure(
        self,
        operation_name: str | None,
        variables: Mapping[str, Any],
        *,
        max_page: int | None = None,
        max_cost: int | None = None,
        introspection: bool = False,
    ) -> Measure:
        """Measure with these variables; raise TooComplex, BadInput (page, ids or input too large) or Forbidden."""
        if self._introspects and not introspection:
            raise Forbidden("Introspection is not allowed.")
        if variables:
            check_variables(variables, self.limits)
        index = self._index(operation_name)
        values = variables
        if self.is_sized_by_variables and index is not None:
            values = _with_defaults(self.operations[index], variables)
        for page in self._pages:
            page.check(values, max_page or self.limits.page, self.limits.ids)
        found = self._found(index, values)
        most = self.limits.cost if max_cost is None else max_cost
        if found.cost > most:
            raise TooComplex.over("cost", found.cost, most, found)
        return found

    def _index(self, name: str | None) -> int | None:
        if name is None:
            return 0 if len(self.operations) == 1 else None
        return self._names.get(name)

    def _found(self, index: int | None, values: Mapping[str, Any]) -> Measure:
        if index is None:
            return Measure(*self._counts, 0)
        found = self._constant.get(index)
        if found is None:
            found = Measure(*self._counts, self._costs[index].evaluate(values))
            if not self.is_sized_by_variables:
                self._constant[index] = found
        return found

    def _refuse_counts(self) -> None:
        found = Measure(*self._counts, 0)
        for name in ("depth", "aliases", "directives", "fields", "roots"):
            count, most = getattr(found, name), getattr(self.limits, name)
            if count > most:
                raise TooComplex.over(name, count, most, found)


def _with_defaults(operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    defaults = {
        node.variable.name.value: value_from_ast_untyped(node.default_value)
        for node in operation.variable_definitions or ()
        if node.default_value is not None
    }
    return {**defaults, **variables} if defaults else variables


@dataclass(frozen=True, slots=True)
class _Weight:
    """The expanded counts of a selection set; `roots` counts its own fields only."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    roots: int = 0
    cost: Cost = field(default_factory=Cost)

    def counts(self) -> tuple[int, int, int, int, int]:
        return self.depth, self.aliases, self.directives, self.fields, self.roots

    def plus(self, other: "_Weight", limit: int) -> "_Weight":
        fields = min(self.fields + other.fields, CEILING)
        # A document over the field limit is refused whatever it costs; its terms would double with every fragment.
        cost = Cost(CEILING) if fields > limit else self.cost.plus(other.cost)
        return _Weight(
            max(self.depth, other.depth),
            min(self.aliases + other.aliases, CEILING),
            min(self.directives + other.directives, CEILING),
            fields,
            min(self.roots + other.roots, CEILING),
            cost,
        )


_ZERO = _Weight()


class _Walk:
    """One pass over a document."""

    def __init__(self, document: DocumentNode, schema: GraphQLSchema, limits: Limits) -> None:
        self.limits = limits
        self.schema = schema
        self.introspects = False
        self.pages: dict[Page, None] = {}
        self._memo: dict[str, _Weight] = {}
        self._active: set[str] = set()
        self._level = 0
        definitions = document.definitions
        self.operations = [node for node in definitions if isinstance(node, OperationDefinitionNode)]
        written = [node for node in definitions if isinstance(node, FragmentDefinitionNode)]
        self._fragments = {node.name.value: node for node in reversed(written)}
        self.weights = [self._operation(node) for node in self.operations]
        self.total = self._total(written)

    def _total(self, written: list[FragmentDefinitionNode]) -> _Weight:
        """Add the operations up, and the fragments none of them reaches: validation walks those too."""
        total = _ZERO
        for weight in self.weights:
            total = total.plus(weight, self.limits.fields)
        for node in written:
            if node.name.value not in self._memo or self._fragments[node.name.value] is not node:
                total = total.plus(self._body(node), self.limits.fields)
        roots = max((weight.roots for weight in self.weights), default=0)
        return _Weight(total.depth, total.aliases, total.directives, total.fields, roots)

    def _operation(self, node: OperationDefinitionNode) -> _Weight:
        count = self._directives(node.directives)
        for definition in node.variable_definitions or ():
            count += self._directives(definition.directives)
            if definition.default_value is not None:
                check_literal(definition.default_value, definition.variable.name.value, self.limits)
        return self._selections(node.selection_set, self.schema.get_root_type(node.operation), count)

    def _selections(self, node: SelectionSetNode, parent: GraphQLNamedType | None, directives: int = 0) -> _Weight:
        self._level += 1
        if self._level > self.limits.nesting:
            raise TooComplex.over("nesting", self._level, self.limits.nesting, Measure(depth=self._level))
        total = _Weight(directives=directives)
        for selection in node.selections:
            total = total.plus(self._selection(selection, parent), self.limits.fields)
        self._level -= 1
        return total

    def _selection(self, node: SelectionNode, parent: GraphQLNamedType | None) -> _Weight:
        directives = self._directives(node.directives)
        if isinstance(node, FieldNode):
            return self._field(node, parent, directives)
        if isinstance(node, FragmentSpreadNode):
            spread = self._fragment(node.name.value)
            return spread.plus(_Weight(directives=directives), self.limits.fields) if directives else spread
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            inner = self.schema.get_type(condition.name.value) if condition else parent
            return self._selections(node.selection_set, inner, directives)
        return _ZERO

    def _fragment(self, name: str) -> _Weight:
        if name in self._memo:
            return self._memo[name]
        if name in self._active or name not in self._fragments:
            return _ZERO  # the spec's rules report cycles and unknown names
        self._active.add(name)
        weight = self._memo[name] = self._body(self._fragments[name])
        self._active.discard(name)
        return weight

    def _body(self, node: FragmentDefinitionNode) -> _Weight:
        condition = self.schema.get_type(node.type_condition.name.value)
        return self._selections(node.selection_set, condition, self._directives(node.directives))

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, directives: int) -> _Weight:
        definition = self._definition(node, parent)
        for argument in node.arguments or ():
            check_literal(argument.value, argument.name.value, self.limits)
        page = page_of(node, definition, parent)
        if page.sizes or page.required:
            self.pages[page] = None
        inner = _ZERO
        if node.selection_set:
            inner = self._selections(node.selection_set, get_named_type(definition.type) if definition else None)
        # The standard introspection query is 15 deep and reads no data; graphql-core has a rule of its own for it.
        own = 0 if parent is not None and parent.name.startswith("__") else 1
        return _Weight(
            inner.depth + own,
            min(inner.aliases + (node.alias is not None), CEILING),
            min(inner.directives + directives, CEILING),
            min(inner.fields + 1, CEILING),
            1,
            scale(page, inner.cost),
        )

    def _definition(self, node: FieldNode, parent: GraphQLNamedType | None) -> GraphQLField | None:
        name = node.name.value
        if name in ("__schema", "__type"):
            self.introspects = True
        return self.schema.get_field(parent, name) if is_composite_type(parent) else None

    def _directives(self, nodes: Iterable[DirectiveNode] | None) -> int:
        count = 0
        for node in nodes or ():
            count += 1
            for argument in node.arguments or ():
                check_literal(argument.value, argument.name.value, self.limits)
        if count > self.limits.directives_per_node:
            most = self.limits.directives_per_node
            raise TooComplex.over("directives on one node", count, most, Measure(directives=count))
        return count
