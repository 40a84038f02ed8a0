"""What is busy: events by campaign, content and channel, for each minute of the last two days."""

import sqlalchemy as sa
from alembic import op

from migrations.walls import lower_walls, raise_walls

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
BRAND_WALL = (
    "(SELECT current_setting('app.everything', true)) = 'on' OR "
    "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
)
WALLS = {"hot_counts": BRAND_WALL}


def upgrade() -> None:
    op.create_table(
        "hot_counts",
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("minute", MOMENT, nullable=False),
        sa.Column("item", sa.String(length=128), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.CheckConstraint("count > 0", name=op.f("ck_hot_counts_count")),
        sa.CheckConstraint("kind IN ('CAMPAIGN', 'CONTENT', 'CHANNEL')", name=op.f("ck_hot_counts_kind")),
        sa.PrimaryKeyConstraint("brand_id", "kind", "minute", "item", "slot", name=op.f("pk_hot_counts")),
    )
    op.create_index("ix_hot_counts_minute", "hot_counts", ["minute"], unique=False)
    raise_walls(WALLS)


def downgrade() -> None:
    lower_walls(WALLS)
    op.drop_table("hot_counts")
