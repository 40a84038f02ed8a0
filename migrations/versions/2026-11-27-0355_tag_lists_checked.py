"""Every list of tags is a fan's: looked at apart, as nobody has to wait for it."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    # of fans who went between the lists and the key
    op.execute("SELECT set_config('app.everything', 'on', true)")
    op.execute(
        "DELETE FROM fan_tag_lists AS list "
        "WHERE NOT EXISTS (SELECT FROM fans WHERE fans.id = list.fan_id AND fans.brand_id = list.brand_id)"
    )
    op.execute("SELECT set_config('app.everything', '', true)")
    op.execute("ALTER TABLE fan_tag_lists VALIDATE CONSTRAINT fk_fan_tag_lists_brand_id_fan_id")


def downgrade() -> None:
    pass
