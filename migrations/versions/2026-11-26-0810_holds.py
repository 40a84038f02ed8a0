"""Redemptions by what they hold: SQLite looks for them at each transfer that closes its entries."""

from alembic import op

revision = "0017"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_redemptions_hold_id", "redemptions", ["hold_id"])


def downgrade() -> None:
    op.drop_index("ix_redemptions_hold_id", "redemptions")
