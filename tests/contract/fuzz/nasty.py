"""World W with everything in it that the columns allow and nobody expects."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import product
from typing import Any
from uuid import UUID

from sqlalchemy import Table, insert

from domain.audit import AuditEntry
from domain.fans.models import Fan, Gender
from domain.orders.models import Order, OrderLine, OrderState
from domain.persons.models import Person
from domain.scope import system_scope
from domain.shares.models import Cascade
from domain.tables import table_of
from domain.tags.models import FanTag, Tag, TagKind, TagSource
from domain.tenancy.models import Brand, ChannelAccount, ChannelKind, Dealer, Store
from tests.cast import at
from tests.world import World

TEXTS = (
    "", " ", "null", "NaN", "0", "-0.0", '"', "\\", '\\"', '":', '\\":', "{}", "[]", "a/b", "</script>", "<!--", "100%",
    "%s %(x)s", "%", "'; DROP TABLE fans; --", "$1", ":id", "{0}", "\t", "\n", "\r\n", "\b\f", "\x01", "\x1b[0m",
    "\x1f", "\x7f", "\x80", "\xa0", "\u2028", "\u2029", "\u200b", "\ufeff", "\ufffd", "\uffff", "é", "e\u0301", "中文",
    "😀", "👩\u200d👩\u200d👧", "\U0001d11e", "\U0010ffff", "\u202eevil", "İı", "ß", "data", "__typename",
)  # fmt: skip
WEIGHTS = (
    2.0, 0.25, 0.5, 7.125, 99.99, 12345.678, 33.3, 0.001, 999999999999999.0,
    0.1, 1.0, 1.5, 3.0, 1e-7, 1e15, 1e16, 1e17, 1e21, 1e22, 123456789.123, 0.1 + 0.2, 1 / 3, 100.0, 1e-5, 1e-4, 5e-324,
    1.7976931348623157e308, 0.0, -0.0, -1.0, -2.5e-10, float(2**53), float(2**53 + 2), 4.35, 2.675,
)  # fmt: skip
AMOUNTS = (0, 1, 9, 10, 99, 100, 101, 999, 1000, 1001, 12345, 100_000, 2**31, 2**53 + 1, 10**15, 2**63 - 1)
MOMENTS = (
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 3, 1, 12, 30, 0, 120_000, tzinfo=UTC),
    datetime(2026, 3, 1, 12, 30, 0, 100, tzinfo=UTC),
    datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC),
    datetime(1890, 6, 1, 8, 5, 43, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(987, 6, 5, 4, 3, 2, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
)
BIRTHDAYS = (date(2000, 2, 29), date(1, 1, 1), date(9999, 12, 31), date(1970, 1, 1))
COUNTS = (0, 1, 2, 7, 100, 2**31 - 1)
TIMES = (1, 2, 10**9)
DETAILS: tuple[dict[str, Any], ...] = (
    {}, {"": ""}, {"b": 1, "a": [1, 2.5, -0.0, 1e21, 1e-7, 2**53 + 1, 2**63 - 1, 1.0, 2**64 - 1]},
    {"text": list(TEXTS)}, {"deep": [[[[{"x": None}]]], True, False]}, {"'": {"\\": {"\u2028": "</script>"}}},
)  # fmt: skip
# brand: currency, dealers; the one without fans stays empty
BRANDS = {"yen": ("JPY", ("d1", "d2")), "kwd": ("KWD", ("d1",)), "odd": ("xxx", ()), "empty": ("EUR", ("d1",))}
PLACES = ("g1/b1/d1", "g1/b1/d11", "g1/b1", "g1/b2/d1", "g1/b10", "g1/yen/d1", "g1/yen", "g1/kwd/d1", "g1/odd", "g2/b1")
FANS_PER_PLACE = 6
SPENT_CURRENCIES = ("CNY", "JPY", "KWD", "xxx", "EUR")


async def spoil(world: World) -> None:
    """Add the nasty rows to world W."""
    rng = random.Random(0)
    async with world.services.database.writing(system_scope("test")) as session:
        nasty = _Rows(world, session, rng)
        await nasty.tenancy()
        tags = await nasty.tags()
        for place in PLACES:
            await nasty.fans(place, tags[place.split("/")[0]])
        await nasty.log()


class _Rows:
    """Inserts past every right."""

    def __init__(self, world: World, session: Any, rng: random.Random) -> None:
        self.world = world
        self.session = session
        self.rng = rng
        self.persons = 0

    async def add(self, model: Any, **values: Any) -> int:
        table: Table = table_of(model)
        found = await self.session.execute(insert(table).values(**values).returning(table.c.id))
        return int(found.scalar_one())

    def text(self, longest: int, *, nullable: bool = True) -> str | None:
        """Make a text of one or two nasty pieces that fits."""
        if nullable and self.rng.random() < 0.2:
            return None
        return "".join(self.rng.choices(TEXTS, k=self.rng.randint(1, 2)))[:longest]

    def pick(self, *values: Any) -> Any:
        return self.rng.choice(values)

    async def tenancy(self) -> None:
        for brand, (currency, dealers) in BRANDS.items():
            path = f"g1/{brand}"
            zone = self.pick("Asia/Shanghai", "UTC", "America/St_Johns")
            row = {"code": brand, "name": self.text(50, nullable=False), "currency": currency, "time_zone": zone}
            self.world.nodes[path] = await self.add(Brand, group_id=self.world.nodes["g1"], **row)
            for dealer in dealers:
                await self.dealer(path, dealer)
        await self.dealer("g1/b1", "alone")
        for brand, kind in product(("g1/b1", "g1/b2", "g1/yen"), (ChannelKind.WECOM, ChannelKind.H5)):
            account = {**at(self.world, brand), "kind": kind.value, "app_id": self.text(60, nullable=False)}
            await self.add(ChannelAccount, **account, name=self.text(60, nullable=False))

    async def dealer(self, brand: str, code: str) -> None:
        path = f"{brand}/{code}"
        made = {"province": self.text(20), "city": self.text(20), "created_at": self.pick(*MOMENTS)}
        row = {**at(self.world, brand), "code": code, "name": self.text(50, nullable=False)}
        self.world.nodes[path] = await self.add(Dealer, **row, **made)
        store = {**at(self.world, path), "code": "s1", "name": self.text(50, nullable=False), "city": self.text(20)}
        self.world.nodes[f"{path}/s1"] = await self.add(Store, **store)

    async def tags(self) -> dict[str, list[int]]:
        """Make tags of the groups and of their brands, and return them by group."""
        made: dict[str, list[int]] = {}
        owners = ["g1", "g1/b1", "g1/b2", "g1/yen", "g2", "g2/b1"]
        for number, (owner, kind) in enumerate(product(owners, TagKind)):
            name = f"{self.text(40, nullable=False)}{number}"
            said = {"category": self.text(40), "color": self.text(16), "description": self.text(100)}
            tag = await self.add(Tag, **at(self.world, owner), name=name, kind=kind.value, **said)
            made.setdefault(owner[:2], []).append(tag)
        return made

    async def fans(self, place: str, tags: list[int]) -> None:
        """Add fans, the first of them bare, and a cascade."""
        first = self.world.fans[f"{place}#bare"] = await self.fan(place, bare=True)
        for number in range(1, FANS_PER_PLACE):
            fan = self.world.fans[f"{place}#nasty{number}"] = await self.fan(place, bare=False)
            await self.carry(fan, place, self.rng.sample(tags, self.rng.randint(0, len(tags))))
            for _ in range(self.pick(0, 1, 2, 5)):
                await self.order(fan, place)
        seed = {"seed_fan_id": first, "size": self.pick(1, 5, 2**31 - 1), "created_at": self.pick(*MOMENTS)}
        names = {"source": self.text(30, nullable=False), "code": self.text(60, nullable=False)}
        await self.add(Cascade, **self.brand_of(place), **names, **seed)

    def brand_of(self, place: str) -> dict[str, int]:
        return at(self.world, "/".join(place.split("/")[:2]))

    async def fan(self, place: str, *, bare: bool) -> int:
        """Add a fan; a bare one has nothing that can be left out."""
        self.persons += 1
        uid = UUID(int=self.persons)
        person = await self.add(Person, group_id=at(self.world, place)["group_id"], uid=uid)
        row = {**at(self.world, place), "person_id": person, "currency": self.pick(*SPENT_CURRENCIES)}
        return await self.add(Fan, **row, **({} if bare else self.profile(place)))

    def profile(self, place: str) -> dict[str, Any]:
        sizes = {"nickname": 200, "avatar_url": 500, "province": 64, "city": 64, "district": 64, "language": 16}
        profile: dict[str, Any] = {name: self.text(size) for name, size in sizes.items()}
        profile |= {"gender": self.pick(*Gender).value, "subscribed": self.pick(True, False)}
        profile |= {"spend": self.pick(*AMOUNTS), "order_count": self.pick(*COUNTS)}
        profile |= {name: self.pick(None, *MOMENTS) for name in ("followed_at", "last_order_at")}
        # a phone that no key opens: of the other group alone, since it fails every fan it is read with
        cipher = {"phone_cipher": b"\x00broken"} if place == "g2/b1" and self.rng.random() < 0.3 else {}
        return profile | cipher | {"created_at": self.pick(*MOMENTS), "birthday": self.pick(None, *BIRTHDAYS)}

    async def carry(self, fan: int, place: str, tags: list[int]) -> None:
        rows = [
            {
                **self.brand_of(place), "fan_id": fan, "tag_id": tag, "count": self.pick(*TIMES),
                "weight": self.pick(*self.weights(place)), "source": self.pick(*TagSource).value,
                "first_at": self.pick(*MOMENTS), "last_at": self.pick(*MOMENTS),
            }
            for tag in tags
        ]  # fmt: skip
        if rows:
            await self.session.execute(insert(table_of(FanTag)), rows)

    def weights(self, place: str) -> Iterator[float]:
        yield from WEIGHTS
        # no JSON has these, so whoever reads them gets an error: of the other group alone
        if place == "g2/b1":
            yield from (float("inf"), float("-inf"))
            # SQLite keeps no such number
            if self.world.services.database.dialect == "postgresql":
                yield float("nan")

    async def order(self, fan: int, place: str) -> None:
        self.persons += 1
        currency = self.pick(*SPENT_CURRENCIES)
        row = {
            **at(self.world, place), "fan_id": fan, "source": self.pick("test", self.text(30, nullable=False)),
            "number": f"{self.text(60, nullable=False)}{self.persons}", "state": self.pick(*OrderState).value,
            "amount": self.pick(*AMOUNTS), "currency": currency, "item_count": self.pick(*COUNTS, -1),
            "placed_at": self.pick(*MOMENTS),
        }  # fmt: skip
        order = await self.add(Order, **row)
        for position in range(1, self.pick(1, 1, 2, 4)):
            line = {"product_code": self.text(60), "title": self.text(100, nullable=False), "currency": currency}
            line |= {"quantity": self.pick(1, 2**31 - 1), "amount": self.pick(*AMOUNTS), "position": position}
            await self.add(OrderLine, **self.brand_of(place), order_id=order, **line)

    async def log(self) -> None:
        for owner, detail in product(("g1", "g1/b1", "g2/b1"), DETAILS):
            said = {name: self.text(60, nullable=False) for name in ("principal", "action", "subject")}
            await self.add(AuditEntry, **at(self.world, owner), **said, detail=detail)
