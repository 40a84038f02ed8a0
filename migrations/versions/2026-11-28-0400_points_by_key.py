"""The entries of a transfer are held to it by its key, and by no other index: many at once cost each the same."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# A plan that is made while the tables are empty is kept while they grow, and to it every index is alike: by the brand's it
# would read all transfers of the brand for each entry. `+ 0` leaves it the key alone.
BODY = """
    IF EXISTS (SELECT 1 FROM added GROUP BY transfer_id, kind LIKE 'GROWTH%' HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'the entries of a transfer do not add up to zero' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT 1 FROM added AS one WHERE (
            SELECT true FROM point_transfers AS its JOIN point_entries AS there ON there.transfer_id = its.id
            WHERE its.id = one.transfer_id AND there.kind = one.kind AND its.brand_id{plus} = one.brand_id
            AND its.xmin = there.xmin AND its.cmin::text = there.cmin::text
        ) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'the transfer has its entries' USING ERRCODE = 'check_violation';
    END IF;
"""


def upgrade() -> None:
    _check(" + 0")


def downgrade() -> None:
    _check("")


def _check(plus: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION point_entries_add_up() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS "
            f"$$\nBEGIN{BODY.format(plus=plus)}    RETURN NULL;\nEND $$"
        )
