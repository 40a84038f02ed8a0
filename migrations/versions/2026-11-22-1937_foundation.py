"""Foundation: the tenancy, rights, fans, tags, orders, shares, referrals, and what moves between stores."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.walls import allow_changes, forbid_changes, lower_walls, raise_walls

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
WALLS = {
    "groups": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])"
    ),
    "brands": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
    ),
    "dealers": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[]) OR "
        "id = ANY ((SELECT NULLIF(current_setting('app.dealers', true), '')::bigint[])::bigint[]) OR "
        "id = ANY ((SELECT NULLIF(current_setting('app.above_dealers', true), '')::bigint[])::bigint[])"
    ),
    "stores": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[]) OR "
        "id = ANY ((SELECT NULLIF(current_setting('app.stores', true), '')::bigint[])::bigint[])"
    ),
    "tags": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[]) OR "
        "(brand_id IS NULL AND (group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])))"
    ),
    "audit_log": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[]) OR "
        "(brand_id IS NULL AND (group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])))"
    ),
    "fans": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "dealer_id = ANY ((SELECT NULLIF(current_setting('app.dealers', true), '')::bigint[])::bigint[]) OR "
        "store_id = ANY ((SELECT NULLIF(current_setting('app.stores', true), '')::bigint[])::bigint[]) OR "
        "id = ANY ((SELECT NULLIF(current_setting('app.fans', true), '')::bigint[])::bigint[])"
    ),
    "orders": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "dealer_id = ANY ((SELECT NULLIF(current_setting('app.dealers', true), '')::bigint[])::bigint[]) OR "
        "store_id = ANY ((SELECT NULLIF(current_setting('app.stores', true), '')::bigint[])::bigint[]) OR "
        "fan_id = ANY ((SELECT NULLIF(current_setting('app.fans', true), '')::bigint[])::bigint[])"
    ),
    "channel_accounts": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
    ),
    "fan_tags": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
    ),
    "order_lines": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
    ),
    "cascades": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
    ),
    "shares": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
    ),
    "referrals": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
    ),
    "persons": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])"
    ),
    "identities": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])"
    ),
    "roles": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])"
    ),
    "role_permissions": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])"
    ),
    "staff": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])"
    ),
    "api_keys": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])"
    ),
    "grants": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.above_groups', true), '')::bigint[])::bigint[])"
    ),
}


def upgrade() -> None:
    op.create_table(
        "groups",
        sa.Column("id", BIG, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("code", name=op.f("uq_groups_code")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_api_keys_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("group_id", "id", name=op.f("uq_api_keys_group_id_id")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_index(op.f("ix_api_keys_group_id"), "api_keys", ["group_id"], unique=False)
    op.create_table(
        "audit_log",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=True),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_audit_log_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_brand_id_id", "audit_log", ["brand_id", "id"], unique=False)
    op.create_index("ix_audit_log_group_id_id", "audit_log", ["group_id", "id"], unique=False)
    op.create_table(
        "brands",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_brands_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brands")),
        sa.UniqueConstraint("group_id", "code", name=op.f("uq_brands_group_id_code")),
        sa.UniqueConstraint("group_id", "id", name=op.f("uq_brands_group_id_id")),
    )
    op.create_table(
        "group_keys",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_group_keys_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_group_keys")),
        sa.UniqueConstraint("group_id", "version", name=op.f("uq_group_keys_group_id_version")),
    )
    op.create_table(
        "idempotency",
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("mutation", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("request_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("response", JSON, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_idempotency_group_id")),
        sa.PrimaryKeyConstraint("principal", "mutation", "key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=True),
        sa.Column("consumer", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dead_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_outbox_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_dead",
        "outbox",
        ["consumer", "id"],
        unique=False,
        sqlite_where=sa.text("dead_at IS NOT NULL"),
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["consumer", "id"],
        unique=False,
        sqlite_where=sa.text("sent_at IS NULL AND dead_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL AND dead_at IS NULL"),
    )
    op.create_index(
        "ix_outbox_pending_key",
        "outbox",
        ["consumer", "key", "id"],
        unique=False,
        sqlite_where=sa.text("sent_at IS NULL AND dead_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL AND dead_at IS NULL"),
    )
    op.create_table(
        "persons",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("uid", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_persons_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_persons")),
        sa.UniqueConstraint("group_id", "id", name=op.f("uq_persons_group_id_id")),
        sa.UniqueConstraint("uid", name=op.f("uq_persons_uid")),
    )
    op.create_table(
        "roles",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_roles_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("group_id", "code", name=op.f("uq_roles_group_id_code")),
        sa.UniqueConstraint("group_id", "id", name=op.f("uq_roles_group_id_id")),
    )
    op.create_table(
        "staff",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_staff_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("group_id", "id", name=op.f("uq_staff_group_id_id")),
        sa.UniqueConstraint("subject", name=op.f("uq_staff_subject")),
    )
    op.create_index(op.f("ix_staff_group_id"), "staff", ["group_id"], unique=False)
    op.create_table(
        "channel_accounts",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("app_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('WECHAT_SERVICE', 'WECHAT_SUBSCRIPTION', 'MINI_PROGRAM', 'WECOM', 'WEIBO', 'APP', 'H5', 'ECOMMERCE', 'POS')",
            name=op.f("ck_channel_accounts_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"],
            ["brands.group_id", "brands.id"],
            name=op.f("fk_channel_accounts_group_id_brand_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_accounts")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_channel_accounts_brand_id_id")),
        sa.UniqueConstraint("brand_id", "kind", "app_id", name=op.f("uq_channel_accounts_brand_id_kind_app_id")),
    )
    op.create_table(
        "dealers",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("province", sa.String(length=64), nullable=True),
        sa.Column("city", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_dealers_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dealers")),
        sa.UniqueConstraint("brand_id", "code", name=op.f("uq_dealers_brand_id_code")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_dealers_brand_id_id")),
    )
    op.create_table(
        "identities",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("person_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("issuer", sa.String(length=128), nullable=False),
        sa.Column("value_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("value_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('OPENID', 'UNIONID', 'PHONE', 'EMAIL', 'EXTERNAL_ID', 'DEVICE')", name=op.f("ck_identities_kind")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "person_id"], ["persons.group_id", "persons.id"], name=op.f("fk_identities_group_id_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
        sa.UniqueConstraint(
            "group_id", "kind", "issuer", "value_hash", name=op.f("uq_identities_group_id_kind_issuer_value_hash")
        ),
    )
    op.create_index("ix_identities_person_id", "identities", ["person_id"], unique=False)
    op.create_table(
        "role_permissions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("role_id", BIG, nullable=False),
        sa.Column("permission", sa.String(length=64), nullable=False),
        sa.Column("effect", sa.String(length=8), nullable=False),
        sa.CheckConstraint("effect IN ('allow', 'deny')", name=op.f("ck_role_permissions_effect")),
        sa.ForeignKeyConstraint(
            ["group_id", "role_id"], ["roles.group_id", "roles.id"], name=op.f("fk_role_permissions_group_id_role_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_permissions")),
        sa.UniqueConstraint("role_id", "permission", name=op.f("uq_role_permissions_role_id_permission")),
    )
    op.create_table(
        "tags",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=True),
        sa.Column("category", sa.String(length=100), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("color", sa.String(length=16), nullable=True),
        sa.Column("description", sa.String(length=500), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('FACT', 'MODEL', 'STRATEGY')", name=op.f("ck_tags_kind")),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_tags_group_id_brand_id")
        ),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_tags_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("group_id", "brand_id", "name", name=op.f("uq_tags_group_id_brand_id_name")),
        sa.UniqueConstraint("group_id", "id", name=op.f("uq_tags_group_id_id")),
    )
    op.create_index(
        "uq_tags_group_name",
        "tags",
        ["group_id", "name"],
        unique=True,
        sqlite_where=sa.text("brand_id IS NULL"),
        postgresql_where=sa.text("brand_id IS NULL"),
    )
    op.create_table(
        "stores",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("dealer_id", BIG, nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("city", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["brand_id", "dealer_id"], ["dealers.brand_id", "dealers.id"], name=op.f("fk_stores_brand_id_dealer_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_stores_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stores")),
        sa.UniqueConstraint("dealer_id", "code", name=op.f("uq_stores_dealer_id_code")),
        sa.UniqueConstraint("dealer_id", "id", name=op.f("uq_stores_dealer_id_id")),
    )
    op.create_table(
        "fans",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("person_id", BIG, nullable=False),
        sa.Column("dealer_id", BIG, nullable=True),
        sa.Column("store_id", BIG, nullable=True),
        sa.Column("source_account_id", BIG, nullable=True),
        sa.Column("nickname", sa.String(length=200), nullable=True),
        sa.Column("avatar_url", sa.String(length=500), nullable=True),
        sa.Column("gender", sa.String(length=8), nullable=False),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column("province", sa.String(length=64), nullable=True),
        sa.Column("city", sa.String(length=64), nullable=True),
        sa.Column("district", sa.String(length=64), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column("phone_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("phone_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("subscribed", sa.Boolean(), nullable=False),
        sa.Column("followed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("order_count", sa.Integer(), nullable=False),
        sa.Column("spend", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("last_order_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("gender IN ('UNKNOWN', 'FEMALE', 'MALE')", name=op.f("ck_fans_gender")),
        sa.CheckConstraint("order_count >= 0", name=op.f("ck_fans_order_count")),
        sa.CheckConstraint("store_id IS NULL OR dealer_id IS NOT NULL", name=op.f("ck_fans_store_in_dealer")),
        sa.ForeignKeyConstraint(
            ["brand_id", "dealer_id"], ["dealers.brand_id", "dealers.id"], name=op.f("fk_fans_brand_id_dealer_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "source_account_id"],
            ["channel_accounts.brand_id", "channel_accounts.id"],
            name=op.f("fk_fans_brand_id_source_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["dealer_id", "store_id"], ["stores.dealer_id", "stores.id"], name=op.f("fk_fans_dealer_id_store_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_fans_group_id_brand_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "person_id"], ["persons.group_id", "persons.id"], name=op.f("fk_fans_group_id_person_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fans")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_fans_brand_id_id")),
        sa.UniqueConstraint("brand_id", "person_id", name=op.f("uq_fans_brand_id_person_id")),
    )
    op.create_index("ix_fans_brand_phone", "fans", ["brand_id", "phone_hash"], unique=False)
    op.create_index("ix_fans_brand_spend", "fans", ["brand_id", "spend", "id"], unique=False)
    op.create_index("ix_fans_dealer_id_id", "fans", ["dealer_id", "id"], unique=False)
    op.create_index("ix_fans_dealer_spend", "fans", ["dealer_id", "spend", "id"], unique=False)
    op.create_index("ix_fans_group_id_id", "fans", ["group_id", "id"], unique=False)
    op.create_index("ix_fans_group_spend", "fans", ["group_id", "spend", "id"], unique=False)
    op.create_index("ix_fans_person_id", "fans", ["person_id"], unique=False)
    op.create_index("ix_fans_store_id_id", "fans", ["store_id", "id"], unique=False)
    op.create_table(
        "grants",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("staff_id", BIG, nullable=True),
        sa.Column("api_key_id", BIG, nullable=True),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("brand_id", BIG, nullable=True),
        sa.Column("dealer_id", BIG, nullable=True),
        sa.Column("store_id", BIG, nullable=True),
        sa.Column("granted_by", sa.String(length=255), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(staff_id IS NULL) <> (api_key_id IS NULL)", name=op.f("ck_grants_one_principal")),
        sa.CheckConstraint("dealer_id IS NULL OR brand_id IS NOT NULL", name=op.f("ck_grants_dealer_in_brand")),
        sa.CheckConstraint("store_id IS NULL OR dealer_id IS NOT NULL", name=op.f("ck_grants_store_in_dealer")),
        sa.ForeignKeyConstraint(
            ["brand_id", "dealer_id"], ["dealers.brand_id", "dealers.id"], name=op.f("fk_grants_brand_id_dealer_id")
        ),
        sa.ForeignKeyConstraint(
            ["dealer_id", "store_id"], ["stores.dealer_id", "stores.id"], name=op.f("fk_grants_dealer_id_store_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "api_key_id"], ["api_keys.group_id", "api_keys.id"], name=op.f("fk_grants_group_id_api_key_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_grants_group_id_brand_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "staff_id"], ["staff.group_id", "staff.id"], name=op.f("fk_grants_group_id_staff_id")
        ),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_grants_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
    )
    op.create_index(op.f("ix_grants_api_key_id"), "grants", ["api_key_id"], unique=False)
    op.create_index(op.f("ix_grants_staff_id"), "grants", ["staff_id"], unique=False)
    op.create_table(
        "cascades",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=128), nullable=False),
        sa.Column("seed_fan_id", BIG, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("size >= 1", name=op.f("ck_cascades_size")),
        sa.ForeignKeyConstraint(
            ["brand_id", "seed_fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_cascades_brand_id_seed_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_cascades_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cascades")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_cascades_brand_id_id")),
        sa.UniqueConstraint("brand_id", "source", "code", name=op.f("uq_cascades_brand_id_source_code")),
    )
    op.create_index("ix_cascades_brand_size", "cascades", ["brand_id", "size", "id"], unique=False)
    op.create_index("ix_cascades_group_size", "cascades", ["group_id", "size", "id"], unique=False)
    op.create_table(
        "fan_tags",
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("tag_id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "source IN ('MANUAL', 'RULE', 'IMPORT', 'CAMPAIGN', 'MODEL', 'CHANNEL')", name=op.f("ck_fan_tags_source")
        ),
        sa.CheckConstraint("count > 0", name=op.f("ck_fan_tags_count")),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_fan_tags_brand_id_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "tag_id"], ["tags.group_id", "tags.id"], name=op.f("fk_fan_tags_group_id_tag_id")
        ),
        sa.PrimaryKeyConstraint("fan_id", "tag_id", name=op.f("pk_fan_tags")),
    )
    op.create_index("ix_fan_tags_tag_id_fan_id", "fan_tags", ["tag_id", "fan_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("dealer_id", BIG, nullable=True),
        sa.Column("store_id", BIG, nullable=True),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("item_count", sa.Integer(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('CREATED', 'PAID', 'SHIPPED', 'RECEIVED', 'COMPLETED', 'CANCELLED', 'REFUNDED')",
            name=op.f("ck_orders_state"),
        ),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_orders_amount")),
        sa.CheckConstraint("store_id IS NULL OR dealer_id IS NOT NULL", name=op.f("ck_orders_store_in_dealer")),
        sa.ForeignKeyConstraint(
            ["brand_id", "dealer_id"], ["dealers.brand_id", "dealers.id"], name=op.f("fk_orders_brand_id_dealer_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_orders_brand_id_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["dealer_id", "store_id"], ["stores.dealer_id", "stores.id"], name=op.f("fk_orders_dealer_id_store_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_orders_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_orders_brand_id_id")),
        sa.UniqueConstraint("brand_id", "source", "number", name=op.f("uq_orders_brand_id_source_number")),
    )
    op.create_index("ix_orders_brand_placed", "orders", ["brand_id", "placed_at", "id"], unique=False)
    op.create_index("ix_orders_dealer_placed", "orders", ["dealer_id", "placed_at", "id"], unique=False)
    op.create_index("ix_orders_fan_placed", "orders", ["fan_id", "placed_at", "id"], unique=False)
    op.create_index("ix_orders_group_placed", "orders", ["group_id", "placed_at", "id"], unique=False)
    op.create_index("ix_orders_store_placed", "orders", ["store_id", "placed_at", "id"], unique=False)
    op.create_table(
        "referrals",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("referrer_fan_id", BIG, nullable=False),
        sa.Column("invitee_fan_id", BIG, nullable=False),
        sa.Column("referred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("referrer_fan_id <> invitee_fan_id", name=op.f("ck_referrals_not_self")),
        sa.ForeignKeyConstraint(
            ["brand_id", "invitee_fan_id"],
            ["fans.brand_id", "fans.id"],
            name=op.f("fk_referrals_brand_id_invitee_fan_id"),
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "referrer_fan_id"],
            ["fans.brand_id", "fans.id"],
            name=op.f("fk_referrals_brand_id_referrer_fan_id"),
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_referrals_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_referrals")),
        sa.UniqueConstraint("invitee_fan_id", name=op.f("uq_referrals_invitee_fan_id")),
    )
    op.create_index("ix_referrals_brand_id_id", "referrals", ["brand_id", "id"], unique=False)
    op.create_index("ix_referrals_referrer_fan_id", "referrals", ["referrer_fan_id", "id"], unique=False)
    op.create_table(
        "order_lines",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("order_id", BIG, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("product_code", sa.String(length=128), nullable=True),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_order_lines_amount")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_lines_quantity")),
        sa.ForeignKeyConstraint(
            ["brand_id", "order_id"], ["orders.brand_id", "orders.id"], name=op.f("fk_order_lines_brand_id_order_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_lines")),
        sa.UniqueConstraint("order_id", "position", name=op.f("uq_order_lines_order_id_position")),
    )
    op.create_table(
        "shares",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("cascade_id", BIG, nullable=False),
        sa.Column("from_fan_id", BIG, nullable=False),
        sa.Column("to_fan_id", BIG, nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=True),
        sa.Column("shared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("from_fan_id <> to_fan_id", name=op.f("ck_shares_not_self")),
        sa.ForeignKeyConstraint(
            ["brand_id", "cascade_id"], ["cascades.brand_id", "cascades.id"], name=op.f("fk_shares_brand_id_cascade_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "from_fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_shares_brand_id_from_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "to_fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_shares_brand_id_to_fan_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shares")),
        sa.UniqueConstraint("cascade_id", "to_fan_id", name=op.f("uq_shares_cascade_id_to_fan_id")),
    )
    op.create_index("ix_shares_brand_id_id", "shares", ["brand_id", "id"], unique=False)
    op.create_index("ix_shares_from_fan_id", "shares", ["from_fan_id"], unique=False)
    op.create_index("ix_shares_to_fan_id", "shares", ["to_fan_id"], unique=False)
    raise_walls(WALLS)
    forbid_changes("audit_log")


def downgrade() -> None:
    allow_changes("audit_log")
    lower_walls(WALLS)
    op.drop_index("ix_shares_to_fan_id", table_name="shares")
    op.drop_index("ix_shares_from_fan_id", table_name="shares")
    op.drop_index("ix_shares_brand_id_id", table_name="shares")
    op.drop_table("shares")
    op.drop_table("order_lines")
    op.drop_index("ix_referrals_referrer_fan_id", table_name="referrals")
    op.drop_index("ix_referrals_brand_id_id", table_name="referrals")
    op.drop_table("referrals")
    op.drop_index("ix_orders_store_placed", table_name="orders")
    op.drop_index("ix_orders_group_placed", table_name="orders")
    op.drop_index("ix_orders_fan_placed", table_name="orders")
    op.drop_index("ix_orders_dealer_placed", table_name="orders")
    op.drop_index("ix_orders_brand_placed", table_name="orders")
    op.drop_table("orders")
    op.drop_index("ix_fan_tags_tag_id_fan_id", table_name="fan_tags")
    op.drop_table("fan_tags")
    op.drop_index("ix_cascades_group_size", table_name="cascades")
    op.drop_index("ix_cascades_brand_size", table_name="cascades")
    op.drop_table("cascades")
    op.drop_index(op.f("ix_grants_staff_id"), table_name="grants")
    op.drop_index(op.f("ix_grants_api_key_id"), table_name="grants")
    op.drop_table("grants")
    op.drop_index("ix_fans_store_id_id", table_name="fans")
    op.drop_index("ix_fans_person_id", table_name="fans")
    op.drop_index("ix_fans_group_spend", table_name="fans")
    op.drop_index("ix_fans_group_id_id", table_name="fans")
    op.drop_index("ix_fans_dealer_spend", table_name="fans")
    op.drop_index("ix_fans_dealer_id_id", table_name="fans")
    op.drop_index("ix_fans_brand_spend", table_name="fans")
    op.drop_index("ix_fans_brand_phone", table_name="fans")
    op.drop_table("fans")
    op.drop_table("stores")
    op.drop_index(
        "uq_tags_group_name",
        table_name="tags",
        sqlite_where=sa.text("brand_id IS NULL"),
        postgresql_where=sa.text("brand_id IS NULL"),
    )
    op.drop_table("tags")
    op.drop_table("role_permissions")
    op.drop_index("ix_identities_person_id", table_name="identities")
    op.drop_table("identities")
    op.drop_table("dealers")
    op.drop_table("channel_accounts")
    op.drop_index(op.f("ix_staff_group_id"), table_name="staff")
    op.drop_table("staff")
    op.drop_table("roles")
    op.drop_table("persons")
    op.drop_index(
        "ix_outbox_pending_key",
        table_name="outbox",
        sqlite_where=sa.text("sent_at IS NULL AND dead_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL AND dead_at IS NULL"),
    )
    op.drop_index(
        "ix_outbox_pending",
        table_name="outbox",
        sqlite_where=sa.text("sent_at IS NULL AND dead_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL AND dead_at IS NULL"),
    )
    op.drop_index(
        "ix_outbox_dead",
        table_name="outbox",
        sqlite_where=sa.text("dead_at IS NOT NULL"),
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )
    op.drop_table("outbox")
    op.drop_index("ix_idempotency_created_at", table_name="idempotency")
    op.drop_table("idempotency")
    op.drop_table("group_keys")
    op.drop_table("brands")
    op.drop_index("ix_audit_log_group_id_id", table_name="audit_log")
    op.drop_index("ix_audit_log_brand_id_id", table_name="audit_log")
    op.drop_table("audit_log")
    op.drop_index(op.f("ix_api_keys_group_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("groups")
