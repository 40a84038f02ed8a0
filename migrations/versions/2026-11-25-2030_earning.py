"""Earning: what a brand gives points for, what was granted, what caps are held by; receipt and refunds of orders."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.walls import lower_walls, raise_walls

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
LISTED = "{} = ANY ((SELECT NULLIF(current_setting('app.{}', true), '')::bigint[])::bigint[])"
BRAND_WALL = " OR ".join(
    [
        "(SELECT current_setting('app.everything', true)) = 'on'",
        LISTED.format("group_id", "groups"),
        LISTED.format("brand_id", "brands"),
        LISTED.format("brand_id", "above_brands"),
    ]
)
TABLES = ("point_counters", "point_grants", "point_rules", "order_refunds")
WALLS = dict.fromkeys(TABLES, BRAND_WALL)
OF_ORDERS = sa.text("order_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("orders", sa.Column("received_at", MOMENT, nullable=True))
    op.add_column("orders", sa.Column("refunded", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "order_refunds",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("order_id", BIG, nullable=False),
        sa.Column("number", sa.String(length=128), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("refunded_at", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_order_refunds_amount")),
        sa.ForeignKeyConstraint(
            ["brand_id", "order_id"], ["orders.brand_id", "orders.id"], name=op.f("fk_order_refunds_brand_id_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_refunds")),
        sa.UniqueConstraint("order_id", "number", name=op.f("uq_order_refunds_order_id_number")),
    )
    _create_rules()
    _create_grants()
    _create_counters()
    raise_walls(WALLS)


def _create_rules() -> None:
    op.create_table(
        "point_rules",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("module", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("order_source", sa.String(length=64), nullable=True),
        sa.Column("basis", sa.String(length=8), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("growth", sa.BigInteger(), nullable=False),
        sa.Column("per_amount", sa.BigInteger(), nullable=True),
        sa.Column("frequency", sa.String(length=8), nullable=False),
        sa.Column("beneficiary", sa.String(length=8), nullable=False),
        sa.Column("daily_points_cap", sa.BigInteger(), nullable=True),
        sa.Column("daily_growth_cap", sa.BigInteger(), nullable=True),
        sa.Column("monthly_points_cap", sa.BigInteger(), nullable=True),
        sa.Column("monthly_growth_cap", sa.BigInteger(), nullable=True),
        sa.Column("delay_days", sa.Integer(), nullable=False),
        sa.Column("starts_at", MOMENT, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("basis IN ('EVENT', 'AMOUNT')", name=op.f("ck_point_rules_basis")),
        sa.CheckConstraint("frequency IN ('EACH', 'DAILY', 'ONCE')", name=op.f("ck_point_rules_frequency")),
        sa.CheckConstraint("beneficiary IN ('FAN', 'REFERRER', 'BOTH')", name=op.f("ck_point_rules_beneficiary")),
        sa.CheckConstraint("points >= 0 AND growth >= 0 AND points + growth > 0", name=op.f("ck_point_rules_gives")),
        sa.CheckConstraint("(basis = 'AMOUNT') = (per_amount IS NOT NULL)", name=op.f("ck_point_rules_per_amount")),
        sa.CheckConstraint("per_amount IS NULL OR per_amount > 0", name=op.f("ck_point_rules_per_amount_positive")),
        sa.CheckConstraint("delay_days BETWEEN 0 AND 3660", name=op.f("ck_point_rules_delay_days")),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_point_rules_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_point_rules")),
        sa.UniqueConstraint("brand_id", "code", name=op.f("uq_point_rules_brand_id_code")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_point_rules_brand_id_id")),
    )
    op.create_index("ix_point_rules_brand_event", "point_rules", ["brand_id", "event"], unique=False)


def _create_grants() -> None:
    op.create_table(
        "point_grants",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("rule_id", BIG, nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("event_id", BIG, nullable=True),
        sa.Column("order_id", BIG, nullable=True),
        sa.Column("referral_id", BIG, nullable=True),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=True),
        sa.Column("per_unit", sa.BigInteger(), nullable=True),
        sa.Column("desired_points", sa.BigInteger(), nullable=False),
        sa.Column("desired_growth", sa.BigInteger(), nullable=False),
        sa.Column("granted_points", sa.BigInteger(), nullable=False),
        sa.Column("granted_growth", sa.BigInteger(), nullable=False),
        sa.Column("cuts", JSON, nullable=True),
        sa.Column("available_at", MOMENT, nullable=True),
        sa.Column("taken_points", sa.BigInteger(), nullable=False),
        sa.Column("taken_growth", sa.BigInteger(), nullable=False),
        sa.Column("reversed_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("taken_points BETWEEN 0 AND granted_points", name=op.f("ck_point_grants_taken_points")),
        sa.CheckConstraint("taken_growth BETWEEN 0 AND granted_growth", name=op.f("ck_point_grants_taken_growth")),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_point_grants_group_id_brand_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_point_grants_brand_id_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "rule_id"],
            ["point_rules.brand_id", "point_rules.id"],
            name=op.f("fk_point_grants_brand_id_rule_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_point_grants")),
        sa.UniqueConstraint("brand_id", "source", name=op.f("uq_point_grants_brand_id_source")),
    )
    for name in ("fan_id", "brand_id", "rule_id"):
        op.create_index(f"ix_point_grants_{name}_id", "point_grants", [name, "id"], unique=False)
    op.create_index(
        "ix_point_grants_order_id",
        "point_grants",
        ["order_id"],
        unique=False,
        sqlite_where=OF_ORDERS,
        postgresql_where=OF_ORDERS,
    )


def _create_counters() -> None:
    op.create_table(
        "point_counters",
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("rule_id", BIG, nullable=False),
        sa.Column("period", sa.String(length=5), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("growth", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("period IN ('DAY', 'MONTH', 'EVER')", name=op.f("ck_point_counters_period")),
        sa.CheckConstraint("times >= 0 AND points >= 0 AND growth >= 0", name=op.f("ck_point_counters_counts")),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_point_counters_brand_id_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "rule_id"],
            ["point_rules.brand_id", "point_rules.id"],
            name=op.f("fk_point_counters_brand_id_rule_id"),
        ),
        sa.PrimaryKeyConstraint("fan_id", "rule_id", "period", "starts_on", name=op.f("pk_point_counters")),
    )


def downgrade() -> None:
    lower_walls(WALLS)
    for table in TABLES:
        op.drop_table(table)
    op.drop_column("orders", "refunded")
    op.drop_column("orders", "received_at")
