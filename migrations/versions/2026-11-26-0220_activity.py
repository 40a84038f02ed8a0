"""When fans were last active, to be sorted by."""

import sqlalchemy as sa
from alembic import op

from migrations.walls import lower_walls, raise_walls

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BRAND_LEVEL = (
    "(SELECT current_setting('app.everything', true)) = 'on' OR "
    "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
)
WALLS = {"fan_activity": BRAND_LEVEL}
MINUTE = {
    "postgresql": "date_trunc('minute', max(events.occurred_at), 'UTC')",
    "sqlite": "substr(max(events.occurred_at), 1, 16) || '\\:00.000000'",
}
# who was erased is listed nowhere
FILL = """
INSERT INTO fan_activity (fan_id, group_id, brand_id, last_active_at)
SELECT fans.id, fans.group_id, fans.brand_id, {minute}
FROM events JOIN fans ON fans.id = events.fan_id
WHERE fans.erased_at IS NULL
GROUP BY fans.id, fans.group_id, fans.brand_id
"""


def upgrade() -> None:
    op.create_table(
        "fan_activity",
        sa.Column("fan_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("last_active_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("fan_id", name=op.f("pk_fan_activity")),
    )
    _fill()
    op.create_index("ix_fan_activity_brand_last", "fan_activity", ["brand_id", "last_active_at", "fan_id"])
    op.create_index("ix_fan_activity_group_last", "fan_activity", ["group_id", "last_active_at", "fan_id"])
    raise_walls(WALLS)


def _fill() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        # the owner is held to the walls of what it reads too
        op.execute("SELECT set_config('app.everything', 'on', true)")
    op.execute(FILL.format(minute=MINUTE[dialect]))
    if dialect == "postgresql":
        op.execute("SELECT set_config('app.everything', '', true)")


def downgrade() -> None:
    lower_walls(WALLS)
    op.drop_table("fan_activity")
