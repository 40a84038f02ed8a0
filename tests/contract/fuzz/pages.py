"""Windows on lists: forward and backward, with cursors of earlier answers and with what is none."""

from typing import Any

from graphql import GraphQLField

from tests.contract.fuzz.literals import OMITTED, Variable
from tests.contract.fuzz.values import MALFORMED, Values

PAGE = ("first", "after", "last", "before")
SIZES = (1, 1, 2, 3, 3, 5, 8, 20, 100)
ODD_SIZES = (0, -1, 101, 1000, 1001, 2**31)


def order_of(values: Values, given: Any, definition: GraphQLField) -> str | None:
    """Return the order a list is asked in, None where it has but one."""
    argument = definition.args.get("orderBy")
    if argument is None:
        return None
    if isinstance(given, Variable):
        declared = values.declared[given]
        given = next((value for value in (declared.sent, declared.default) if isinstance(value, str)), OMITTED)
    default = argument.default_value
    return str(given) if isinstance(given, str) else str(getattr(default, "name", default))


def window(values: Values, name: str, order: str | None, definition: GraphQLField) -> dict[str, Any]:
    """Make the page arguments of a list."""
    size: Any = values.rng.choice(SIZES)
    if values.often(values.hostility):
        values.wrong, size = True, values.rng.choice(ODD_SIZES)
    given, cursor = values.rng.choice((("first", "after"), ("first", "after"), ("last", "before")))
    made: dict[str, Any] = {given: size}
    if values.often(0.4):
        made[cursor] = _cursor(values, values.pools.cursors.get((name, order), []))
    if values.often(0.03):
        values.wrong = True
        made |= {values.rng.choice(PAGE): values.rng.choice((None, 3))}
    if values.often(0.2):
        return made | {given: values.declare(definition.args[given].type, size, needed=True)}
    if cursor in made and values.often(0.3):
        return made | {cursor: values.declare(definition.args[cursor].type, made[cursor])}
    return made


def _cursor(values: Values, known: list[str]) -> str | None:
    if known and values.often(0.9):
        return values.rng.choice(known)
    others = [cursor for some in values.pools.cursors.values() for cursor in some]
    return values.rng.choice([*others, None]) if values.often(0.7) else values.rng.choice(MALFORMED)
