"""What a client of the bench asks the product for."""

from collections.abc import Sequence

from bench.points.clients import Send
from bench.points.data import CALLER, GROWTH, POINTS, RULE, SCOPE
from domain.database import Database
from domain.gather import Gathered
from domain.points.earning.together import Asked, gathered, lanes
from domain.points.ledger import service as ledger
from domain.points.ledger.rules import Earn, Posted, Spend
from domain.points.programme.rules import Programme


def earns(database: Database, programme: Programme) -> Send:
    """Post earns to the ledger, gathered as the product gathers calls."""

    async def write(wanted: Sequence[Earn]) -> Sequence[Posted]:
        async with database.writing(SCOPE) as session:
            return await ledger.earn(session, programme, wanted, actor="bench")

    together = Gathered(write, alike=lambda _: None, apart=lambda one: one.source, width=lanes(database))

    async def send(fan: int, key: str) -> object:
        return await together.do(Earn(fan, key, POINTS, GROWTH, "post", rule_id=1, reference="PointRule:1"))

    return send


def calls(database: Database) -> Send:
    """Call what the earnPoints mutation calls: key, rule, caps, grant, audit and ledger."""
    together = gathered(database)

    async def send(fan: int, key: str) -> object:
        return await together.do(Asked(CALLER, fan, RULE, None, key, {"fan": fan}))

    return send


def spends(database: Database, programme: Programme) -> Send:
    """Spend a point, each in a transaction of its own."""

    async def send(fan: int, key: str) -> object:
        async with database.writing(SCOPE) as session:
            return await ledger.spend(session, programme, Spend(fan, 1, key), actor="bench")

    return send
