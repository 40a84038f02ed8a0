"""Random requests: a document, its variables, who sends it and how."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from graphql import GraphQLError, GraphQLField, GraphQLSchema, get_named_type, is_abstract_type, parse

from domain.errors import DomainError
from schema.gate import Gate, Limits, TooComplex
from tests.contract.fuzz.callers import is_fan
from tests.contract.fuzz.documents import Writer
from tests.contract.fuzz.faults import broken
from tests.contract.fuzz.literals import OMITTED
from tests.contract.fuzz.pools import Pools, Root
from tests.contract.fuzz.values import Values

ACCEPTS = (None, "*/*", "application/json", "application/graphql-response+json", "text/html;q=0.1, application/*")
LIMITS = Limits()
ANY_NODE = 12
PAGED = ("fans", "orders", "tags", "gifts", "redemptions", "attributes", "eventDefinitions")
ROOTS = (1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 6)


@dataclass(frozen=True)
class Operation:
    """One operation; `sound` says that the schema should take it."""

    query: str
    variables: dict[str, Any] | None
    name: str | None
    sound: bool
    roots: list[Root] = field(default_factory=list)
    mutates: bool = False
    places: dict[str, tuple[Any, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What is sent, to be sent again to the byte."""

    who: str
    path: str
    body: str
    accept: str | None = None
    query_string: str | None = None
    # seconds from the beginning of the world's time
    after: int = 0

    @property
    def may_change(self) -> bool:
        """Tell whether it may write, so that it must not be sent more often than to the reference."""
        return "mutation" in self.body or "mutation" in (self.query_string or "")

    def dump(self) -> str:
        return json.dumps(asdict(self))


class Maker:
    """Makes the operations of one schema."""

    def __init__(self, schema: GraphQLSchema, rng: random.Random, pools: Pools, without: frozenset[str]) -> None:
        self.schema = schema
        self.rng = rng
        self.pools = pools
        self.without = without

    def operation(self, who: str) -> Operation:
        """Make one that the limits allow, or one that is wrong on purpose."""
        kind = self.rng.choices(("sound", "hostile", "faulty", "broken"), (80, 9, 7, 4))[0]
        hostility, faults = (0.15 if kind == "hostile" else 0.0), (1 if kind == "faulty" else 0)
        made = self.attempt(who, hostility, faults)
        tries = 5 if kind == "sound" else 0
        while tries and self.exceeds(made):
            made, tries = self.attempt(who, hostility, faults), tries - 1
        return replace(made, query=broken(self.rng, made.query), sound=False) if kind == "broken" else made

    def exceeds(self, made: Operation) -> bool:
        """Tell whether a document that is meant well asks for too much."""
        try:
            Gate(parse(made.query), self.schema, LIMITS).measure(made.name, made.variables or {}, introspection=True)
        except TooComplex:
            return True
        except (GraphQLError, DomainError):
            return False
        return False

    def attempt(self, who: str, hostility: float, faults: int) -> Operation:
        """Write a document of one operation or two, of which one runs."""
        writer = Writer(self.schema, self.rng, self.pools, who, hostility=hostility, without=self.without)
        count = 2 if self.rng.random() < 0.08 else 1
        kinds = [self.rng.choices(("query", "mutation"), (91, 9))[0] for _ in range(count)]
        drafts = [writer.new_draft(faults) for _ in kinds]
        texts = []
        for number, (kind, writer.draft) in enumerate(zip(kinds, drafts, strict=True)):
            writer.usable = []
            texts.append(self.written(writer, kind, f"Op{number}", alone=count == 1))
        texts += [f"fragment {f.name} on {f.on} {{ {f.body} }}" for f in writer.fragments.values()]
        self.rng.shuffle(texts)
        query = self.rng.choice(("\n", " ", "\n\n# and\n", ",")).join(texts)
        runs = self.rng.randrange(count)
        name = self.operation_name(f"Op{runs}" if f"Op{runs}" in query else None, count)
        values = drafts[runs].values
        sound = not faults and not values.wrong and name != "Nobody" and (count == 1 or name is not None)
        sent = self.sent({name: d.sent for name, d in values.declared.items() if d.sent is not OMITTED})
        return Operation(query, sent, name, sound, drafts[runs].roots, kinds[runs] == "mutation", values.places)

    def again(self, earlier: Operation, who: str) -> Operation:
        """Ask an earlier document again, perhaps with other values for its variables."""
        values = Values(self.rng, self.pools, who, 0.0)
        sent = dict(earlier.variables or {})
        for name, value in sent.items():
            if isinstance(value, bool):
                sent[name] = self.rng.random() < 0.5
        for name, place in earlier.places.items():
            if self.rng.random() < 0.5:
                sent[name] = values.another(place)
        sent = {name: value for name, value in sent.items() if value is not OMITTED}
        return replace(earlier, variables=sent or None, sound=earlier.sound and not values.wrong)

    def written(self, writer: Writer, kind: str, name: str, *, alone: bool) -> str:
        owner = self.schema.query_type if kind == "query" else self.schema.mutation_type
        assert owner
        weights = {name: _weight(field) for name, field in owner.fields.items() if name not in self.without}
        chosen = self.rng.choices(list(weights), list(weights.values()), k=self.rng.choice(ROOTS))
        body = writer.root(kind, chosen, self.rng.randint(1, 7))
        declared = ", ".join(d.text(n) for n, d in writer.draft.values.declared.items())
        if kind == "query" and alone and not declared and self.rng.random() < 0.5:
            return f"{{ {body} }}"
        title = f" {name}" if not alone or self.rng.random() < 0.5 else ""
        return f"{kind}{title}{f'({declared})' if declared else ''} {{ {body} }}"

    def operation_name(self, runs: str | None, count: int) -> str | None:
        if self.rng.random() < 0.02:
            return self.rng.choice(("Nobody", None))
        return runs if count > 1 or self.rng.random() < 0.3 else None

    def sent(self, variables: dict[str, Any]) -> dict[str, Any] | None:
        """Add a variable nobody declared, or send no variables at all where there are none."""
        if self.rng.random() < 0.03:
            return {**variables, "unknown": self.rng.choice((1, "x", [1], {"a": None}))}
        return variables or (None if self.rng.random() < 0.5 else {})


def request_of(rng: random.Random, who: str, operation: Operation, *, after: int = 0) -> Request:
    """Put an operation into a request, at the caller's endpoint or, rarely, at the other one."""
    path = "/fan/graphql" if is_fan(who) is (rng.random() > 0.02) else "/graphql"
    accept = rng.choice(ACCEPTS)
    fields: dict[str, Any] = {"query": operation.query, "variables": operation.variables}
    fields["operationName"] = operation.name
    if rng.random() < 0.03:
        fields |= rng.choice(({"extensions": {}}, {"extensions": None}, {"id": "x"}, {"extensions": [1]}))
    kept = {name: value for name, value in fields.items() if value is not None or rng.random() < 0.2}
    if rng.random() < 0.05:
        given = {n: v if isinstance(v, str) else json.dumps(v) for n, v in kept.items() if v is not None}
        return Request(who, path, "", accept, urlencode(given), after)
    return Request(who, path, json.dumps(kept, ensure_ascii=rng.random() < 0.5), accept, after=after)


def is_sound(request: Request, operation: Operation) -> bool:
    """Tell whether the endpoint should run it."""
    changes_by_get = operation.mutates and request.query_string is not None
    known = (request.path == "/fan/graphql") is is_fan(request.who) and not request.who.endswith(("nobody", "bad"))
    return operation.sound and known and not changes_by_get and '"extensions": [1]' not in request.body


def first_pages(schema: GraphQLSchema, *, without: frozenset[str] = frozenset()) -> list[Operation]:
    """Ask each list for a page in each order: where later operations have their cursors and ids from."""
    assert schema.query_type
    made = []
    for name, definition in schema.query_type.fields.items():
        if "before" not in definition.args or name in without:
            continue
        argument = definition.args.get("orderBy")
        for order in list(argument.type.of_type.values) if argument else [None]:
            given = f", orderBy: {order}" if order else ""
            row = "id" if "id" in _row(definition).fields else "__typename"
            query = f"{{ {name}(first: 40{given}) {{ edges {{ cursor node {{ {row} }} }} totalCount }} }}"
            made.append(Operation(query, None, None, sound=True, roots=[Root(name, name, order)]))
    return made


def pages_of(cursors: Mapping[tuple[str, str | None], Sequence[str]]) -> Iterator[tuple[str, Sequence[str]]]:
    """Ask lists for what comes after a cursor and before it, with the cursors of it that are known."""
    row = {"fans": "id nickname tags { name weight } lastOrders(first: 2) { number }", "orders": "number fan { id }"}
    for (name, order), known in cursors.items():
        if name not in PAGED:
            continue
        given = f", orderBy: {order}" if order else ""
        shown = f"edges {{ cursor node {{ {row.get(name, '__typename')} }} }} pageInfo {{ hasNextPage endCursor }}"
        for window in ("first: 3, after", "last: 2, before"):
            yield f"query($cursor: String) {{ {name}({window}: $cursor{given}) {{ {shown} }} }}", known


def _weight(definition: GraphQLField) -> int:
    """Weigh a root field by how much there is below it."""
    rows: Any = get_named_type(definition.type)
    rows = get_named_type(rows.fields["nodes"].type) if "nodes" in rows.fields else rows
    return len(rows.fields) if not is_abstract_type(rows) else ANY_NODE


def _row(definition: Any) -> Any:
    return definition.type.fields["nodes"].type.of_type.of_type.of_type
