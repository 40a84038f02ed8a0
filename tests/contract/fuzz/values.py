"""Values for arguments: mostly such as exist, sometimes such as do not fit; as literals and as variables."""

import random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    Undefined,
    is_required_argument,
    is_required_input_field,
)

from tests.contract.fuzz.literals import OMITTED, Declared, Name, Variable
from tests.contract.fuzz.nasty import TEXTS
from tests.contract.fuzz.pools import Pools

MAX_DEPTH = 3
ROLES = ("BRAND_ADMIN", "DEALER_STAFF", "GROUP_ANALYST", "FANS_ALONE", "NO_FANS", "NOBODY_HAS_THIS", "SERVICE")
PHONES = ("13800001234", "+86 138 0000 0816", "138-0000-0799", "1380000", "x", "", "１３８００００１２３４")
MALFORMED = ("", "1", "%%%", "RmFu", "RmFuOg", "Fan:1", "A" * 300, "RmFuOi0x", "U3RhZmY6MQ")
OFFSETS = ("Z", "Z", "Z", "+00:00", ".5Z", ".123456Z")
SCALARS: dict[str, tuple[Any, ...]] = {
    "Decimal": (
        "0",
        "1",
        "12.50",
        "0.01",
        "99999.99",
        "1e3",
        "0.001",
        "-1",
        "NaN",
        "Infinity",
        "1000000000000",
        3,
        2.5,
    ),
    "Date": ("2000-02-29", "0001-01-01", "9999-12-31", "1970-01-01"),
}
WRONG: tuple[Any, ...] = (
    None, "x", "", 5, -1, 5.5, 2**31, 2**62, True, [], [None], [[1]], {}, {"a": 1}, {"gte": 1}, "1", "ID_ASC",
)  # fmt: skip
# which kind of object an id names where its own name does not say
KINDS = {"id": None, "ids": None, "fanIds": "Fan", "tagIds": "Tag"}


class Values:
    """Makes the values of one operation and collects its variables."""

    def __init__(self, rng: random.Random, pools: Pools, who: str, hostility: float) -> None:
        self.rng = rng
        self.pools = pools
        self.who = who
        self.hostility = hostility
        self.declared: dict[str, Declared] = {}
        # the type of each variable's place and what it stands for, to make other values for it
        self.places: dict[str, tuple[Any, str]] = {}
        self.names = 0
        # whether something was made that no schema should take
        self.wrong = False
        self._within_variable = False

    def often(self, chance: float) -> bool:
        return self.rng.random() < chance

    def argument(self, owner: str, name: str, argument: GraphQLArgument) -> Any:
        """Make a value for an argument, or leave it out."""
        structured = isinstance(_innermost(argument.type), GraphQLInputObjectType)
        if not is_required_argument(argument) and self.often(0.3 if structured else 0.55):
            return OMITTED
        return self.placed(argument, owner if name == "id" else name, 0)

    def placed(self, place: GraphQLArgument | GraphQLInputField, name: str, depth: int) -> Any:
        """Make a value for a place, as it is or by a variable."""
        if not self._within_variable and self.often(0.3):
            return self.variable(place.type, name, depth, has_default=place.default_value is not Undefined)
        return self.value(place.type, name, depth)

    def variable(self, kind: GraphQLInputType, name: str, depth: int, *, has_default: bool = False) -> Any:
        """Make a variable that may stand there, with or without a default, sent or not."""
        self._within_variable = True
        sent = self.value(kind, name, depth)
        default = self.value(kind, name, depth) if self.often(0.3) else OMITTED
        self._within_variable = False
        found = self.declare(kind, sent, default, has_default=has_default)
        self.places[found] = (kind, name)
        return found

    def another(self, place: tuple[Any, str]) -> Any:
        """Make another value for a variable that was declared before, or none."""
        if self.often(0.1):
            self.wrong = True
            return self.rng.choice((OMITTED, None))
        self._within_variable = True
        sent = self.value(*place, 0)
        self._within_variable = False
        return sent

    def declare(
        self,
        kind: GraphQLInputType,
        sent: Any,
        default: Any = OMITTED,
        *,
        has_default: bool = False,
        needed: bool = False,
    ) -> Any:
        """Declare a variable. With a default, or for a place that does without a value, it need not be sent."""
        required, named = isinstance(kind, GraphQLNonNull), str(kind).rstrip("!")
        if default is not OMITTED and default is not None:
            written = named
        elif required and not has_default:
            written, default = f"{named}!", OMITTED
        else:
            written = f"{named}!" if sent is not None and default is OMITTED and self.often(0.3) else named
        self.names += 1
        name = f"v{self.names}"
        if sent is not None and not written.endswith("!") and self.often(0.05):
            self.wrong, sent = True, None  # where the place takes none it is refused when it runs
        optional = not written.endswith("!") and not (needed and default in (OMITTED, None))
        self.declared[name] = Declared(written, default, OMITTED if optional and self.often(0.25) else sent)
        if self.often(self.hostility):
            self.spoil(self.declared[name])
        return Variable(name)

    def spoil(self, declared: Declared) -> None:
        """Send, or declare, what does not fit."""
        self.wrong = True
        how = self.rng.randrange(3)
        if how == 0:
            declared.sent = self.rng.choice([OMITTED, *WRONG])
        elif how == 1:
            declared.kind = self.rng.choice(["Int", "String!", "[ID!]", "FanFilterInput", "Nothing", "Fan", "Boolean"])
        else:
            declared.default = self.rng.choice(WRONG)

    def value(self, kind: GraphQLInputType, name: str, depth: int) -> Any:
        """Make a value of a type."""
        if self.often(self.hostility):
            self.wrong = True
            return self.rng.choice(WRONG)
        if isinstance(kind, GraphQLNonNull):
            return self.present(kind.of_type, name, depth)
        return None if self.often(0.08) else self.present(kind, name, depth)

    def present(self, kind: Any, name: str, depth: int) -> Any:
        if isinstance(kind, GraphQLList):
            return self.many(kind, name, depth)
        if isinstance(kind, GraphQLInputObjectType):
            return self.fields(kind, depth)
        if isinstance(kind, GraphQLEnumType):
            return Name(self.rng.choice(list(kind.values)))
        return self.scalar(kind.name, name)

    def many(self, kind: Any, name: str, depth: int) -> Any:
        if self.often(0.08):  # one stands for a list of one
            return self.value(kind.of_type, name, depth)
        items = [self.value(kind.of_type, name, depth) for _ in range(self.rng.choice((0, 1, 1, 1, 2, 3)))]
        if items and not self._within_variable and self.often(0.1):
            items[-1] = self.variable(kind.of_type, name, depth)
        return items

    def fields(self, kind: GraphQLInputObjectType, depth: int) -> dict[str, Any]:
        """Fill an input object: what it needs, and some of the rest."""
        optional = [name for name, field in kind.fields.items() if not is_required_input_field(field)]
        nested = [n for n in optional if isinstance(_innermost(kind.fields[n].type), GraphQLInputObjectType)]
        chosen = set(self.rng.sample(optional, min(len(optional), self.rng.choice((0, 1, 1, 1, 2, 2, 4)))))
        if depth >= MAX_DEPTH:
            chosen -= set(nested)
        names = [name for name, field in kind.fields.items() if is_required_input_field(field) or name in chosen]
        self.rng.shuffle(names)
        made = {name: self.placed(kind.fields[name], name, depth + 1) for name in names}
        if self.often(self.hostility / 2):
            self.wrong = True
            made["nothing"] = 1
        return made

    def scalar(self, kind: str, name: str) -> Any:
        if kind == "ID":
            return self.id_of(name)
        if kind == "Int":
            return self.rng.choice((1, 1, 2, 3, 5, 2.0)) if self._within_variable else self.rng.choice((1, 2, 3, 4))
        if kind == "Int64":
            number = self.rng.choice(self.pools.numbers) + self.rng.choice((-1, 0, 0, 1))
            number = max(-(2**63), min(number, 2**63 - 1))
            # a number as text is refused
            self.wrong |= (is_text := self.often(self.hostility / 2))
            return str(number) if is_text else number
        if kind == "Boolean":
            return self.often(0.5)
        if kind == "DateTime":
            return self.moment()
        if kind in SCALARS:
            return self.rng.choice(SCALARS[kind])
        return self.text(name)

    def moment(self) -> str:
        if self.often(0.03):
            self.wrong = True
            return self.rng.choice(
                ("2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+08:00", "now", "")
            )
        return self.rng.choice(self.pools.moments) + self.rng.choice(OFFSETS)

    def text(self, name: str) -> str:
        if name == "phone":
            return self.rng.choice(PHONES)
        if name == "role":
            return self.rng.choice(ROLES)
        if name in ("idempotencyKey", "externalId"):
            return self.rng.choice(("a", "b", f"k{self.rng.random()}", "", "\u2028😀"))
        known = self.pools.texts.get(name, ())
        return self.rng.choice(known) if known and self.often(0.7) else self.rng.choice(TEXTS)

    def id_of(self, name: str) -> str:
        """Pick an id: of the kind that is meant and seen before, or any, or none at all."""
        wanted = KINDS.get(name, name.removesuffix("Id").capitalize())
        kind = wanted if wanted in self.pools.ids and self.often(0.93) else self.rng.choice(list(self.pools.ids))
        seen = self.pools.seen.get(self.who, {}).get(kind)
        if seen and self.often(0.75):
            return self.rng.choice(seen)
        return self.rng.choice(self.pools.ids[kind]) if self.often(0.85) else self.rng.choice(MALFORMED)


def _innermost(kind: Any) -> Any:
    while isinstance(kind, GraphQLNonNull | GraphQLList):
        kind = kind.of_type
    return kind
