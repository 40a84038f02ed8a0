"""The points mall: gifts."""

import sqlalchemy as sa
from alembic import op

from migrations.walls import lower_walls, raise_walls

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
LISTED = "{} = ANY ((SELECT NULLIF(current_setting('app.{}', true), '')::bigint[])::bigint[])"
INSIDE = " OR ".join(
    [
        "(SELECT current_setting('app.everything', true)) = 'on'",
        LISTED.format("group_id", "groups"),
        LISTED.format("brand_id", "brands"),
    ]
)
WALLS = {"gifts": f"{INSIDE} OR {LISTED.format('brand_id', 'above_brands')}"}


def upgrade() -> None:
    op.create_table(
        "gifts",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("image_url", sa.String(length=500), nullable=True),
        sa.Column("category", sa.String(length=100), nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("cash", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("stock", sa.BigInteger(), nullable=False),
        sa.Column("stocked", sa.BigInteger(), nullable=False),
        sa.Column("per_fan_limit", sa.Integer(), nullable=True),
        sa.Column("sale_from", MOMENT, nullable=True),
        sa.Column("sale_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("points > 0", name=op.f("ck_gifts_points")),
        sa.CheckConstraint("cash >= 0", name=op.f("ck_gifts_cash")),
        sa.CheckConstraint("stock >= 0 AND stock <= stocked", name=op.f("ck_gifts_stock")),
        sa.CheckConstraint("per_fan_limit > 0", name=op.f("ck_gifts_per_fan_limit")),
        sa.CheckConstraint("sale_from < sale_until", name=op.f("ck_gifts_sale")),
        sa.CheckConstraint("state IN ('DRAFT', 'ON_SALE', 'OFF_SALE')", name=op.f("ck_gifts_state")),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_gifts_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gifts")),
        sa.UniqueConstraint("brand_id", "code", name=op.f("uq_gifts_brand_id_code")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_gifts_brand_id_id")),
    )
    op.create_index("ix_gifts_group_id_id", "gifts", ["group_id", "id"], unique=False)
    op.create_index("ix_gifts_offered", "gifts", ["brand_id", "state", "id"], unique=False)
    op.create_index("ix_gifts_priced", "gifts", ["brand_id", "state", "points", "id"], unique=False)
    raise_walls(WALLS)


def downgrade() -> None:
    lower_walls(WALLS)
    op.drop_table("gifts")
