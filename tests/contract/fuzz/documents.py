"""Random documents made from a schema: each field, argument, fragment and directive it allows, and some it does not."""

import random
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)

from tests.contract.fuzz.faults import fault
from tests.contract.fuzz.literals import OMITTED, literal
from tests.contract.fuzz.pages import PAGE, order_of, window
from tests.contract.fuzz.pools import Pools, Root
from tests.contract.fuzz.values import Values

# an alias may be any name, also one that means something to whoever answers
ALIASES = (
    "data", "errors", "self", "row", "None", "class", "lambda", "_", "__proto__", "constructor", "id", "kind", "name",
    "x" * 200, "context", "fields", "info", "out", "append", "p0", "r", "f", "level", "Fan", "items", "keys",
)  # fmt: skip
# strawberry cannot say it of lists and of what is not null: everybody would get a fault
NEVER = frozenset({"isOneOf"})


@dataclass
class Fragment:
    """A named fragment: what it stands on, how deep it goes, and whether it may be used by other operations."""

    name: str
    on: str
    depth: int
    size: int
    body: str


@dataclass
class Draft:
    """One operation while it is written."""

    values: Values
    fields_left: int
    # whether it keeps to what one statement can answer
    plain: bool
    faults: int = 0
    # (type, key in the answer) -> what stands there, so that whatever is merged can be
    bound: dict[tuple[str, str], str] = field(default_factory=dict)
    roots: list[Root] = field(default_factory=list)


class Writer:
    """Writes operations of one schema, for one caller."""

    def __init__(
        self,
        schema: GraphQLSchema,
        rng: random.Random,
        pools: Pools,
        who: str,
        *,
        hostility: float = 0.0,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.schema = schema
        self.rng = rng
        self.pools = pools
        self.who = who
        self.hostility = hostility
        self.without = without
        self.fragments: dict[str, Fragment] = {}
        self.usable: list[Fragment] = []
        self.aliases = 0
        self.draft = self.new_draft()

    def new_draft(self, faults: int = 0) -> Draft:
        """Begin another operation of the document."""
        size = self.rng.choice((3, 8, 15, 30, 60))
        return Draft(Values(self.rng, self.pools, self.who, self.hostility), size, self.often(0.5), faults)

    def often(self, chance: float) -> bool:
        return self.rng.random() < chance

    def root(self, operation: str, names: list[str], depth: int) -> str:
        """Write the selections of an operation's root."""
        owner = self.schema.query_type if operation == "query" else self.schema.mutation_type
        assert owner
        parts = [self.field(owner, name, depth) for name in names]
        if self.often(0.1):
            parts.append(self.plain(owner, "__typename"))
        if operation == "query" and self.often(0.04):
            parts.append(self.introspection())
        return self.arranged(owner, parts, depth)

    def introspection(self) -> str:
        known = self.rng.choice([*self.schema.type_map, "Nothing"])
        field_name, arguments = self.rng.choice((("__schema", ""), ("__type", f'(name: "{known}")')))
        owner = self.schema.type_map["__Schema" if field_name == "__schema" else "__Type"]
        assert isinstance(owner, GraphQLObjectType)
        inner = self.selections(owner, self.rng.randint(0, 2))
        return f"{self.alias()}: {field_name}{arguments} {{ {inner} }}"

    def selections(self, owner: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> str:
        """Write what is selected of an object."""
        if is_abstract_type(owner):
            parts = self.of_interface(owner, depth)
        else:
            names = self.chosen(owner, depth)
            parts = [self.field(owner, name, depth) for name in names]
        if not parts or self.often(0.12):
            parts.append(self.plain(owner, "__typename"))
        if self.draft.faults and self.often(0.5):
            self.draft.faults -= 1
            parts.append(fault(self.rng, owner))
        return self.arranged(owner, parts, depth)

    def of_interface(self, owner: Any, depth: int) -> list[str]:
        parts = [self.field(owner, name, depth) for name in owner.fields if self.often(0.6)]
        possible = self.schema.get_possible_types(owner)
        some = self.rng.sample(possible, min(len(possible), self.rng.choice((0, 1, 2, 3))))
        return parts + [f"... on {k.name}{self.directives()} {{ {self.selections(k, depth)} }}" for k in some]

    def chosen(self, owner: Any, depth: int) -> list[str]:
        """Choose fields: a few leaves, and as many relations as there is room for."""
        left_out = self.without | NEVER
        names = [name for name in owner.fields if name not in left_out and not self.shuns(owner.fields[name])]
        leaves = [name for name in names if is_leaf_type(get_named_type(owner.fields[name].type))]
        branches = [name for name in names if name not in leaves]
        if self.draft.fields_left <= 0:
            return leaves[:1]
        counts = (0, 0, 1) if owner.name.endswith("Connection") else (0, 1, 1, 2, 3, 5, 20)
        found = self.rng.sample(leaves, min(len(leaves), self.rng.choice(counts)))
        if depth > 0:
            found += self.rng.sample(branches, min(len(branches), self.rng.choice((0, 1, 1, 2, 3))))
            rows = [name for name in ("nodes", "edges") if name in branches]
            if rows and self.often(0.9) and not set(rows) & set(found):
                found.append(self.rng.choice(rows))
        return found

    def shuns(self, definition: GraphQLField) -> bool:
        """Tell whether the document leaves out a field because no statement answers it along with others."""
        metadata = getattr(definition.extensions.get("strawberry-definition"), "metadata", {})
        return self.draft.plain and "level" in metadata and not (metadata.get("each") or metadata.get("among"))

    def arranged(self, owner: Any, parts: list[str], depth: int) -> str:
        """Shuffle, repeat, and put parts of it into fragments."""
        self.rng.shuffle(parts)
        if self.often(0.08):
            parts.append(self.rng.choice(parts))
        if self.often(0.15):
            inside = [parts.pop() for _ in range(self.rng.randint(1, len(parts)))]
            condition = self.rng.choice(
                ["", *(f" on {name}" for name in [owner.name, *self.compatible(owner, inside)])]
            )
            parts.append(f"...{condition}{self.directives()} {{ {' '.join(inside)} }}")
        if depth > 0 and self.draft.fields_left > 0 and self.often(0.12):
            parts.append(self.spread(owner, depth))
        return self.rng.choice((" ", " ", " ", ", ", "\n")).join(parts)

    def compatible(self, owner: Any, parts: list[str]) -> list[str]:
        """Name the interfaces that a part made of nothing but their fields may stand on."""
        return [i.name for i in owner.interfaces if all(part in i.fields for part in parts)]

    def spread(self, owner: Any, depth: int) -> str:
        """Spread a fragment that is there already, or a new one."""
        fitting = {owner.name, *(i.name for i in owner.interfaces)}
        known = [f for f in self.usable if f.on in fitting and f.depth <= depth and f.size <= self.draft.fields_left]
        if known and self.often(0.6):
            found = self.rng.choice(known)
            self.draft.fields_left -= found.size
        else:
            on = self.rng.choice([owner, owner, owner, *owner.interfaces])
            found = self.fragment(on, depth)
        return f"...{found.name}{self.directives()}"

    def fragment(self, on: Any, depth: int) -> Fragment:
        before = self.draft.fields_left
        body = self.selections(on, depth)
        name = f"{self.rng.choice(('F', 'on_', 'fragment', on.name))}{len(self.fragments)}"
        made = Fragment(name, on.name, depth, before - self.draft.fields_left, body)
        self.fragments[name] = made
        self.usable.append(made)
        return made

    def plain(self, owner: Any, name: str) -> str:
        """Write a field without arguments or selections."""
        return f"{self.named(owner, name, '')}{self.directives()}"

    def field(self, owner: Any, name: str, depth: int) -> str:
        """Write a field with its arguments and what is selected of it."""
        self.draft.fields_left -= 1
        definition: GraphQLField = owner.fields[name]
        order, arguments = self.arguments(name, definition)
        written = self.named(owner, name, arguments)
        if owner is self.schema.query_type:
            key = written.split(":", maxsplit=1)[0] if ": " in written.split("(", maxsplit=1)[0] else name
            self.draft.roots.append(Root(key, name, order))
        kind: Any = get_named_type(definition.type)
        inner = "" if is_leaf_type(kind) else f" {{ {self.selections(kind, depth - 1)} }}"
        return f"{written}{self.directives()}{inner}"

    def named(self, owner: Any, name: str, arguments: str) -> str:
        """Give the field a key in the answer under which nothing else stands."""
        content = f"{name}{arguments}"
        if not self.often(0.12) and self.draft.bound.setdefault((owner.name, name), content) == content:
            return content
        alias = self.alias()
        return (
            f"{alias}: {content}" if self.draft.bound.setdefault((owner.name, alias), content) == content else content
        )

    def alias(self) -> str:
        self.aliases += 1
        odd = self.rng.choice(ALIASES) if self.often(0.2) else ""
        taken = any(key == odd for _, key in self.draft.bound)
        return odd if odd and odd not in ("id", "kind", "name") and not taken else f"a{self.aliases}"

    def directives(self) -> str:
        if not self.often(0.06):
            return ""
        directive = self.rng.choice(("skip", "include"))
        shown = self.often(0.75) is (directive == "include")
        return f" @{directive}(if: {self.condition(shown=shown)})"

    def condition(self, *, shown: bool) -> str:
        """Write true or false, or a variable of that value."""
        if self.often(0.5):
            return literal(shown)
        default = self.rng.choice((OMITTED, OMITTED, True, False))
        return literal(self.draft.values.declare(GraphQLNonNull(GraphQLBoolean), shown, default))

    def arguments(self, name: str, definition: GraphQLField) -> tuple[str | None, str]:
        """Write the arguments, and return the order the field is asked in beside them."""
        given: dict[str, Any] = {}
        for argument_name, argument in definition.args.items():
            if argument_name not in PAGE or "before" not in definition.args:
                made = self.draft.values.argument(name, argument_name, argument)
                if made is not OMITTED:
                    given[argument_name] = made
        order = order_of(self.draft.values, given.get("orderBy", OMITTED), definition)
        if "before" in definition.args:
            given |= window(self.draft.values, name, order, definition)
        names = list(given)
        self.rng.shuffle(names)
        return order, f"({', '.join(f'{n}: {literal(given[n])}' for n in names)})" if names else ""
