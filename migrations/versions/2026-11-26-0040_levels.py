"""Levels of brands, how they are kept, and where fans stand."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.walls import lower_walls, raise_walls

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
BRAND_LEVEL = (
    "(SELECT current_setting('app.everything', true)) = 'on' OR "
    "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
)
WALLS = dict.fromkeys(("levels", "level_programmes", "fan_levels"), BRAND_LEVEL)
HELD = {
    "ix_fan_levels_level": ["level_id", "fan_id"],
    "ix_fan_levels_brand_rank": ["brand_id", "rank", "fan_id"],
    "ix_fan_levels_group_rank": ["group_id", "rank", "fan_id"],
}


def upgrade() -> None:
    op.create_table(
        "level_programmes",
        sa.Column("brand_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("demotion", sa.String(length=8), nullable=False),
        sa.Column("valid_months", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("settled_to", BIG, nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("demotion IN ('NEVER', 'AT_ONCE', 'PERIODIC')", name=op.f("ck_level_programmes_demotion")),
        sa.CheckConstraint(
            "(demotion = 'PERIODIC') = (valid_months IS NOT NULL)", name=op.f("ck_level_programmes_valid_months")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"],
            ["brands.group_id", "brands.id"],
            name=op.f("fk_level_programmes_group_id_brand_id"),
        ),
        sa.PrimaryKeyConstraint("brand_id", name=op.f("pk_level_programmes")),
    )
    _index("ix_level_programmes_unsettled", "level_programmes", ["brand_id"], "settled_to")
    op.create_table(
        "levels",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("growth", BIG, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=True),
        sa.Column("benefits", JSON, nullable=False),
        sa.Column("archived_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("growth >= 0", name=op.f("ck_levels_growth")),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_levels_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_levels")),
        sa.UniqueConstraint("brand_id", "code", name=op.f("uq_levels_brand_id_code")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_levels_brand_id_id")),
    )
    op.create_index("ix_levels_brand_growth", "levels", ["brand_id", "growth", "id"])
    op.create_table(
        "fan_levels",
        sa.Column("fan_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("level_id", BIG, nullable=True),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("since", MOMENT, nullable=True),
        sa.Column("valid_until", MOMENT, nullable=True),
        sa.Column("deducted", BIG, nullable=False),
        sa.CheckConstraint("(level_id IS NULL) = (rank IS NULL)", name=op.f("ck_fan_levels_rank")),
        sa.CheckConstraint("deducted >= 0", name=op.f("ck_fan_levels_deducted")),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_fan_levels_brand_id_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "level_id"], ["levels.brand_id", "levels.id"], name=op.f("fk_fan_levels_brand_id_level_id")
        ),
        sa.PrimaryKeyConstraint("fan_id", name=op.f("pk_fan_levels")),
    )
    for name, columns in HELD.items():
        _index(name, "fan_levels", columns, "rank")
    _index("ix_fan_levels_valid_until", "fan_levels", ["valid_until", "fan_id"], "valid_until")
    raise_walls(WALLS)


def _index(name: str, table: str, columns: list[str], given: str) -> None:
    there = sa.text(f"{given} IS NOT NULL")
    op.create_index(name, table, columns, sqlite_where=there, postgresql_where=there)


def downgrade() -> None:
    lower_walls(WALLS)
    for table in ("fan_levels", "levels", "level_programmes"):
        op.drop_table(table)
