"""Points (积分) and growth (成长值): balances, what moved them, and adjustments by hand."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from domain.points.ledger.models import AdjustmentState, TransferKind
from domain.points.ledger.verifying import Fault
from domain.points.programme.models import ClawBackPolicy, ExpiryPolicy
from domain.tenancy.queries import brand_of_each
from resolvers import ledgers, tenancy
from resolvers import points as resolvers
from schema.arguments import enum_type
from schema.bind import Node, Payload, column, entity, mutation, query, relation, value
from schema.ids import encode
from schema.page import Connection
from schema.scalars import Int64
from schema.tenancy import Brand

if TYPE_CHECKING:
    from schema.fans import Fan

for enum in (AdjustmentState, Fault, TransferKind, ClawBackPolicy, ExpiryPolicy):
    enum_type(enum)
OneFan = Annotated["Fan", strawberry.lazy("schema.fans")]


@strawberry.type(description="What a fan has of points (积分) and growth (成长值).")
class PointBalances:
    active: Int64 = column("What they may spend now.")
    pending: Int64 = column("What they earned and waits for its day.")
    held: Int64 = column("What is set aside for something they ordered.")
    spent: Int64 = column("What they spent.")
    expired: Int64 = column("What expired.")
    negative: Int64 = column("What they owe: points taken back that were spent already. Earnings settle it first.")
    growth: Int64 = column("Their growth, which decides the level.")
    growth_pending: Int64 = column("Growth that waits for its day.")


@strawberry.type(description="Points that expire at one moment.")
class ExpiringPoints:
    expires_at: datetime = column("When.")
    points: Int64 = column("How many are left of them.")


def _transfer(row: Any) -> str | None:
    return None if row.transfer_id is None else encode("PointTransfer", row.transfer_id)


def _reverses(row: Any) -> str | None:
    return None if row.reverses_id is None else encode("PointTransfer", row.reverses_id)


@strawberry.type(description="One movement of a fan's points or growth (积分流水); it is never changed.")
class PointTransfer:
    transfer_id = value(lambda row: encode("PointTransfer", row.id), strawberry.ID, "Its id.")
    kind: TransferKind = column("What it is.")
    points: Int64 = column("What it did for the fan; an earning that waits counts in full.")
    growth: Int64 = column("What it did to their growth.")
    balance: Int64 = column("What they could spend after it, below 0 where they owed.")
    growth_balance: Int64 = column("Their growth after it.")
    reason: str = column("Why.")
    reference: str | None = column("What it was for, as kind:id.")
    reverses_id = value(_reverses, strawberry.ID | None, "The transfer it takes back, ends or releases.")
    occurred_at: datetime = column("When what it is for happened.")
    available_at: datetime | None = column("Until when it waits, or waited.")
    recorded_at: datetime = column("When it was written.")


@strawberry.type(description="One movement of a fan's points or growth as staff see it: with who did it.")
class StaffPointTransfer(PointTransfer):
    source: str = column("The natural key it was posted under, once.")
    actor: str = column("Who did it; a fan is just that.")


@strawberry.type(description="A brand's points programme (积分计划).")
class PointsProgramme:
    expiry = value(lambda row: row.settings.expiry, ExpiryPolicy, "When granted points expire.")
    expiry_months = value(lambda row: row.settings.expiry_months, int | None, "For ROLLING_MONTHS: after how many.")
    claw_back = value(
        lambda row: row.settings.claw_back, ClawBackPolicy, "What is taken back of points that were granted already."
    )
    four_eyes_limit = value(
        lambda row: row.settings.four_eyes_limit,
        Int64 | None,
        "How much one person may adjust alone within 24 hours; null for as much as they like.",
    )
    time_zone: str = column("The zone of its natural days.")
    version: int = column("How often it was said, from 1; 0 where the brand said nothing.")


@entity("An adjustment by hand (人工调整).")
class PointAdjustment(Node):
    points: Int64 = column("Points it gives; below 0, takes.")
    growth: Int64 = column("Growth it gives; below 0, takes.")
    reason: str = column("Why.")
    state: AdjustmentState = column("Whether it is done, waits for a second person, or was refused.")
    proposed_by: str = column("Who proposed it.")
    decided_by: str | None = column("Who decided on it, where it had to wait.")
    decided_at: datetime | None = column("When they did.")
    note: str | None = column("What they said.")
    created_at: datetime = column("When it was proposed.")
    fan = relation(resolvers.fans_of, OneFan | None, permission="fan:read")
    brand = relation(tenancy.brands_of, Brand | None, each=brand_of_each)


@strawberry.type(description="What of an account is not as the ledger says.")
class LedgerDifference:
    account_id = value(lambda row: encode("PointAccount", row.account_id), strawberry.ID, "The account.")
    what: str = column("Which balance, or LOT, LOTS, PENDING_POINTS, PENDING_GROWTH or TRANSFER.")
    expected: Int64 = column("What it should be.")
    found: Int64 = column("What stands there.")
    fan = relation(resolvers.fans_of, OneFan | None, permission="fan:read")


def _continue(audit: Any) -> str | None:
    return None if audit.last_id is None else encode("PointAccount", audit.last_id)


@strawberry.type(description="What an audit of some accounts found (对账).")
class LedgerAudit:
    accounts = value(lambda audit: audit.count, int, "How many accounts were recomputed.")
    differing: int = column("How many things are wrong; 0 where the books are right.")
    differences: list[LedgerDifference] = column("The first 100 of them.", size=1)
    continue_after = value(
        _continue, strawberry.ID | None, "What to give as `after` to go on; null where these were the last accounts."
    )


@strawberry.type(description="What is wrong with one link of a brand's chain of transfers.")
class LedgerChainFault:
    number: Int64 = column("The number of the link.")
    transfer_id = value(_transfer, strawberry.ID | None, "The transfer it is of; null where that is not known.")
    what: Fault = column("What is wrong.")


@strawberry.type(description="Some links of a brand's chain of transfers (积分账本链), made again.")
class LedgerChain:
    links = value(lambda row: row.count, int, "How many links were made again.")
    head: str | None = column("The last of them in hexadecimal: keep it elsewhere, and no earlier transfer can change.")
    faulty: int = column("How many things are wrong; 0 where nothing was tampered with.")
    faults: list[LedgerChainFault] = column("The first 100 of them.", size=1)
    continue_after = value(
        lambda row: row.last, Int64 | None, "What to give as `after` to go on; null where these were the last links."
    )


@strawberry.type(description="Points that can be spent in one month for the last time.")
class ExpiringMonth:
    month: str = column("The month in the brand's time zone, such as 2026-12.")
    points: Int64 = column("How many are left of them.")


@strawberry.type(description="What a brand owes its fans in points (积分负债).")
class PointsLiability:
    at: datetime = column("The moment it was added up.")
    outstanding: Int64 = column("What fans have and did not set aside; all of it is in expiring or neverExpiring.")
    held: Int64 = column("What is set aside for things that were ordered.")
    pending: Int64 = column("What was earned and waits for its day.")
    owed: Int64 = column("What fans owe the brand.")
    never_expiring: Int64 = column("What of the outstanding never expires.")
    expiring: list[ExpiringMonth] = column("What of the outstanding expires, by month, soonest first.", size=12)


@strawberry.type(description="What updatePointsProgramme answers.")
class UpdatePointsProgrammePayload(Payload):
    programme: PointsProgramme | None = column("The programme as it is now.")


@strawberry.type(description="What adjustPoints answers.")
class AdjustPointsPayload(Payload):
    adjustment: PointAdjustment | None = column("The adjustment: done, or waiting for a second person.")
    balances: PointBalances | None = column("What the fan has now.")
    replayed: bool | None = column("Whether this is the answer an earlier request with the same key got.")


@strawberry.type(description="What approvePointAdjustment answers.")
class ApprovePointAdjustmentPayload(Payload):
    adjustment: PointAdjustment | None = column("The adjustment as it is now.")


@strawberry.type(description="What rejectPointAdjustment answers.")
class RejectPointAdjustmentPayload(Payload):
    adjustment: PointAdjustment | None = column("The adjustment as it is now.")


@strawberry.type
class PointsQuery:
    points_programme = query(resolvers.get_points_programme, PointsProgramme, permission="points:read")
    points_liability = query(ledgers.points_liability, PointsLiability, permission="points:read")
    ledger_chain = query(ledgers.ledger_chain, LedgerChain, permission="points:audit")
    ledger_audit = query(ledgers.ledger_audit, LedgerAudit, permission="points:audit")
    point_transfers = query(resolvers.list_point_transfers, Connection[StaffPointTransfer], permission="points:read")
    point_adjustments = query(
        resolvers.list_point_adjustments,
        Connection[PointAdjustment],
        permission="points:read",
        cut=resolvers.cut_point_adjustments,
    )


@strawberry.type
class PointsMutation:
    update_points_programme = mutation(
        resolvers.update_points_programme, UpdatePointsProgrammePayload, permission="points_programme:write"
    )
    adjust_points = mutation(resolvers.adjust_points, AdjustPointsPayload, permission="points:adjust")
    approve_point_adjustment = mutation(
        resolvers.approve_point_adjustment, ApprovePointAdjustmentPayload, permission="points:approve"
    )
    reject_point_adjustment = mutation(
        resolvers.reject_point_adjustment, RejectPointAdjustmentPayload, permission="points:approve"
    )


@strawberry.type
class FanPointsQuery:
    my_point_transfers = query(resolvers.my_point_transfers, Connection[PointTransfer], permission="me:read")
