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
# An entry is of a transfer that the same command of the same transaction wrote, in the same brand. A plan that is made while
# the tables are empty is kept while they grow: a sub-select that is no join asks for the keys of each, whatever it costs.
CLOSED = """
    IF EXISTS (
        SELECT 1 FROM added AS one WHERE (
            SELECT true FROM point_transfers AS its JOIN point_entries AS there ON there.transfer_id = its.id
            WHERE its.id = one.transfer_id AND there.kind = one.kind AND its.brand_id = one.brand_id
            AND its.xmin = there.xmin AND its.cmin::text = there.cmin::text
        ) IS NOT TRUE
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
