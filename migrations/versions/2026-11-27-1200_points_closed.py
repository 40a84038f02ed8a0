"""A transfer has all its entries when it is written: PostgreSQL refuses any that come later, as SQLite does."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

ADD_UP = """
    IF EXISTS (SELECT 1 FROM added GROUP BY transfer_id, kind LIKE 'GROWTH%' HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'the entries of a transfer do not add up to zero' USING ERRCODE = 'check_violation';
    END IF;
"""
# What this statement adds must be all there is. Of each transfer the key is asked by itself, and no plan may read the
# table instead: one that is made while it is empty is kept while it grows.
CLOSED = """
    IF EXISTS (
        SELECT 1 FROM (SELECT transfer_id, count(*) AS entries FROM added GROUP BY transfer_id) AS made
        WHERE entries <> (SELECT count(*) FROM point_entries AS one WHERE one.transfer_id = made.transfer_id)
    ) THEN
        RAISE EXCEPTION 'the transfer has its entries' USING ERRCODE = 'check_violation';
    END IF;
"""


def upgrade() -> None:
    _check(ADD_UP + CLOSED, "SET enable_seqscan = off")


def downgrade() -> None:
    _check(ADD_UP, "")


def _check(conditions: str, settings: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE OR REPLACE FUNCTION point_entries_add_up() RETURNS trigger LANGUAGE plpgsql {settings} AS "
            f"$$\nBEGIN{conditions}    RETURN NULL;\nEND $$"
        )
