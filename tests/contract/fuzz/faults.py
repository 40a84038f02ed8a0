"""What makes a document invalid: one fault in a selection, in the text as a whole, or too much of something."""

import random
from typing import Any

from graphql import get_named_type, is_leaf_type

EVERYWHERE = (
    "nothingHere", "nothing_here { x }", "... on Nowhere { id }", "... on String { length }", "... on DateTime { x }",
    "... on FanFilterInput { spend }", "... on PageInfo { hasNextPage startCursor } ", "...Missing", "__type",
    "__typename { x }", "__typename(x: 1)", "__typename @include(if: $missing)", "__typename @unknown",
    "__typename @skip",
    "__typename @include(if: 1)", '__typename @include(if: "true")', "__typename @include(if: null)",
    "__typename @skip(if: true) @skip(if: true)", "__typename @include(if: true, if: true)", "__typename @deprecated",
    "__typename @include(iff: true)", "same: __typename same: nothingHere", "... { }", "{ x }",
    "... @include(if: false) { nope }", "x: y: z", "$x", "@skip", "on", "...on",
)  # fmt: skip
TEXTS = (
    "fragment Unused on Query { __typename }", "fragment Loop on Query { ...Loop }", "query Twice { __typename }",
    "query Twice { __typename } query Twice { __typename }", "query ($unused: Int) { __typename }", "{ __typename }",
    "subscription { ticks }", "subscription S { ticks }", "type Fan { id: ID }", "extend type Query { x: Int }",
    "schema { query: Query }", "fragment on on Query { __typename }", "query Q($a: Int, $a: Int) { __typename }",
    "query Q($a: Query) { __typename }", "query Q($a: [Int = 1) { __typename }", "mutation { nothing }", "x", "}", "{",
    '"""', '"', "#", "\ufeff", "\u2028", "?", "query { a", "fragment F", "query Q @skip(if: true) { __typename }", "{}",
)  # fmt: skip
TOO_MUCH = (
    "{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }",
    "{ " + "viewer { principal } " * 11 + "}",
    "{ viewer { " + "principal " * 501 + "} }",
    '{ fan(id: "RmFuOjE") { ' + "referrer { " * 11 + "id" + " }" * 13,
    "{ " + "... { " * 65 + "__typename" + " }" * 66,
    "{ __typename " + "# x\n" * 1001 + "}",
    "{ __typename " + "@skip(if: false) " * 4 + "}",
    "{ " + "... @skip(if: false) { __typename } " * 21 + "}",
    "{ fans(first: 100) { nodes { lastOrders(first: 100) { lines(first: 100) { title } } } } }",
    "{ nodes(ids: [" + '"RmFuOjE" ' * 101 + "]) { id } }",
    "{ fans(first: 1, filter: {or: [" + "{subscribed: true} " * 251 + "]}) { totalCount } }",
    "{ fans(first: 1, filter: " + "{not: " * 13 + "{}" + "}" * 13 + ") { totalCount } }",
    "{ fans(first: 1, filter: {or: [" + "{subscribed: true, gender: MALE} " * 30 + "]}) { totalCount } }",
    "{ ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(20)),
)  # fmt: skip


def fault(rng: random.Random, owner: Any) -> str:
    """Write a selection that an object of this type does not have."""
    own = [_of_field(name, field) for name, field in getattr(owner, "fields", {}).items()]
    found: str = rng.choice([*EVERYWHERE, *(text for texts in own for text in texts)])
    return found


def _of_field(name: str, field: Any) -> list[str]:
    inner = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
    texts = [f"{name}(nope: 1){inner}", f"same: __typename same: {name}{inner}", f"{name} @include{inner}"]
    texts += [f"{name}{' { x }' if not inner else ''}", f"{name} {{ }}"]
    for argument in field.args:
        texts += [
            f"{name}({argument}: {value}){inner}" for value in ("NOPE", "{a: 1}", "[[1]]", "null", "5.5", '"x"', "$x")
        ]
        texts.append(f"{name}({argument}: 1, {argument}: 2){inner}")
    return texts


def broken(rng: random.Random, text: str) -> str:
    """Break a text as a whole."""
    how = rng.randrange(5)
    place = rng.randrange(len(text))
    if how == 0:
        return text[:place]
    if how == 1:
        return text[:place] + text[place + 1 :]
    if how == 2:
        return text[:place] + rng.choice('{}()[]:!$@."#?\\=|&,\n\u2028é') + text[place:]
    if how == 3:
        return rng.choice(TOO_MUCH)
    return f"{text} {rng.choice(TEXTS)}" if rng.random() < 0.7 else rng.choice(TEXTS)
