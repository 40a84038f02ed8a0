"""Events: their definitions, the events themselves in monthly partitions, keys, daily counts, and who followed when."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.walls import lower_walls, raise_walls

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
BRAND_WALL = (
    "(SELECT current_setting('app.everything', true)) = 'on' OR "
    "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
)
WALLS = dict.fromkeys(("event_definitions", "events", "event_keys", "event_counts", "follows"), BRAND_WALL)

# The key of a partitioned table holds the column it is cut by.
EVENTS_ON_POSTGRESQL = """
CREATE TABLE events (
    id bigserial NOT NULL,
    group_id bigint NOT NULL,
    brand_id bigint NOT NULL,
    fan_id bigint NOT NULL,
    account_id bigint,
    name varchar(64) NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    clamped boolean NOT NULL,
    content varchar(128),
    product varchar(128),
    campaign varchar(128),
    scene varchar(128),
    order_reference varchar(128),
    properties jsonb NOT NULL,
    violations jsonb,
    CONSTRAINT pk_events PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at)
"""

# A partition is reached through its table and the walls there; by its own name only the product's own work may.
GUARD_OF_A_PARTITION = (
    "ALTER TABLE {0} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {0} FORCE ROW LEVEL SECURITY",
    "CREATE POLICY system ON {0} USING ((SELECT current_setting('app.everything', true)) = 'on')",
)

# Tables are made and dropped by their owner, and the server is another role: these two run as the owner, and do no more
# than what they are called. Months are UTC's.
KEEP_EVENT_MONTHS = """
CREATE FUNCTION keep_event_months(ahead integer, crowded integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    reach text := current_setting('app.everything', true);
    month timestamptz;
    partition text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('keep_event_months'));
    PERFORM set_config('app.everything', 'on', true);
    FOR month IN
        SELECT date_trunc('month', now()) + make_interval(months => n) FROM generate_series(0, least(ahead, 24)) AS n
        UNION
        (SELECT date_trunc('month', occurred_at) FROM public.events_default
         GROUP BY 1 HAVING count(*) >= crowded ORDER BY 1 LIMIT 12)
    LOOP
        partition := 'events_' || to_char(month, 'YYYYMM');
        CONTINUE WHEN to_regclass('public.' || partition) IS NOT NULL;
        -- what is written meanwhile waits: it would go to the default partition, which must hold none of this month
        LOCK TABLE public.events_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.events INCLUDING DEFAULTS INCLUDING INDEXES)', partition);
        EXECUTE format(
            'WITH moved AS (DELETE FROM public.events_default WHERE occurred_at >= %L AND occurred_at < %L RETURNING *) '
            'INSERT INTO public.%I SELECT * FROM moved', month, month + interval '1 month', partition);
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', partition);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', partition);
        EXECUTE format(
            'CREATE POLICY system ON public.%I USING ((SELECT current_setting(''app.everything'', true)) = ''on'')',
            partition);
        EXECUTE format('ALTER TABLE public.events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            partition, month, month + interval '1 month');
        made := made + 1;
    END LOOP;
    PERFORM set_config('app.everything', coalesce(reach, ''), true);
    RETURN made;
END $$
"""
DROP_EVENT_MONTHS = """
CREATE FUNCTION drop_event_months(before timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'
AS $$
DECLARE
    reach text := current_setting('app.everything', true);
    partition text;
    dropped integer := 0;
BEGIN
    IF before IS NULL OR before > now() - interval '28 days' THEN
        RAISE EXCEPTION 'events of the last 28 days are kept';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('keep_event_months'));
    PERFORM set_config('app.everything', 'on', true);
    FOR partition IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'public.events'::regclass AND relname ~ '^events_[0-9]{6}$'
        AND to_date(substr(relname, 8), 'YYYYMM') + interval '1 month' <= before ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE public.%I', partition);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM public.events_default WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM public.events_default WHERE occurred_at < date_trunc('month', before) LIMIT 20000));
    PERFORM set_config('app.everything', coalesce(reach, ''), true);
    RETURN dropped;
END $$
"""
FUNCTIONS = ("keep_event_months(integer, integer)", "drop_event_months(timestamptz)")

# What is known of fans who follow already becomes the first row of their history.
FIRST_FOLLOWS = """
INSERT INTO follows (group_id, brand_id, fan_id, account_id, kind, at)
SELECT group_id, brand_id, id, source_account_id, 'FOLLOW', followed_at FROM fans WHERE followed_at IS NOT NULL
"""
FIRST_LEAVES = """
INSERT INTO follows (group_id, brand_id, fan_id, account_id, kind, at)
SELECT group_id, brand_id, id, source_account_id, 'UNFOLLOW', updated_at FROM fans
WHERE followed_at IS NOT NULL AND NOT subscribed
"""
FOLLOW_STATE = """
UPDATE fans SET follow_count = 1, last_followed_at = followed_at,
unfollowed_at = CASE WHEN subscribed THEN NULL ELSE updated_at END WHERE followed_at IS NOT NULL
"""


def upgrade() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "event_definitions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=500), nullable=True),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("properties", JSON, nullable=False),
        sa.Column("from_fans", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("mode IN ('STRICT', 'LENIENT')", name=op.f("ck_event_definitions_mode")),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"],
            ["brands.group_id", "brands.id"],
            name=op.f("fk_event_definitions_group_id_brand_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_definitions")),
        sa.UniqueConstraint("brand_id", "name", name=op.f("uq_event_definitions_brand_id_name")),
    )
    _create_events(on_postgresql=on_postgresql)
    op.create_index("ix_events_fan_occurred", "events", ["fan_id", "occurred_at", "id"], unique=False)
    op.create_index("ix_events_brand_name_occurred", "events", ["brand_id", "name", "occurred_at", "id"], unique=False)
    op.create_table(
        "event_keys",
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "key", name=op.f("pk_event_keys")),
    )
    op.create_index("ix_event_keys_received_at", "event_keys", ["received_at"], unique=False, postgresql_using="brin")
    op.create_table(
        "event_counts",
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.CheckConstraint("count > 0", name=op.f("ck_event_counts_count")),
        sa.PrimaryKeyConstraint("fan_id", "name", "day", name=op.f("pk_event_counts")),
    )
    op.create_index(
        "ix_event_counts_brand_name_day", "event_counts", ["brand_id", "name", "day", "fan_id"], unique=False
    )
    op.create_table(
        "follows",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=True),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("scene", sa.String(length=128), nullable=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint("kind IN ('FOLLOW', 'UNFOLLOW')", name=op.f("ck_follows_kind")),
        sa.ForeignKeyConstraint(
            ["brand_id", "account_id"],
            ["channel_accounts.brand_id", "channel_accounts.id"],
            name=op.f("fk_follows_brand_id_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_follows_brand_id_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_follows_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_follows")),
    )
    op.create_index("ix_follows_fan_at", "follows", ["fan_id", "at", "id"], unique=False)
    op.add_column("fans", sa.Column("follow_count", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("fans", sa.Column("last_followed_at", MOMENT, nullable=True))
    op.add_column("fans", sa.Column("unfollowed_at", MOMENT, nullable=True))
    op.add_column("fans", sa.Column("source_scene", sa.String(length=128), nullable=True))
    if on_postgresql:
        op.execute("SELECT set_config('app.everything', 'on', true)")
    for statement in (FIRST_FOLLOWS, FIRST_LEAVES, FOLLOW_STATE):
        op.execute(statement)
    raise_walls(WALLS)


def _create_events(*, on_postgresql: bool) -> None:
    if not on_postgresql:
        op.create_table(
            "events",
            sa.Column("id", BIG, nullable=False),
            sa.Column("group_id", BIG, nullable=False),
            sa.Column("brand_id", BIG, nullable=False),
            sa.Column("fan_id", BIG, nullable=False),
            sa.Column("account_id", BIG, nullable=True),
            sa.Column("name", sa.String(length=64), nullable=False),
            sa.Column("occurred_at", MOMENT, nullable=False),
            sa.Column("received_at", MOMENT, nullable=False),
            sa.Column("clamped", sa.Boolean(), nullable=False),
            sa.Column("content", sa.String(length=128), nullable=True),
            sa.Column("product", sa.String(length=128), nullable=True),
            sa.Column("campaign", sa.String(length=128), nullable=True),
            sa.Column("scene", sa.String(length=128), nullable=True),
            sa.Column("order_reference", sa.String(length=128), nullable=True),
            sa.Column("properties", JSON, nullable=False),
            sa.Column("violations", JSON, nullable=True),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        )
        return
    op.execute(EVENTS_ON_POSTGRESQL)
    op.execute("CREATE TABLE events_default PARTITION OF events DEFAULT")
    for statement in GUARD_OF_A_PARTITION:
        op.execute(statement.format("events_default"))
    connection = op.get_bind()
    for function in (KEEP_EVENT_MONTHS, DROP_EVENT_MONTHS):
        connection.exec_driver_sql(function)
    for function in FUNCTIONS:
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")


def downgrade() -> None:
    lower_walls(WALLS)
    for column in ("source_scene", "unfollowed_at", "last_followed_at", "follow_count"):
        op.drop_column("fans", column)
    op.drop_table("follows")
    op.drop_table("event_counts")
    op.drop_table("event_keys")
    if op.get_bind().dialect.name == "postgresql":
        for function in FUNCTIONS:
            op.execute(f"DROP FUNCTION {function}")
    op.drop_table("events")
    op.drop_table("event_definitions")
