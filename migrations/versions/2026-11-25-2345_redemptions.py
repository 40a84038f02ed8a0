"""Redemptions: what fans order for points."""

import sqlalchemy as sa
from alembic import op

from migrations.walls import lower_walls, raise_walls

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
LISTED = "{} = ANY ((SELECT NULLIF(current_setting('app.{}', true), '')::bigint[])::bigint[])"
FAN_WALL = " OR ".join(
    [
        "(SELECT current_setting('app.everything', true)) = 'on'",
        *(
            LISTED.format(column, name)
            for column, name in (
                ("group_id", "groups"),
                ("brand_id", "brands"),
                ("dealer_id", "dealers"),
                ("store_id", "stores"),
                ("fan_id", "fans"),
            )
        ),
    ]
)
WALLS = {"redemptions": FAN_WALL}
COUNTED = sa.text("state <> 'CANCELLED'")
UNPAID = sa.text("state = 'CREATED' AND pay_until IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "redemptions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("dealer_id", BIG, nullable=True),
        sa.Column("store_id", BIG, nullable=True),
        sa.Column("number", sa.String(length=32), nullable=False),
        sa.Column("gift_id", BIG, nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("cash", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("hold_id", BIG, nullable=False),
        sa.Column("pay_until", MOMENT, nullable=True),
        sa.Column("paid_at", MOMENT, nullable=True),
        sa.Column("payment_reference", sa.String(length=128), nullable=True),
        sa.Column("delivery_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("carrier", sa.String(length=64), nullable=True),
        sa.Column("tracking_number", sa.String(length=64), nullable=True),
        sa.Column("cancel_reason", sa.String(length=200), nullable=True),
        sa.Column("fulfilled_at", MOMENT, nullable=True),
        sa.Column("cancelled_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_redemptions_quantity")),
        sa.CheckConstraint("points > 0", name=op.f("ck_redemptions_points")),
        sa.CheckConstraint("cash >= 0", name=op.f("ck_redemptions_cash")),
        sa.CheckConstraint(
            "pay_until IS NULL OR (cash > 0 AND paid_at IS NULL)", name=op.f("ck_redemptions_pay_until")
        ),
        sa.CheckConstraint("state <> 'FULFILLED' OR cash = 0 OR paid_at IS NOT NULL", name=op.f("ck_redemptions_paid")),
        sa.CheckConstraint("store_id IS NULL OR dealer_id IS NOT NULL", name=op.f("ck_redemptions_store_in_dealer")),
        sa.CheckConstraint("state IN ('CREATED', 'FULFILLED', 'CANCELLED')", name=op.f("ck_redemptions_state")),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_redemptions_group_id_brand_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_redemptions_brand_id_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "dealer_id"],
            ["dealers.brand_id", "dealers.id"],
            name=op.f("fk_redemptions_brand_id_dealer_id"),
        ),
        sa.ForeignKeyConstraint(
            ["dealer_id", "store_id"], ["stores.dealer_id", "stores.id"], name=op.f("fk_redemptions_dealer_id_store_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "gift_id"], ["gifts.brand_id", "gifts.id"], name=op.f("fk_redemptions_brand_id_gift_id")
        ),
        sa.ForeignKeyConstraint(["hold_id"], ["point_transfers.id"], name=op.f("fk_redemptions_hold_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redemptions")),
        sa.UniqueConstraint("brand_id", "number", name=op.f("uq_redemptions_brand_id_number")),
        sa.UniqueConstraint("brand_id", "payment_reference", name=op.f("uq_redemptions_brand_id_payment_reference")),
    )
    for name, columns in {
        "ix_redemptions_fan_created": ["fan_id", "created_at", "id"],
        "ix_redemptions_gift_created": ["gift_id", "created_at", "id"],
        "ix_redemptions_group_created": ["group_id", "created_at", "id"],
        "ix_redemptions_brand_created": ["brand_id", "created_at", "id"],
        "ix_redemptions_brand_state": ["brand_id", "state", "created_at", "id"],
        "ix_redemptions_dealer_created": ["dealer_id", "created_at", "id"],
        "ix_redemptions_store_created": ["store_id", "created_at", "id"],
    }.items():
        op.create_index(name, "redemptions", columns, unique=False)
    partial = {
        "ix_redemptions_counted": (["fan_id", "gift_id"], COUNTED),
        "ix_redemptions_unpaid": (["pay_until", "id"], UNPAID),
    }
    for name, (columns, where) in partial.items():
        op.create_index(name, "redemptions", columns, unique=False, sqlite_where=where, postgresql_where=where)
    raise_walls(WALLS)


def downgrade() -> None:
    lower_walls(WALLS)
    op.drop_table("redemptions")
