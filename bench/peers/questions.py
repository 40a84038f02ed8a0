"""What is asked: five questions with random variables, and the text and the bytes each server is asked them in."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson

from domain.fans.sorts import SORTS, FanSort
from domain.page import encode_cursor
from schema.ids import encode

HERE = Path(__file__).parent / "queries"
BRANDS = 5
# the share of each question in a load; Q5 is the mix
MIXES = {"Q1": {"Q1": 1}, "Q2": {"Q2": 1}, "Q3": {"Q3": 1}, "Q4": {"Q4": 1}, "Q5": {"Q1": 80, "Q2": 15, "Q3": 5}}
WHAT = {
    "Q1": "one fan",
    "Q2": "50 fans with their tags and last 3 orders",
    "Q3": "1000 fans of 9 fields with their tags",
    "Q4": "the order funnel of a brand by day, 30 days",
    "Q5": "80% Q1, 15% Q2, 5% Q3",
}
Dialect = Literal["ours", "plain", "postgraphile"]


@dataclass(frozen=True)
class Question:
    """One question: about a fan, or about the fans of a brand whose ids come after `number`."""

    name: str
    number: int
    brand: int = 0


def draw(load: str, count: int, fans: int, seed: int) -> Iterator[Question]:
    """Draw questions of a load, the same ones for the same seed."""
    dice = random.Random(f"{load} {seed}")
    names, weights = list(MIXES[load]), list(MIXES[load].values())
    for name in dice.choices(names, weights, k=count):
        # a page that begins near the end would have fewer rows than the others
        number = dice.randint(1, fans) if name == "Q1" else dice.randrange(fans * 9 // 10)
        yield Question(name, number, dice.randint(1, BRANDS))


def body(question: Question, dialect: Dialect) -> bytes:
    """Return the question as a request's body in the words of a server."""
    asked = {
        "operationName": question.name,
        "query": _text(dialect, question.name),
        "variables": _variables(question, dialect),
    }
    return orjson.dumps(asked)


@cache
def _text(dialect: Dialect, name: str) -> str:
    folder = "postgraphile" if dialect == "postgraphile" else "api"
    return (HERE / folder / f"{name}.graphql").read_text()


def _variables(question: Question, dialect: Dialect) -> dict[str, Any]:
    ours = dialect == "ours"
    if question.name == "Q1":
        return {"id": encode("Fan", question.number) if ours else str(question.number)}
    brand = {"brandId": encode("Brand", question.brand) if ours else str(question.brand)}
    if question.name == "Q4":
        return brand
    after = encode_cursor(SORTS[FanSort.ID_ASC], [question.number]) if ours else str(question.number)
    return {**brand, "after": after}
