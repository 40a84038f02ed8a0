"""The gate's counts: equal to a naive expansion, bounded in time, and refused one past each limit."""

import time
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_introspection_query,
    parse,
    print_ast,
)
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import BadInput, Forbidden
from schema.gate import Gate, Limits, Measure, TooComplex, measure
from tests.toy import core, fragment_bomb

UNLIMITED = Limits(
    tokens=10**9,
    depth=10**9,
    aliases=10**9,
    directives=10**9,
    directives_per_node=10**9,
    fields=10**9,
    roots=10**9,
    cost=10**9,
)


def counted(text: str, variables: dict[str, Any] | None = None, limits: Limits = UNLIMITED, **how: Any) -> Measure:
    return Gate(parse(text), core, limits).measure(None, variables or {}, **how)


def refusal(text: str, variables: dict[str, Any] | None = None) -> str:
    with pytest.raises(TooComplex) as caught:
        measure(parse(text), None, variables or {}, core, Limits())
    return caught.value.message


def bad_input(text: str, variables: dict[str, Any] | None = None, **how: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        Gate(parse(text), core, Limits()).measure(None, variables or {}, **how)
    return caught.value


def seconds_to_refuse(text: str) -> float:
    """Return the CPU time of the quickest of three, so that a garbage collection is not blamed on the gate."""
    times = []
    for _ in range(3):
        started = time.process_time()
        with pytest.raises(TooComplex):
            Gate(parse(text), core, Limits())
        times.append(time.process_time() - started)
    return min(times)


def test_a_connection_counts_its_page_once() -> None:
    found = counted("{ fans(first: 10) { edges { node { id name } } totalCount } }")

    assert found == Measure(depth=4, aliases=0, directives=0, fields=6, roots=1, cost=10 * 6)


def test_nodes_and_edges_cost_the_same_page() -> None:
    assert counted("{ fans(first: 7) { nodes { id } } }").cost == 7 * 3


def test_a_page_size_comes_from_the_variable_then_its_default() -> None:
    text = "query ($n: Int = 5) { fans(first: $n) { nodes { id } } }"

    assert counted(text).cost == 5 * 3
    assert counted(text, {"n": 9}).cost == 9 * 3


def test_pages_inside_pages_multiply() -> None:
    text = "query ($n: Int!) { fans(first: $n) { nodes { fans(last: $n) { nodes { id } } } } }"

    assert counted(text, {"n": 4}).cost == 4 * (1 + 1 + 4 * 3)


def test_ids_count_their_number() -> None:
    assert counted('{ nodes(ids: ["1", "2", "3"]) { id } }').cost == 3 * 2
    assert counted("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["1", "2"]}).cost == 2 * 2


def test_one_gate_answers_for_many_variables() -> None:
    gate = Gate(parse("query ($n: Int) { fans(first: $n) { nodes { id } } }"), core, Limits())

    assert [gate.measure(None, {"n": size}).cost for size in (1, 100, 1)] == [3, 300, 3]


def test_fragments_count_wherever_they_are_spread() -> None:
    text = "{ me { ...A } b: me { ...A } } fragment A on Fan { x: id name @include(if: true) }"

    assert counted(text) == Measure(depth=2, aliases=3, directives=2, fields=6, roots=2, cost=6)


def test_every_operation_and_every_unused_fragment_counts() -> None:
    gate = Gate(parse("query A { hello } query B { me { id } } fragment C on Fan { id name }"), core, Limits())

    assert gate.measure("A", {}) == Measure(depth=2, aliases=0, directives=0, fields=5, roots=1, cost=1)


@pytest.mark.parametrize(
    "text, names",
    [
        ("{ me {" + " friends {" * 11 + " id" + " }" * 13, "depth 13"),
        ("{ me {" + " ... { friends {" * 11 + " id" + " } }" * 11 + " } }", "depth 13"),
        ("{ " + " ".join(f"a{n}: hello" for n in range(31)) + " }", "aliases 31"),
        ("{ " + "hello " * 11 + "}", "roots 11"),
        ("{ me { " + "id " * 500 + "} }", "fields 501"),
        ("{ hello @a @a @a @a }", "directives on one node 4"),
        ("{ me { " + "id @include(if: true) " * 21 + "} }", "directives 21"),
        ("query ($a: Int @a @a @a @a) { hello }", "directives on one node 4"),
        ("{ me { " + "... { " * 70 + "id" + " }" * 72, "nesting 65"),
        ("{ fans(first: 100) { nodes { fans(first: 100) { nodes { id } } } } }", "cost 30200"),
    ],
)
def test_one_past_a_limit_is_refused_by_name(text: str, names: str) -> None:
    assert names in refusal(text)


@pytest.mark.parametrize("count", [20, 60])
def test_a_fragment_bomb_is_refused_at_once(count: int) -> None:
    assert seconds_to_refuse(fragment_bomb(count)) < 0.05


def test_an_aliased_bomb_is_refused_at_once() -> None:
    assert seconds_to_refuse(fragment_bomb(25, "a: friends {{ ...F{next} }} b: friends {{ ...F{next} }}")) < 0.05


def test_a_bomb_in_an_operation_that_does_not_run_is_refused_too() -> None:
    text = "query A { hello } query B " + fragment_bomb(20)

    with pytest.raises(TooComplex):
        measure(parse(text), "A", {}, core, Limits())


@pytest.mark.parametrize(
    "text",
    [
        "{ me { ...A } } fragment A on Fan { ...B } fragment B on Fan { ...A id }",
        "{ me { ...Nobody } }",
        "{ nothing { like: this(first: 5) { exists } } }",
        "{ me { ...A } } fragment A on Martian { id }",
        "subscription { nothing }",
    ],
)
def test_what_the_spec_refuses_does_not_trouble_the_gate(text: str) -> None:
    assert counted(text).fields >= 1


@pytest.mark.parametrize(
    "text, variables, argument",
    [
        ("{ fans(first: 101) { nodes { id } } }", {}, "first"),
        ("{ fans(first: 0) { nodes { id } } }", {}, "first"),
        ("{ fans(last: -1) { nodes { id } } }", {}, "last"),
        ("{ fans(first: " + "9" * 400 + ") { nodes { id } } }", {}, "first"),
        ("{ fans { nodes { id } } }", {}, "first"),
        ("{ fans(first: null) { nodes { id } } }", {}, "first"),
        ("query ($n: Int) { fans(first: $n) { nodes { id } } }", {"n": 10**6}, "first"),
        ("query ($n: Int) { fans(first: $n) { nodes { id } } }", {"n": 1e6}, "first"),
        ("query ($n: Int = 1000000) { fans(first: $n) { nodes { id } } }", {}, "first"),
        ("query ($n: Int) { fans(first: $n) { nodes { id } } }", {"n": None}, "first"),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["1"] * 101}, "ids"),
        ("{ nodes(ids: [" + '"1" ' * 101 + "]) { id } }", {}, "ids"),
        ("{ search(where: {tags: [" + '"a" ' * 251 + "]}) }", {}, "where"),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": {"tags": ["a"] * 251}}, "w"),
        ("{ search(where: " + "{allOf: [" * 7 + "]}" * 7 + ") }", {}, "where"),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": [[[[[[[[[[[[[]]]]]]]]]]]]]}, "w"),
        ("query ($w: FanFilter!) { search(where: $w) }", {"w": {"age": 2**63}}, "w"),
        ("{ hello @include(if: [" + "1 " * 251 + "]) }", {}, "if"),
    ],
)
def test_too_large_an_input_names_its_argument(text: str, variables: dict[str, Any], argument: str) -> None:
    assert bad_input(text, variables).field == (argument,)


def test_a_relay_client_may_send_the_other_page_argument_as_null() -> None:
    text = "query ($n: Int, $m: Int) { fans(first: $n, last: $m) { nodes { id } } }"

    assert counted(text, {"n": 5, "m": None}).cost == 5 * 3


def test_a_service_may_ask_for_a_larger_page() -> None:
    text = "{ fans(first: 1000) { nodes { id } } }"

    assert counted(text, max_page=1000).cost == 3000
    assert bad_input(text, max_page=999).message == "`first` of `fans` must be between 1 and 999."


def test_introspection_needs_the_flag_wherever_it_hides() -> None:
    for text in (
        "{ __schema { types { name } } }",
        '{ ...A } fragment A on Query { t: __type(name: "Fan") { name } }',
        "query { hello } fragment A on Query { __schema { types { name } } }",
    ):
        with pytest.raises(Forbidden):
            counted(text)

    assert counted("{ __typename }").fields == 1


def test_the_standard_introspection_query_is_within_the_limits() -> None:
    found = counted(get_introspection_query(), limits=Limits(), introspection=True)

    assert found.depth <= 2
    assert found.fields == found.cost == 220


@pytest.mark.parametrize("variables", [{}, {"n": "x"}, {"n": True}, {"n": []}, {"n": {}}])
def test_a_page_size_of_the_wrong_type_is_left_to_coercion(variables: dict[str, Any]) -> None:
    text = "query ($n: Int! = 3) { hello(name: $n) friends(first: $n) { id } }"

    assert counted(text, variables).fields == 3


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw a document of up to five fragments, each spreading only later ones."""
    count = draw(st.integers(0, 5))

    def selections(level: int, after: int) -> st.SearchStrategy[str]:
        leaf = st.sampled_from(["id", "name", "a: id", "id @skip(if: false)", "b: name @include(if: true)"])
        choices = [leaf]
        if after < count:
            spread = st.integers(after, count - 1).map(lambda number: f"...F{number}")
            choices += [spread, spread.map(lambda text: f"{text} @include(if: true)")]
        if level:
            below = selections(level - 1, after)
            choices += [
                below.map(lambda inner: f"friends {{ {inner} }}"),
                below.map(lambda inner: f"... on Fan {{ {inner} }}"),
                st.tuples(st.integers(1, 100), below).map(
                    lambda pair: f"c: fans(first: {pair[0]}) {{ nodes {{ {pair[1]} }} totalCount }}"
                ),
            ]
        return st.lists(st.one_of(choices), min_size=1, max_size=3).map(" ".join)

    body = draw(selections(2, 0))
    fragments = [f"fragment F{number} on Fan {{ {draw(selections(1, number + 1))} }}" for number in range(count)]
    spreads = " ".join(f"...F{number}" for number in range(count))
    return " ".join([f"{{ me {{ {body} {spreads} }} }}", *fragments])


def naive(document: DocumentNode) -> Measure:
    """Count by writing every fragment out, the plain and exponential way."""
    fragments = {
        node.name.value: node.selection_set for node in document.definitions if isinstance(node, FragmentDefinitionNode)
    }

    def walk(selection_set: SelectionSetNode) -> list[int]:
        total = [0, 0, 0, 0, 0]
        for node in selection_set.selections:
            depth, aliases, directives, fields, cost = 0, 0, len(node.directives or ()), 0, 0
            if isinstance(node, FragmentSpreadNode):
                inner = walk(fragments[node.name.value])
            else:
                child = node.selection_set  # type: ignore[attr-defined]
                inner = walk(child) if child else [0, 0, 0, 0, 0]
            if isinstance(node, FieldNode):
                sizes = [print_ast(argument.value) for argument in node.arguments or ()]
                depth, aliases, fields = 1, int(node.alias is not None), 1
                cost = (int(sizes[0]) if sizes else 1) * (1 + inner[4]) - inner[4]
            own = [depth + inner[0], aliases + inner[1], directives + inner[2], fields + inner[3], cost + inner[4]]
            total = [max(total[0], own[0]), *(left + right for left, right in zip(total[1:], own[1:], strict=True))]
        return total

    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    depth, aliases, directives, fields, cost = walk(operation.selection_set)
    return Measure(depth, aliases, directives, fields, 1, min(cost, 10**9))


@given(documents())
def test_the_memoised_measure_equals_a_naive_expansion(text: str) -> None:
    document = parse(text)

    assert measure(document, None, {}, core, UNLIMITED) == naive(document)
