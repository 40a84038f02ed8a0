"""What there is to ask for: the ids, texts, numbers and moments of the database, and the cursors of earlier answers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String, select

from domain.errors import BadInput
from domain.scope import system_scope
from domain.tables import metadata
from schema.ids import decode, encode
from tests.world import World

KINDS = {
    "groups": "Group", "brands": "Brand", "dealers": "Dealer", "stores": "Store", "channel_accounts": "ChannelAccount",
    "fans": "Fan", "tags": "Tag", "orders": "Order", "cascades": "Cascade", "staff": "Staff", "grants": "Grant",
}  # fmt: skip
UNUSED = 2**40
CURSORS = ("cursor", "endCursor", "startCursor")


@dataclass(frozen=True)
class Root:
    """A root field as an operation asks for it: its key in the answer, its name and its order."""

    key: str
    name: str
    order: str | None = None


@dataclass
class Pools:
    """The values; `seen` holds the ids that each caller was shown, by kind, and `cursors` those of a list."""

    ids: dict[str, list[str]]
    texts: dict[str, list[str]]
    numbers: list[int]
    moments: list[str]
    seen: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    cursors: dict[tuple[str, str | None], list[str]] = field(default_factory=dict)

    def learn(self, who: str, roots: list[Root], data: Any) -> None:
        """Keep the ids and cursors of an answer."""
        for root in roots if isinstance(data, dict) else ():
            for name, text in _texts(data.get(root.key)):
                if name in CURSORS:
                    _keep(self.cursors.setdefault((root.name, root.order), []), text)
                elif kind := _kind(text):
                    _keep(self.seen.setdefault(who, {}).setdefault(kind, []), text)


def _keep(known: list[str], text: str) -> None:
    if text not in known and len(known) < 200:
        known.append(text)


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name)
    elif isinstance(value, str):
        yield name, value


def _kind(text: str) -> str | None:
    try:
        return decode(text, "")[0] if text.isascii() and len(text) < 40 else None
    except BadInput:
        return None


async def pools_of(world: World) -> Pools:
    """Read everything in the database."""
    pools = Pools({}, {}, [0, -1, 2**31, 2**53, 2**63 - 1, -(2**63)], [])
    moments: dict[str, None] = {}
    async with world.services.database.reading(system_scope("test")) as session:
        for table in metadata.sorted_tables:
            rows = (await session.execute(select(table).order_by(*table.primary_key.columns))).mappings().all()
            if table.name in KINDS:
                kind = KINDS[table.name]
                pools.ids[kind] = [encode(kind, row["id"]) for row in rows] + [encode(kind, UNUSED)]
            for column in table.columns if table.name != "outbox" else ():
                if isinstance(column.type, JSON):
                    continue
                values = list(dict.fromkeys(row[column.name] for row in rows))
                if isinstance(column.type, String):
                    pools.texts.setdefault(_camel(column.name), []).extend(v for v in values if v is not None)
                elif column.name in ("spend", "amount", "order_count", "size"):
                    pools.numbers += values
                moments |= {v.isoformat()[:19]: None for v in values if isinstance(v, datetime)}
    pools.moments = list(moments)
    # persons are known by names of the system `test`
    pools.texts["value"] = list(world.fans)
    pools.texts["issuer"] = ["test", "test", ""]
    return pools


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
