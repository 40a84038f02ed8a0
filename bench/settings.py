"""How PostgreSQL is set for what is written: as a server is, where its own defaults are for the smallest there is."""

# a checkpoint is what a soak is about, and not what the rest measures
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    "wal_compression": "lz4",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum": "on",
}
