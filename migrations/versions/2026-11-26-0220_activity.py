"""When fans were last active, to be sorted by; and that guardians of children agree."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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


PURPOSES = ("MARKETING", "PROFILING", "PERSONALISATION", "LOCATION", "GROUP_SHARING")
CONSENTS = ("consents", "consent_records")


def upgrade() -> None:
    for table in CONSENTS:
        _allow(table, (*PURPOSES, "GUARDIAN"))
    op.create_table(
        "fan_activity",
        sa.Column("fan_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("last_active_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("fan_id", name=op.f("pk_fan_activity")),
    )
    with _past_the_walls():
        op.execute(FILL.format(minute=MINUTE[op.get_bind().dialect.name]))
    op.create_index("ix_fan_activity_brand_last", "fan_activity", ["brand_id", "last_active_at", "fan_id"])
    op.create_index("ix_fan_activity_group_last", "fan_activity", ["group_id", "last_active_at", "fan_id"])
    raise_walls(WALLS)


@contextmanager
def _past_the_walls() -> Iterator[None]:
    """Let the owner, who is held to the walls too, read and write every row inside the block."""
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    if on_postgresql:
        op.execute("SELECT set_config('app.everything', 'on', true)")
    yield
    if on_postgresql:
        op.execute("SELECT set_config('app.everything', '', true)")


def _allow(table: str, purposes: Sequence[str]) -> None:
    name, allowed = op.f(f"ck_{table}_purpose"), f"purpose IN ({', '.join(map(repr, purposes))})"
    # SQLite changes no constraint: there the table is made again
    with op.batch_alter_table(table) as batch:
        batch.drop_constraint(name, type_="check")
        batch.create_check_constraint(name, allowed)


def downgrade() -> None:
    with _past_the_walls():
        for table in CONSENTS:
            op.execute(sa.table(table, sa.column("purpose")).delete().where(sa.column("purpose") == "GUARDIAN"))
    for table in CONSENTS:
        _allow(table, PURPOSES)
    lower_walls(WALLS)
    op.drop_table("fan_activity")
