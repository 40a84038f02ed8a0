"""Who asks: every kind of right, rights that differ from row to row, fans, and callers with no good token."""

import random
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import insert

from authz.tokens import new_api_key
from domain.access.models import ApiKey, Grant
from domain.scope import system_scope
from domain.tables import table_of
from tests.cast import at, hire, make_role, token_of
from tests.contract.fuzz.nasty import MOMENTS
from tests.world import World

STAFF = (
    "HQ1", "HQ1", "B1", "B1", "D1", "ANALYST", "B1READ", "B2", "B10", "D11", "S1", "G2", "NOBODY", "SERVICE", "SERVICE",
    "OPERATOR", "MANY", "MIXED", "MIXED", "BARRED", "BARRED_HQ", "AUDITS", "KEY",
)  # fmt: skip


@dataclass(frozen=True)
class Callers:
    """Everybody who asks: staff and services by name, fans by `place#number`, `fan:` before who has no good token."""

    world: World
    key: str

    def any(self, rng: random.Random) -> str:
        """Pick one."""
        fans = rng.choices(list(self.world.fans), k=4)
        return rng.choice([*STAFF, *STAFF, *fans, *fans, "nobody", "bad", "fan:nobody", "fan:bad"])

    def token(self, who: str) -> str | None:
        """Return the bearer token to send."""
        if who.endswith("nobody"):
            return None
        if who.endswith("bad") or who == "KEY":
            return self.key if who == "KEY" else "nonsense"
        if "#" not in who:
            return token_of(self.world, who)
        group, brand = who.partition("#")[0].split("/")[:2]
        place = self.world.nodes[f"{group}/{brand}"], self.world.nodes[group]
        return self.world.services.tokens.mint_fan(self.world.fans[who], *place)


def is_fan(who: str) -> bool:
    """Tell whose endpoint the caller's is."""
    return "#" in who or who.startswith("fan:")


def is_of_broken_group(who: str) -> bool:
    """Tell whether the caller sees the group that has rows which cannot be answered."""
    return who == "G2" or who.startswith("g2/")


async def hired(world: World) -> Callers:
    """Make callers whose rights differ from row to row and from permission to permission."""
    await make_role(world, "FANS_ALONE", viewer__read="allow", fan__read="allow", order__read="allow")
    await make_role(world, "NO_FANS", fan__read="deny", tag__read="deny")
    await make_role(world, "NO_ORDERS", order__read="deny", tenancy__read="deny", referral__read="deny")
    await make_role(world, "AUDITOR", viewer__read="allow", audit__read="allow", staff__read="allow")
    await hire(world, "OPERATOR", ("BRAND_OPERATOR", "g1/b1"))
    await hire(world, "MANY", ("DEALER_MANAGER", "g1/b1/d1"), ("BRAND_ANALYST", "g1/yen"), ("DEALER_STAFF", "g1/b2/d1"))
    await hire(world, "MIXED", ("FANS_ALONE", "g1"), ("DEALER_MANAGER", "g1/b1/d1"), ("BRAND_ANALYST", "g1/kwd"))
    await hire(world, "BARRED", ("BRAND_ADMIN", "g1/b1"), ("NO_FANS", "g1/b1/d1"))
    await hire(world, "BARRED_HQ", ("GROUP_ADMIN", "g1"), ("NO_ORDERS", "g1/b1"), ("NO_FANS", "g1/b1/d11"))
    await hire(world, "AUDITS", ("AUDITOR", "g1/b1"), ("AUDITOR", "g1/b1/d1"))
    async with world.services.database.writing(system_scope("test")) as session:
        expired = {"staff_id": world.staff["HQ1"], "role": "BRAND_ADMIN", "granted_by": "test"}
        times = {"expires_at": MOMENTS[0] - timedelta(days=1), "created_at": MOMENTS[1]}
        await session.execute(insert(table_of(Grant)).values(**at(world, "g1/b2"), **expired, **times))
    return Callers(world, await _add_key(world, "KEY", ("SERVICE", "g1/b1/d1"), ("BRAND_ANALYST", "g1/b2")))


async def _add_key(world: World, name: str, *grants: tuple[str, str]) -> str:
    made, keys = new_api_key(), table_of(ApiKey)
    row = {"group_id": world.nodes["g1"], "name": name, "prefix": made.prefix, "secret_hash": made.secret_hash}
    async with world.services.database.writing(system_scope("test")) as session:
        key = (await session.execute(insert(keys).values(**row).returning(keys.c.id))).scalar_one()
        for role, node in grants:
            grant = {**at(world, node), "api_key_id": key, "role": role, "granted_by": "test"}
            await session.execute(insert(table_of(Grant)).values(**grant))
    return made.full_key
