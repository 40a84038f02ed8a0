"""Gifts that ask for a level, exports of the ledger, and the ledger on the timeline."""

import sqlalchemy as sa
from alembic import op

from migrations.rebuilt import rebuild

revision = "0013"
down_revision = "0014"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BEFORE, AFTER = "kind IN ('EXPORT_FAN', 'ERASE_FAN')", "kind IN ('EXPORT_FAN', 'ERASE_FAN', 'EXPORT_POINTS')"
OF_FAN, OF_ANY = "fan_id INTEGER NOT NULL", "fan_id INTEGER"


def upgrade() -> None:
    op.add_column("gifts", sa.Column("least_level_id", BIG, nullable=True))
    op.create_index("ix_point_transfers_account_at", "point_transfers", ["account_id", "occurred_at", "id"])
    # what is written in the order of time needs no more than its ranges, which cost an insert nothing
    op.create_index("ix_point_transfers_recorded_at", "point_transfers", ["recorded_at"], postgresql_using="brin")
    _say_kinds(BEFORE, AFTER)
    if _on_sqlite():
        rebuild("export_parts", (OF_FAN, OF_ANY))
    else:
        op.alter_column("export_parts", "fan_id", nullable=True)


def downgrade() -> None:
    jobs, parts = sa.table("jobs", sa.column("id"), sa.column("kind")), sa.table("export_parts", sa.column("job_id"))
    of_points = sa.select(jobs.c.id).where(jobs.c.kind == "EXPORT_POINTS")
    if not _on_sqlite():
        op.execute("SELECT set_config('app.everything', 'on', true)")
    op.execute(sa.delete(parts).where(parts.c.job_id.in_(of_points)))
    op.execute(sa.delete(jobs).where(jobs.c.kind == "EXPORT_POINTS"))
    if _on_sqlite():
        rebuild("export_parts", (OF_ANY, OF_FAN))
    else:
        op.alter_column("export_parts", "fan_id", nullable=False)
        op.execute("SELECT set_config('app.everything', '', true)")
    _say_kinds(AFTER, BEFORE)
    op.drop_index("ix_point_transfers_recorded_at", "point_transfers")
    op.drop_index("ix_point_transfers_account_at", "point_transfers")
    op.drop_column("gifts", "least_level_id")


def _on_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")


def _say_kinds(before: str, after: str) -> None:
    if _on_sqlite():
        rebuild("jobs", (before, after))
        return
    op.drop_constraint(op.f("ck_jobs_kind"), "jobs", type_="check")
    op.create_check_constraint(op.f("ck_jobs_kind"), "jobs", after)
