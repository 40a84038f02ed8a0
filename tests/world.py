"""World W: two groups with names made for prefix traps, fans in every corner, and a token for every kind of caller.

g1 { b1 { d1, d11 }, b2 { d1 }, b10 { d1 } }    g2 { b1 { d1 } }
"""

import base64
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import insert, select

from authz.templates import Templates
from authz.tokens import Tokens, new_api_key
from domain.access.models import ApiKey, Grant, Staff
from domain.attributes.models import Attribute, FanAttribute
from domain.database import Database
from domain.fans.service import NewFan, resolve_fans
from domain.orders.models import OrderState
from domain.orders.rules import IdentityInput, OrderInput, OrderLineInput
from domain.orders.service import OrderBatch, record_orders
from domain.persons.models import IdentityKind
from domain.persons.service import IdentityRef
from domain.referrals.service import NewReferral, record_referrals
from domain.scope import system_scope
from domain.shares.service import ShareInput, record_shares
from domain.tables import table_of
from domain.tags.models import FanTag, Tag
from domain.tenancy.models import Brand, ChannelAccount, ChannelKind, Dealer, Group, Store
from domain.timeline.changes import Change, record
from domain.timeline.models import ChangeAct, ChangeKind
from domain.vault import Vault
from graph.driver import Graph
from resolvers.context import Services
from schema.ids import encode
from server.app import create_app
from server.erasures import ErasureFile
from server.runtime import Runtime
from server.settings import Settings
from tests.statements import statements_of

NOWHERE = "bolt://127.0.0.1:9"
MASTER_KEY = b"0123456789abcdef" * 2
PLACES = ("g1/b1/d1", "g1/b1/d11", "g1/b2/d1", "g1/b10/d1", "g2/b1/d1")
STAFF = {
    "HQ1": ("GROUP_ADMIN", "g1"),
    "ANALYST": ("GROUP_ANALYST", "g1"),
    "B1": ("BRAND_ADMIN", "g1/b1"),
    "B1READ": ("BRAND_ANALYST", "g1/b1"),
    "B2": ("BRAND_ADMIN", "g1/b2"),
    "B10": ("BRAND_ADMIN", "g1/b10"),
    "D1": ("DEALER_MANAGER", "g1/b1/d1"),
    "D11": ("DEALER_MANAGER", "g1/b1/d11"),
    "S1": ("DEALER_STAFF", "g1/b1/d1/s1"),
    "G2": ("GROUP_ADMIN", "g2"),
    "NOBODY": ("", "g1"),
}
FANS_PER_PLACE = 4
START = datetime(2026, 1, 1, tzinfo=UTC)


def person(name: str) -> IdentityRef:
    """Name a fan as the system `test` knows them."""
    return IdentityRef(IdentityKind.EXTERNAL_ID, name, "test")


@dataclass
class World:
    """What the tests know of the world, by the names above; fans are `place#number`."""

    services: Services
    nodes: dict[str, int] = field(default_factory=dict)
    fans: dict[str, int] = field(default_factory=dict)
    tags: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, int] = field(default_factory=dict)
    cascades: dict[str, int] = field(default_factory=dict)
    staff: dict[str, int] = field(default_factory=dict)
    api_key: str = ""

    def id(self, kind: str, name: str) -> str:
        """Return the opaque id of a node, fan, tag or cascade."""
        tables = {"Fan": self.fans, "Tag": self.tags, "Cascade": self.cascades, "Staff": self.staff}
        return encode(kind, {**tables, "Attribute": self.attributes}.get(kind, self.nodes)[name])

    def token(self, who: str) -> str:
        """Return the bearer token of a staff member's name, of `SERVICE`, or of a fan by `place#number`."""
        if who == "SERVICE":
            return self.api_key
        if "#" not in who:
            return self.services.tokens.mint_staff(who)
        place = who.partition("#")[0]
        group, brand, _ = place.split("/")
        return self.services.tokens.mint_fan(self.fans[who], self.nodes[f"{group}/{brand}"], self.nodes[group])

    def fans_below(self, node: str) -> set[str]:
        """Return the ids of the fans at a node or below it, by the plain reading of paths."""
        return {
            encode("Fan", n) for name, n in self.fans.items() if f"{name.partition('#')[0]}/".startswith(f"{node}/")
        }


async def build(services: Services) -> World:
    """Fill an empty database with the world."""
    world = World(services)
    scope = system_scope("test")
    async with services.database.writing(scope) as session:
        await _build_tree(world, session)
        await _build_staff(world, session)
    for place in PLACES:
        async with services.database.writing(scope) as session:
            await _build_fans(world, session, place)
    await _link_two_brands(world)
    return world


async def _build_tree(world: World, session: Any) -> None:
    for path in dict.fromkeys("/".join(p.split("/")[: n + 1]) for n in range(3) for p in PLACES):
        parts = path.split("/")
        above = {"group_id": world.nodes[parts[0]]} if len(parts) > 1 else {}
        above |= {"brand_id": world.nodes["/".join(parts[:2])]} if len(parts) > 2 else {}
        model: Any = (Group, Brand, Dealer)[len(parts) - 1]
        row = {"code": parts[-1], "name": path, **above}
        made = await session.execute(insert(table_of(model)).values(**row).returning(table_of(model).c.id))
        world.nodes[path] = made.scalar_one()
        if model is Group:
            await world.services.vault.create_key(session, world.nodes[path])
    d1 = {n: world.nodes[p] for n, p in (("group_id", "g1"), ("brand_id", "g1/b1"), ("dealer_id", "g1/b1/d1"))}
    for number in (1, 2):
        store = (
            insert(table_of(Store)).values(**d1, code=f"s{number}", name=f"s{number}").returning(table_of(Store).c.id)
        )
        world.nodes[f"g1/b1/d1/s{number}"] = (await session.execute(store)).scalar_one()
    account = {"group_id": world.nodes["g1"], "brand_id": world.nodes["g1/b1"]}
    await session.execute(
        insert(table_of(ChannelAccount)).values(
            **account, kind=ChannelKind.MINI_PROGRAM.value, app_id="wx1", name="mini"
        )
    )


def _place(world: World, path: str) -> dict[str, int]:
    parts = path.split("/")
    names = ("group_id", "brand_id", "dealer_id", "store_id")
    return {names[n]: world.nodes["/".join(parts[: n + 1])] for n in range(len(parts))}


async def _build_staff(world: World, session: Any) -> None:
    staff, grants, keys = table_of(Staff), table_of(Grant), table_of(ApiKey)
    for name, (role, node) in STAFF.items():
        group_id = world.nodes[node.split("/")[0]]
        made = await session.execute(
            insert(staff).values(group_id=group_id, subject=name, name=name).returning(staff.c.id)
        )
        world.staff[name] = made.scalar_one()
        if role:
            row = {**_place(world, node), "staff_id": world.staff[name], "role": role, "granted_by": "test"}
            await session.execute(insert(grants).values(**row))
    world.api_key, prefix, secret_hash = new_api_key()
    row = {"group_id": world.nodes["g1"], "name": "pos", "prefix": prefix, "secret_hash": secret_hash}
    key_id = (await session.execute(insert(keys).values(**row).returning(keys.c.id))).scalar_one()
    grant = {**_place(world, "g1/b1"), "api_key_id": key_id, "role": "SERVICE", "granted_by": "test"}
    await session.execute(insert(grants).values(**grant))


async def _build_fans(world: World, session: Any, place: str) -> None:
    at = _place(world, place)
    brands = table_of(Brand)
    brand: Any = (await session.execute(select(brands).where(brands.c.id == at["brand_id"]))).one()
    names = [f"{place}#{number}" for number in range(1, FANS_PER_PLACE + 1)]
    stores = {1: world.nodes["g1/b1/d1/s1"], 2: world.nodes["g1/b1/d1/s2"]} if place == "g1/b1/d1" else {}
    wanted = [
        NewFan(
            person(name),
            nickname=f"粉丝 {name}",
            phone=f"1380000{sum(name.encode()) % 10_000:04d}",
            dealer_id=at["dealer_id"],
            store_id=stores.get(number),
            province="广东",
        )
        for number, name in enumerate(names, start=1)
    ]
    found = await resolve_fans(session, world.services.vault, brand, wanted)
    world.fans |= {name: found[person(name)] for name in names}
    orders = [_order(at, name, number) for number, name in enumerate(names, start=1) for _ in range(1)]
    await record_orders(session, world.services.vault, "test", brand, OrderBatch("test", orders))
    await _build_tags(world, session, at, place, names)
    await _build_attributes(world, session, at, place, names)
    chain = [ShareInput("content", person(a), person(b), START) for a, b in itertools.pairwise(names)]
    await record_shares(session, world.services.vault, brand, place, chain)
    cascades = await session.execute(select(table_of(_cascade()).c.id).where(table_of(_cascade()).c.source == place))
    world.cascades[place] = cascades.scalar_one()
    links = [NewReferral(world.fans[a], world.fans[b], START) for a, b in itertools.pairwise(names)]
    await record_referrals(session, brand, links)


def _cascade() -> Any:
    from domain.shares.models import Cascade  # noqa: PLC0415 (only named here)

    return Cascade


def _order(at: dict[str, int], name: str, number: int) -> OrderInput:
    who = IdentityInput(IdentityKind.EXTERNAL_ID, name, "test")
    lines = [OrderLineInput("茶", number, Decimal(number * 10), "TEA")]
    moment = START + timedelta(days=number)
    return OrderInput(name, who, moment, Decimal(number * 10), OrderState.PAID, dealer_id=at["dealer_id"], lines=lines)


async def _build_tags(world: World, session: Any, at: dict[str, int], place: str, names: list[str]) -> None:
    brand = "/".join(place.split("/")[:2])
    group = place.split("/", maxsplit=1)[0]
    tags, fan_tags = table_of(Tag), table_of(FanTag)
    for name, owner in ((brand, at["brand_id"]), (group, None)):
        if name not in world.tags:
            row = {"group_id": at["group_id"], "brand_id": owner, "name": f"tag of {name}"}
            world.tags[name] = (await session.execute(insert(tags).values(**row).returning(tags.c.id))).scalar_one()
    tenant = {"group_id": at["group_id"], "brand_id": at["brand_id"]}
    rows = [{"fan_id": world.fans[n], "tag_id": world.tags[t], **tenant} for n in names for t in (brand, group)]
    await session.execute(insert(fan_tags), rows)


async def _build_attributes(world: World, session: Any, at: dict[str, int], place: str, names: list[str]) -> None:
    brand = "/".join(place.split("/")[:2])
    tenant: dict[str, Any] = {"group_id": at["group_id"], "brand_id": at["brand_id"]}
    if brand not in world.attributes:
        made = insert(table_of(Attribute)).values(**tenant, key="shoe", name="鞋码", type="NUMBER", fan_visible=True)
        world.attributes[brand] = (await session.execute(made.returning(table_of(Attribute).c.id))).scalar_one()
    rows = [
        {"fan_id": world.fans[name], "attribute_id": world.attributes[brand], **tenant, "number": (36 + n) * 10_000}
        for n, name in enumerate(names)
    ]
    await session.execute(insert(table_of(FanAttribute)), rows)
    changed: dict[str, Any] = {
        "kind": ChangeKind.TAG,
        "act": ChangeAct.ADDED,
        "principal": "test",
        "tag_id": world.tags[brand],
    }
    await record(session, [Change(**tenant, fan_id=world.fans[name], **changed, at=START) for name in names])


async def _link_two_brands(world: World) -> None:
    """Make the first fans of g1/b1/d1 and of g1/b2/d1 one person, as a shared unionid would."""
    from domain.fans.models import Fan  # noqa: PLC0415

    fans = table_of(Fan)
    async with world.services.database.writing(system_scope("test")) as session:
        one = select(fans.c.person_id).where(fans.c.id == world.fans["g1/b1/d1#1"]).scalar_subquery()
        other = world.fans["g1/b2/d1#1"]
        await session.execute(fans.update().where(fans.c.id == other).values(person_id=one))


def services_of(database: Database, settings: Settings, graph: Graph | None = None) -> Services:
    """Return services on the test's database; without a graph, with one that never answers."""
    found = graph or Graph.connect(NOWHERE, ("nobody", "nothing"), "none")
    login, erasures = settings.allows_development_login, ErasureFile(settings.erasure_file)
    tokens = Tokens(settings.tokens)
    return Services(database, Vault(MASTER_KEY), found, Templates(), tokens, erasures, development_login=login)


class Client:
    """Asks the application over HTTP, as somebody."""

    def __init__(self, world: World, http: httpx.AsyncClient) -> None:
        self.world = world
        self.http = http
        self.statements: list[str] = []

    async def ask(self, who: str | None, query: str, **variables: Any) -> dict[str, Any]:
        """Return the whole answer to a query at the endpoint of this kind of caller."""
        response = await self.post(who, {"query": query, "variables": variables})
        answer: dict[str, Any] = response.json()
        return answer

    async def data(self, who: str | None, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data of an answer that must have no error."""
        answer = await self.ask(who, query, **variables)
        assert "errors" not in answer, answer["errors"]
        found: dict[str, Any] = answer["data"]
        return found

    async def codes(self, who: str | None, query: str, **variables: Any) -> list[str]:
        """Return the codes of the errors of an answer."""
        answer = await self.ask(who, query, **variables)
        return [error["extensions"]["code"] for error in answer.get("errors", [])]

    async def post(self, who: str | None, body: dict[str, Any], path: str | None = None) -> httpx.Response:
        """Send a request; a name with # is a fan's and goes to the fan endpoint."""
        headers = {} if who is None else {"authorization": f"Bearer {self.world.token(who)}"}
        where = path or ("/fan/graphql" if who and "#" in who else "/graphql")
        return await self.http.post(where, json=body, headers=headers)


@asynccontextmanager
async def client_of(world: World, settings: Settings) -> AsyncIterator[Client]:
    """Yield a client of the whole application on the world, counting the statements it runs."""
    app = create_app(settings, Runtime(settings, world.services))
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        client = Client(world, http)
        with statements_of(world.services.database) as client.statements:
            yield client


def master_key_text() -> str:
    """Return the test's master key as a setting."""
    return base64.b64encode(MASTER_KEY).decode()
