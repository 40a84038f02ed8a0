"""Who may see what in world W, by the plain reading of paths. Knows nothing of scopes, grants or SQL predicates.

An object has a path such as `g1/b1/d1`. What belongs to fans is seen from its own node and from those above it; what
a node itself is (a brand, its tags, its cascades) is also seen, by name, from the nodes below it.
"""

from dataclasses import dataclass, field

from sqlalchemy import select

from domain.events.models import EventDefinition, FanEvent
from domain.levels.models import Level
from domain.mall.models import Gift, Redemption
from domain.orders.models import Order
from domain.persons.models import BlockedIdentity, IdentityConflict, Person, PersonMerge
from domain.points.earning.models import PointRule
from domain.points.ledger.models import PointAdjustment
from domain.scope import system_scope
from domain.tables import table_of
from domain.tenancy.models import ChannelAccount
from tests.world import STAFF, World

HOMES = {name: node for name, (role, node) in STAFF.items() if role} | {"SERVICE": "g1/b1"}
NODES = {"Group": 1, "Brand": 2, "Dealer": 3, "Store": 4}
SHARED = {*NODES, "Tag", "Cascade", "ChannelAccount", "Attribute", "EventDefinition", "Gift", "Level", "PointRule"}


def below(inner: str, outer: str) -> bool:
    """Tell whether a path is a node's own or lies under it."""
    return f"{inner}/".startswith(f"{outer}/")


@dataclass
class Oracle:
    """The path of every object, by kind and number."""

    paths: dict[str, dict[int, str]] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=lambda: dict(HOMES))

    def sees(self, who: str, kind: str, number: int) -> bool:
        """Tell whether a caller who has the permission may see the object."""
        path, home = self.paths[kind][number], self.homes[who]
        return below(path, home) or (kind in SHARED and below(home, path))

    def seen(self, who: str, kind: str) -> set[int]:
        """Return the numbers of all objects of a kind that the caller may see."""
        return {number for number in self.paths[kind] if self.sees(who, kind, number)}


async def oracle_of(world: World) -> Oracle:
    """Write down the path of every object of the world."""
    stores = {"g1/b1/d1#1": "/s1", "g1/b1/d1#2": "/s2"}
    places = {name: name.partition("#")[0] for name in world.fans}
    found = Oracle()
    for kind, length in NODES.items():
        found.paths[kind] = {n: path for path, n in world.nodes.items() if len(path.split("/")) == length}
    found.paths["Fan"] = {n: places[name] + stores.get(name, "") for name, n in world.fans.items()}
    found.paths["Tag"] = {n: owner for owner, n in world.tags.items()}
    found.paths["Attribute"] = {n: "/".join(owner.split("/")[:2]) for owner, n in world.attributes.items()}
    found.paths["Cascade"] = {n: "/".join(place.split("/")[:2]) for place, n in world.cascades.items()}
    found.paths["Staff"] = {
        n: node if role else "g1" for name, n in world.staff.items() for role, node in [STAFF[name]]
    }
    found.paths["Job"] = {}
    orders, accounts = table_of(Order), table_of(ChannelAccount)
    async with world.services.database.reading(system_scope("test")) as session:
        rows = (await session.execute(select(orders.c.id, orders.c.number))).all()
        found.paths["Order"] = {row.id: places[row.number] for row in rows}
        kept = (await session.execute(select(accounts.c.id))).scalars()
        found.paths["ChannelAccount"] = dict.fromkeys(kept, "g1/b1")
        brands = {number: path for path, number in world.nodes.items() if len(path.split("/")) == 2}
        groups = {number: path for path, number in world.nodes.items() if "/" not in path}
        fans = found.paths["Fan"]
        for model in (EventDefinition, Gift, Level, PointAdjustment, PointRule):
            table = table_of(model)
            owners = (await session.execute(select(table.c.id, table.c.brand_id))).all()
            found.paths[model.__name__] = {row.id: brands[row.brand_id] for row in owners}
        for done in (FanEvent, Redemption):
            table = table_of(done)
            deeds = (await session.execute(select(table.c.id, table.c.fan_id))).all()
            found.paths[done.__name__] = {row.id: fans[row.fan_id] for row in deeds}
        for shared in (Person, IdentityConflict, PersonMerge, BlockedIdentity):
            table = table_of(shared)
            rows = (await session.execute(select(table.c.id, table.c.group_id))).all()
            found.paths[shared.__name__] = {row.id: groups[row.group_id] for row in rows}
    return found
