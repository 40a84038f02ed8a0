"""How values are written: as literals, and as variables with their declarations."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Name(str):
    """A word that is written without quotes: an enum's value."""

    __slots__ = ()


class Variable(str):
    """A variable where a value stands."""

    __slots__ = ()


class _Omitted:
    pass


OMITTED = _Omitted()


def literal(value: Any) -> str:
    """Write a value as GraphQL."""
    if isinstance(value, Variable):
        return f"${value}"
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {literal(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@dataclass
class Declared:
    """A variable as its operation declares it, and what is sent for it."""

    kind: str
    default: Any = OMITTED
    sent: Any = OMITTED

    def text(self, name: str) -> str:
        default = "" if self.default is OMITTED else f" = {literal(self.default)}"
        return f"${name}: {self.kind}{default}"
