"""A brand's ledger as a whole: whether it is right, and what it says is owed."""

from dataclasses import dataclass

from domain.access.rules import Node
from domain.errors import BadInput, Forbidden, NotFound
from domain.ids import BrandId, Int64, PointAccountId
from domain.points.ledger.audit import Difference, audit_accounts
from domain.points.ledger.history import READ
from domain.points.ledger.liability import Liability, liability
from domain.points.ledger.verifying import ChainFault, verify_chain
from domain.points.programme.queries import programme_of
from domain.tenancy.queries import brands_by_id
from resolvers.context import Context

AUDIT = "points:audit"
MAX_ACCOUNTS, MAX_LINKS, MAX_SHOWN = 1_000, 1_000, 100


@dataclass(frozen=True)
class LedgerAudit:
    """Some accounts of a brand and what is wrong with them; `last_id` is None where no more come after them."""

    count: int
    last_id: int | None
    differing: int
    differences: tuple[Difference, ...]


async def ledger_audit(
    context: Context, *, brand_id: BrandId, accounts: int = 500, after: PointAccountId | None = None
) -> LedgerAudit:
    """Recompute the next accounts (at most 1000) of a brand from their entries and say what of them is wrong."""
    if not 1 <= accounts <= MAX_ACCOUNTS:
        raise BadInput(f"accounts must be between 1 and {MAX_ACCOUNTS}.", field=("accounts",))
    await _check(context, brand_id, AUDIT)
    async with context.reading() as session:
        found = await audit_accounts(session, brand_id, after=after or 0, limit=accounts)
    last_id = found.last_id if found.count == accounts else None
    return LedgerAudit(found.count, last_id, len(found.differences), found.differences[:MAX_SHOWN])


@dataclass(frozen=True)
class LedgerChain:
    """Some links of a brand's chain and what is wrong with them; `last` is None where no more come after them."""

    count: int
    last: int | None
    head: str | None
    faulty: int
    faults: tuple[ChainFault, ...]


async def ledger_chain(
    context: Context, *, brand_id: BrandId, links: int = 500, after: Int64 | None = None
) -> LedgerChain:
    """Make the next links (at most 1000) of a brand's chain of transfers again and say which are not what was sealed.

    A transfer is added to the chain some seconds after it was written.
    """
    if not 1 <= links <= MAX_LINKS:
        raise BadInput(f"links must be between 1 and {MAX_LINKS}.", field=("links",))
    if after is not None and after < 0:
        raise BadInput("after is the number of a link.", field=("after",))
    await _check(context, brand_id, AUDIT)
    async with context.reading() as session:
        found = await verify_chain(session, context.services.vault, brand_id, after=after or 0, limit=links)
    last = found.last if found.count == links else None
    head = None if found.head is None else found.head.hex()
    return LedgerChain(found.count, last, head, len(found.faults), found.faults[:MAX_SHOWN])


async def points_liability(context: Context, *, brand_id: BrandId) -> Liability:
    """Add up what all fans of a brand have of points, and until when they can spend it."""
    await _check(context, brand_id, READ)
    async with context.reading() as session:
        programme = await programme_of(session, brand_id)
    async with context.reading() as session:
        return await liability(session, programme)


async def _check(context: Context, brand_id: int, permission: str) -> None:
    async with context.reading() as session:
        brand = (await brands_by_id(session, context.scope, [brand_id])).get(brand_id)
    if brand is None:
        raise NotFound("No such brand.", field=("brandId",))
    if not context.scope.holds(permission, Node(brand.group_id, brand.id)):
        raise Forbidden("A brand's ledger is seen as a whole by those who may see all of it.")
