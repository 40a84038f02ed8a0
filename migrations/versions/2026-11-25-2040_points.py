"""Points: a programme a brand, and its double-entry ledger, append-only and adding up to zero on both databases."""

import sqlalchemy as sa
from alembic import op

from migrations.walls import allow_changes, forbid_changes, lower_walls, raise_walls

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
LIST = "ANY ((SELECT NULLIF(current_setting('app.{}', true), '')::bigint[])::bigint[])"
BRAND_WALL = (
    "(SELECT current_setting('app.everything', true)) = 'on' OR "
    f"group_id = {LIST.format('groups')} OR brand_id = {LIST.format('brands')} OR "
    f"brand_id = {LIST.format('above_brands')}"
)
TABLES = (
    *("points_programmes", "point_accounts", "point_transfers", "point_entries"),
    *("point_lots", "point_draws", "point_pendings", "point_adjustments", "point_seals"),
)
WALLS = dict.fromkeys(TABLES, BRAND_WALL)
APPEND_ONLY = ("point_transfers", "point_entries", "point_draws", "point_seals")

# All entries of a transfer come in one statement, so what one statement adds must add up to zero by itself.
ZERO_ON_POSTGRESQL = (
    """
CREATE FUNCTION point_entries_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM added GROUP BY transfer_id, kind LIKE 'GROWTH%' HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'the entries of a transfer do not add up to zero' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
""",
    """
CREATE TRIGGER point_entries_add_up AFTER INSERT ON point_entries REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION point_entries_add_up()
""",
)
# SQLite has triggers for rows only: there the transfer is written after its entries and closes them.
ZERO_ON_SQLITE = (
    """
CREATE TRIGGER point_transfers_add_up AFTER INSERT ON point_transfers
WHEN EXISTS (
    SELECT 1 FROM point_entries WHERE transfer_id = NEW.id GROUP BY kind LIKE 'GROWTH%' HAVING sum(amount) <> 0
)
BEGIN SELECT RAISE(ABORT, 'the entries of a transfer do not add up to zero'); END
""",
    """
CREATE TRIGGER point_entries_closed BEFORE INSERT ON point_entries
WHEN EXISTS (SELECT 1 FROM point_transfers WHERE id = NEW.transfer_id)
BEGIN SELECT RAISE(ABORT, 'the transfer has its entries'); END
""",
)


def upgrade() -> None:
    _make_programmes()
    _make_accounts()
    _make_transfers()
    _make_lots()
    _make_waiting()
    raise_walls(WALLS)
    for table in APPEND_ONLY:
        forbid_changes(table)
    for statement in ZERO_ON_SQLITE if _on_sqlite() else ZERO_ON_POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    if not _on_sqlite():
        op.execute("DROP TRIGGER point_entries_add_up ON point_entries")
        op.execute("DROP FUNCTION point_entries_add_up()")
    else:
        op.execute("DROP TRIGGER point_transfers_add_up")
        op.execute("DROP TRIGGER point_entries_closed")
    for table in APPEND_ONLY:
        allow_changes(table)
    lower_walls(WALLS)
    for table in (
        *("point_seals", "point_adjustments", "point_pendings", "point_draws", "point_lots"),
        *("point_entries", "point_transfers", "point_accounts", "points_programmes"),
    ):
        op.drop_table(table)


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _place() -> tuple[sa.Column, sa.Column]:
    return sa.Column("group_id", BIG, nullable=False), sa.Column("brand_id", BIG, nullable=False)


def _balance(name: str) -> sa.Column:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _of_account(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["account_id"], ["point_accounts.id"], name=op.f(f"fk_{table}_account_id"))


def _of_transfer(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["transfer_id"],
        ["point_transfers.id"],
        name=op.f(f"fk_{table}_transfer_id"),
        deferrable=True,
        initially="DEFERRED",
    )


def _of_brand(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f(f"fk_{table}_group_id_brand_id")
    )


def _one_of(table: str, column: str, *kinds: str) -> sa.CheckConstraint:
    listed = ", ".join(repr(kind) for kind in kinds)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=op.f(f"ck_{table}_{column}"))


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _some(condition: str) -> dict[str, sa.TextClause]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _make_programmes() -> None:
    table = "points_programmes"
    op.create_table(
        table,
        sa.Column("brand_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("expiry", sa.String(length=16), nullable=False),
        sa.Column("expiry_months", sa.Integer(), nullable=True),
        sa.Column("claw_back", sa.String(length=16), nullable=False),
        sa.Column("four_eyes_limit", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        _one_of(table, "expiry", "NEVER", "ROLLING_MONTHS", "END_OF_YEAR"),
        _one_of(table, "claw_back", "ONLY_PENDING", "WITHIN_BALANCE", "DEBT"),
        _check(
            table,
            "expiry_months",
            "(expiry = 'ROLLING_MONTHS') = (expiry_months IS NOT NULL) AND "
            "(expiry_months IS NULL OR expiry_months BETWEEN 1 AND 120)",
        ),
        _check(table, "four_eyes_limit", "four_eyes_limit >= 0"),
        _of_brand(table),
        sa.PrimaryKeyConstraint("brand_id", name=op.f(f"pk_{table}")),
    )


def _make_accounts() -> None:
    table, balances = "point_accounts", ("spendable", "held", "pending", "growth", "growth_pending")
    op.create_table(
        table,
        sa.Column("id", BIG, nullable=False),
        *_place(),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("former", sa.Boolean(), nullable=False),
        *(_balance(name) for name in ("spendable", "held", "pending", "debt", "growth", "growth_pending")),
        *(_balance(name) for name in ("spent", "expired")),
        *(_check(table, name, f"{name} >= 0") for name in balances),
        _check(table, "debt", "debt <= 0"),
        _check(table, "gone", "spent >= 0 AND expired >= 0"),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f(f"fk_{table}_brand_id_fan_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index("uq_point_accounts_fan_id", table, ["fan_id"], unique=True, **_some("former = false"))
    op.create_index("ix_point_accounts_fan_id", table, ["fan_id", "id"], unique=False)
    op.create_index("ix_point_accounts_brand_id", table, ["brand_id", "id"], unique=False)


def _make_transfers() -> None:
    table = "point_transfers"
    op.create_table(
        table,
        sa.Column("id", BIG, nullable=False),
        *_place(),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        *(_balance(name) for name in ("points", "growth", "balance", "growth_balance")),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("rule_id", BIG, nullable=True),
        sa.Column("reference", sa.String(length=160), nullable=True),
        sa.Column("request_key", sa.String(length=128), nullable=True),
        sa.Column("reverses_id", BIG, nullable=True),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("available_at", MOMENT, nullable=True),
        sa.Column("recorded_at", MOMENT, nullable=False),
        _one_of(
            table,
            "kind",
            *("EARN", "SPEND", "HOLD", "VOID", "RELEASE", "CANCEL"),
            *("EXPIRE", "REVERSE", "CLAW_BACK", "ADJUST", "MERGE"),
        ),
        _of_account(table),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("brand_id", "source", name=op.f(f"uq_{table}_brand_id_source")),
    )
    op.create_index("ix_point_transfers_account_id", table, ["account_id", "id"], unique=False)
    reversing = _some("reverses_id IS NOT NULL")
    op.create_index("ix_point_transfers_reverses_id", table, ["reverses_id"], unique=False, **reversing)
    table = "point_entries"
    op.create_table(
        table,
        sa.Column("transfer_id", BIG, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        *_place(),
        _balance("amount"),
        _one_of(
            table,
            "kind",
            *("SPENDABLE", "HELD", "PENDING", "DEBT", "GROWTH", "GROWTH_PENDING"),
            *("ISSUED", "REDEEMED", "EXPIRED", "MERGED", "GROWTH_ISSUED", "GROWTH_MERGED"),
        ),
        _check(table, "amount", "amount <> 0"),
        _of_transfer(table),
        sa.PrimaryKeyConstraint("transfer_id", "kind", name=op.f(f"pk_{table}")),
    )


def _make_lots() -> None:
    table = "point_lots"
    op.create_table(
        table,
        sa.Column("id", BIG, nullable=False),
        *_place(),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("transfer_id", BIG, nullable=False),
        _balance("granted"),
        _balance("remaining"),
        sa.Column("granted_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("from_lot_id", BIG, nullable=True),
        _check(table, "remaining", "remaining >= 0 AND remaining <= granted"),
        _check(table, "granted", "granted > 0"),
        _of_account(table),
        _of_transfer(table),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index(
        "ix_point_lots_account_id", table, ["account_id", "expires_at", "id"], unique=False, **_some("remaining > 0")
    )
    ending = _some("remaining > 0 AND expires_at IS NOT NULL")
    op.create_index("ix_point_lots_expires_at", table, ["expires_at", "account_id"], unique=False, **ending)
    op.create_index("ix_point_lots_transfer_id", table, ["transfer_id"], unique=False)
    table = "point_draws"
    op.create_table(
        table,
        sa.Column("transfer_id", BIG, autoincrement=False, nullable=False),
        sa.Column("lot_id", BIG, autoincrement=False, nullable=False),
        *_place(),
        _balance("points"),
        _check(table, "points", "points <> 0"),
        sa.ForeignKeyConstraint(["lot_id"], ["point_lots.id"], name=op.f(f"fk_{table}_lot_id")),
        _of_transfer(table),
        sa.PrimaryKeyConstraint("transfer_id", "lot_id", name=op.f(f"pk_{table}")),
    )
    op.create_index("ix_point_draws_lot_id", table, ["lot_id"], unique=False)


def _make_waiting() -> None:
    table = "point_pendings"
    op.create_table(
        table,
        sa.Column("transfer_id", BIG, autoincrement=False, nullable=False),
        *_place(),
        sa.Column("account_id", BIG, nullable=False),
        _balance("points"),
        _balance("growth"),
        sa.Column("available_at", MOMENT, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        _check(table, "points", "points >= 0"),
        _check(table, "growth", "growth >= 0"),
        _one_of(table, "state", "PENDING", "RELEASED", "CANCELLED"),
        _of_account(table),
        _of_transfer(table),
        sa.PrimaryKeyConstraint("transfer_id", name=op.f(f"pk_{table}")),
    )
    op.create_index("ix_point_pendings_due", table, ["available_at"], unique=False, **_some("state = 'PENDING'"))
    op.create_index("ix_point_pendings_account_id", table, ["account_id", "available_at"], unique=False)
    table = "point_adjustments"
    op.create_table(
        table,
        sa.Column("id", BIG, nullable=False),
        *_place(),
        sa.Column("account_id", BIG, nullable=False),
        _balance("points"),
        _balance("growth"),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=255), nullable=False),
        sa.Column("decided_by", sa.String(length=255), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("note", sa.String(length=300), nullable=True),
        sa.Column("transfer_id", BIG, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        _one_of(table, "state", "DONE", "WAITING", "REJECTED"),
        _check(table, "something", "points <> 0 OR growth <> 0"),
        _of_brand(table),
        _of_account(table),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
    )
    op.create_index("ix_point_adjustments_state", table, ["brand_id", "state", "id"], unique=False)
    op.create_index("ix_point_adjustments_proposed_by", table, ["brand_id", "proposed_by", "created_at"], unique=False)
    op.create_index("ix_point_adjustments_account_id", table, ["account_id", "created_at"], unique=False)
    table = "point_seals"
    op.create_table(
        table,
        sa.Column("brand_id", BIG, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("transfer_id", BIG, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["transfer_id"], ["point_transfers.id"], name=op.f(f"fk_{table}_transfer_id")),
        sa.PrimaryKeyConstraint("brand_id", "number", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("transfer_id", name=op.f(f"uq_{table}_transfer_id")),
    )
