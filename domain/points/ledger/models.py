from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

from domain.columns import BigInt
from domain.tables import key, moment, ref, within

SOURCE_LENGTH, REASON_LENGTH, REFERENCE_LENGTH = 200, 300, 160
MAX_POINTS = 2**63 - 1


class TransferKind(StrEnum):
    """What a transfer does (积分流水类型)."""

    EARN = "EARN"
    SPEND = "SPEND"
    HOLD = "HOLD"
    VOID = "VOID"
    RELEASE = "RELEASE"
    CANCEL = "CANCEL"
    EXPIRE = "EXPIRE"
    REVERSE = "REVERSE"
    CLAW_BACK = "CLAW_BACK"
    ADJUST = "ADJUST"
    MERGE = "MERGE"


class EntryKind(StrEnum):
    """Which balance an entry changes: one of the fan's six, or the programme's own side of it."""

    SPENDABLE = "SPENDABLE"
    HELD = "HELD"
    PENDING = "PENDING"
    DEBT = "DEBT"
    GROWTH = "GROWTH"
    GROWTH_PENDING = "GROWTH_PENDING"
    ISSUED = "ISSUED"
    REDEEMED = "REDEEMED"
    EXPIRED = "EXPIRED"
    MERGED = "MERGED"
    GROWTH_ISSUED = "GROWTH_ISSUED"
    GROWTH_MERGED = "GROWTH_MERGED"


# the columns of an account, each of which is the sum of its entries
BALANCES = tuple(EntryKind(name) for name in ("SPENDABLE", "HELD", "PENDING", "DEBT", "GROWTH", "GROWTH_PENDING"))


class PendingState(StrEnum):
    """Where points stand that were earned and wait for their day."""

    PENDING = "PENDING"
    RELEASED = "RELEASED"
    CANCELLED = "CANCELLED"


class AdjustmentState(StrEnum):
    """Where an adjustment by hand stands: done, waiting for a second person, or refused by them."""

    DONE = "DONE"
    WAITING = "WAITING"
    REJECTED = "REJECTED"


def _one_of(column: str, kinds: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(kind.value) for kind in kinds)})"


def _of_transfer(column: str = "transfer_id") -> ForeignKeyConstraint:
    # deferred: on SQLite a transfer is written after its entries, and closes them
    return ForeignKeyConstraint([column], ["point_transfers.id"], deferrable=True, initially="DEFERRED")


_OPEN = text("former = false")
_LEFT = text("remaining > 0")
_LEFT_AND_ENDING = text("remaining > 0 AND expires_at IS NOT NULL")
_WAITING = text("state = 'PENDING'")


class PointAccount(SQLModel, table=True):
    """A fan's balances (积分账户). Each is the sum of its entries; `debt` is never above zero, the others never below.

    What a fan may spend is `spendable + debt`; `spent` and `expired` say how much of the account went where. An account
    whose fan was merged away is `former`: it holds no more than what was held then, names who the fan is now, and keeps
    its history. No index stands on a balance, so that changing one touches no index.
    """

    __tablename__ = "point_accounts"
    __table_args__ = (
        within("fans", "brand_id", "fan_id"),
        *(CheckConstraint(f"{kind.lower()} >= 0", name=kind.lower()) for kind in BALANCES if kind != "DEBT"),
        CheckConstraint("debt <= 0", name="debt"),
        CheckConstraint("spent >= 0 AND expired >= 0", name="gone"),
        Index("uq_point_accounts_fan_id", "fan_id", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_point_accounts_fan_id", "fan_id", "id"),
        Index("ix_point_accounts_brand_id", "brand_id", "id"),
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    fan_id: int = ref()
    former: bool = Field(default=False)
    spendable: int = Field(default=0, sa_type=BigInteger)
    held: int = Field(default=0, sa_type=BigInteger)
    pending: int = Field(default=0, sa_type=BigInteger)
    debt: int = Field(default=0, sa_type=BigInteger)
    growth: int = Field(default=0, sa_type=BigInteger)
    growth_pending: int = Field(default=0, sa_type=BigInteger)
    spent: int = Field(default=0, sa_type=BigInteger)
    expired: int = Field(default=0, sa_type=BigInteger)


class PointTransfer(SQLModel, table=True):
    """One movement of one account (积分流水), never changed and never deleted. `source` is its natural key.

    `points` and `growth` say what it did for the fan, `balance` and `growth_balance` what they had after it;
    `reference` names what it was for as `kind:id`, `reverses_id` the transfer it takes back, ends or releases.
    """

    __tablename__ = "point_transfers"
    __table_args__ = (
        UniqueConstraint("brand_id", "source"),
        CheckConstraint(_one_of("kind", TransferKind), name="kind"),
        Index("ix_point_transfers_account_id", "account_id", "id"),
        Index("ix_point_transfers_account_at", "account_id", "occurred_at", "id"),
        Index("ix_point_transfers_recorded_at", "recorded_at", postgresql_using="brin"),
        Index(
            "ix_point_transfers_reverses_id",
            "reverses_id",
            sqlite_where=text("reverses_id IS NOT NULL"),
            postgresql_where=text("reverses_id IS NOT NULL"),
        ),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    account_id: int = ref("point_accounts.id")
    kind: TransferKind = Field(sa_type=String(16))
    source: str = Field(sa_type=String(SOURCE_LENGTH))
    points: int = Field(sa_type=BigInteger)
    growth: int = Field(sa_type=BigInteger)
    balance: int = Field(sa_type=BigInteger)
    growth_balance: int = Field(sa_type=BigInteger)
    reason: str = Field(sa_type=String(REASON_LENGTH))
    actor: str = Field(sa_type=String(255))
    rule_id: int | None = ref(nullable=True)
    reference: str | None = Field(default=None, sa_type=String(REFERENCE_LENGTH))
    request_key: str | None = Field(default=None, sa_type=String(128))
    reverses_id: int | None = ref(nullable=True)
    occurred_at: datetime = moment()
    available_at: datetime | None = moment(nullable=True)
    recorded_at: datetime = moment()


class PointEntry(SQLModel, table=True):
    """One side of a transfer. The amounts of a transfer add up to zero, of points and of growth apart.

    The database itself refuses a transfer that does not, and any change of an entry.
    """

    __tablename__ = "point_entries"
    __table_args__ = (
        _of_transfer(),
        CheckConstraint(_one_of("kind", EntryKind), name="kind"),
        CheckConstraint("amount <> 0", name="amount"),
    )

    transfer_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs={"autoincrement": False})
    kind: EntryKind = Field(primary_key=True, sa_type=String(16))
    group_id: int = ref()
    brand_id: int = ref()
    amount: int = Field(sa_type=BigInteger)


class PointLot(SQLModel, table=True):
    """Points that came at once and expire at once (积分批次). What is left of all lots is the spendable balance.

    `from_lot_id` is the lot of another account it was made of, by a merge or an unmerge.
    """

    __tablename__ = "point_lots"
    __table_args__ = (
        _of_transfer(),
        CheckConstraint("remaining >= 0 AND remaining <= granted", name="remaining"),
        CheckConstraint("granted > 0", name="granted"),
        Index(
            "ix_point_lots_account_id",
            *("account_id", "expires_at", "id"),
            sqlite_where=_LEFT,
            postgresql_where=_LEFT,
        ),
        Index(
            "ix_point_lots_expires_at",
            *("expires_at", "account_id"),
            sqlite_where=_LEFT_AND_ENDING,
            postgresql_where=_LEFT_AND_ENDING,
        ),
        Index("ix_point_lots_transfer_id", "transfer_id"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    account_id: int = ref("point_accounts.id")
    transfer_id: int = ref()
    granted: int = Field(sa_type=BigInteger)
    remaining: int = Field(sa_type=BigInteger)
    granted_at: datetime = moment()
    expires_at: datetime | None = moment(nullable=True)
    from_lot_id: int | None = ref(nullable=True)


class PointDraw(SQLModel, table=True):
    """How much a transfer took from a lot, or, below zero, gave back to it. Never changed and never deleted."""

    __tablename__ = "point_draws"
    __table_args__ = (
        _of_transfer(),
        CheckConstraint("points <> 0", name="points"),
        Index("ix_point_draws_lot_id", "lot_id"),
    )

    transfer_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs={"autoincrement": False})
    lot_id: int = Field(
        primary_key=True,
        foreign_key="point_lots.id",
        sa_type=BigInt,
        sa_column_kwargs={"autoincrement": False},
    )
    group_id: int = ref()
    brand_id: int = ref()
    points: int = Field(sa_type=BigInteger)


class PointPending(SQLModel, table=True):
    """What of an EARN still waits for its day (待生效积分); `points` and `growth` are what is left of it."""

    __tablename__ = "point_pendings"
    __table_args__ = (
        _of_transfer(),
        CheckConstraint("points >= 0", name="points"),
        CheckConstraint("growth >= 0", name="growth"),
        CheckConstraint(_one_of("state", PendingState), name="state"),
        Index("ix_point_pendings_due", "available_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_point_pendings_account_id", "account_id", "available_at"),
    )

    transfer_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs={"autoincrement": False})
    group_id: int = ref()
    brand_id: int = ref()
    account_id: int = ref("point_accounts.id")
    points: int = Field(sa_type=BigInteger)
    growth: int = Field(sa_type=BigInteger)
    available_at: datetime = moment()
    state: PendingState = Field(default=PendingState.PENDING, sa_type=String(16))


class PointAdjustment(SQLModel, table=True):
    """An adjustment by hand (人工调整). Above the programme's limit it waits for a second person."""

    __tablename__ = "point_adjustments"
    __table_args__ = (
        within("brands", "group_id", "brand_id"),
        CheckConstraint(_one_of("state", AdjustmentState), name="state"),
        CheckConstraint("points <> 0 OR growth <> 0", name="something"),
        Index("ix_point_adjustments_state", "brand_id", "state", "id"),
        Index("ix_point_adjustments_proposed_by", "brand_id", "proposed_by", "created_at"),
        Index("ix_point_adjustments_account_id", "account_id", "created_at"),
    )

    id: int = key()
    group_id: int = ref()
    brand_id: int = ref()
    account_id: int = ref("point_accounts.id")
    points: int = Field(sa_type=BigInteger)
    growth: int = Field(sa_type=BigInteger)
    reason: str = Field(sa_type=String(REASON_LENGTH))
    state: AdjustmentState = Field(sa_type=String(16))
    proposed_by: str = Field(sa_type=String(255))
    decided_by: str | None = Field(default=None, sa_type=String(255))
    decided_at: datetime | None = moment(nullable=True)
    note: str | None = Field(default=None, sa_type=String(REASON_LENGTH))
    transfer_id: int | None = ref(nullable=True)
    created_at: datetime = moment(now=True)


class PointSeal(SQLModel, table=True):
    """The link of one transfer in its programme's chain (积分账本链): a hash over the link before and all it says.

    The worker adds them in order, after the transfers: an inline chain would let one earn in at a time.
    """

    __tablename__ = "point_seals"
    __table_args__ = (UniqueConstraint("transfer_id"),)

    brand_id: int = Field(primary_key=True, sa_type=BigInt, sa_column_kwargs={"autoincrement": False})
    number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    group_id: int = ref()
    transfer_id: int = ref("point_transfers.id")
    hash: bytes = Field(sa_type=LargeBinary(32))
