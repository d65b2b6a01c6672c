"""Prices in three tiers: observations by month, one word a minute, a step series per pool; and what goes with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from db.migrations.parts import add_column, ascii_, column, drop_column, index, table, when

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = "zone, instance_type, at, source"
_TABLES = (
    "prices_set_aside",
    "price_series",
    "prices_consolidated",
    "prices_canonical",
    "price_corrections",
    "price_collections",
    "on_demand_prices",
    "placement_scores",
    "advisor_bands",
    "pool_facts",
)


def upgrade() -> None:
    _partition_observations()
    _set_aside()
    _tiers()
    _corrections()
    _beliefs()


def downgrade() -> None:
    for name in reversed(_TABLES):
        op.execute(f"DROP TABLE IF EXISTS {name}")
    _unpartition_observations()


def _partition_observations() -> None:
    """One partition without end to begin with: db.market.partitions cuts the months from it."""
    add_column("price_observations", when("seen_at", nullable=True))
    if not _partitioned():
        op.execute("UPDATE price_observations SET seen_at = at WHERE seen_at IS NULL")
        op.execute(
            "ALTER TABLE price_observations MODIFY seen_at DATETIME(6) NOT NULL, DROP PRIMARY KEY,"
            f" ADD PRIMARY KEY ({_KEY}, usd_per_hour)"
            " PARTITION BY RANGE COLUMNS (at) (PARTITION pmax VALUES LESS THAN (MAXVALUE))"
        )
    _drop_index("ix_price_observations_region_at")  # nobody asks for a region's: its pools are known


def _unpartition_observations() -> None:
    index("ix_price_observations_region_at", "price_observations", "region", "at")
    if _partitioned():
        op.execute("ALTER TABLE price_observations REMOVE PARTITIONING")
    if "usd_per_hour" in sa.inspect(op.get_bind()).get_pk_constraint("price_observations")["constrained_columns"]:
        # One price of an instant: the dearer, as in the consolidated tier.
        op.execute(
            "DELETE cheaper FROM price_observations cheaper JOIN price_observations dearer"
            f" USING ({_KEY}) WHERE cheaper.usd_per_hour < dearer.usd_per_hour"
        )
        op.execute(f"ALTER TABLE price_observations DROP PRIMARY KEY, ADD PRIMARY KEY ({_KEY})")
    drop_column("price_observations", "seen_at")


def _set_aside() -> None:
    words = ("region", "zone", "instance_type", "at", "price", "currency")
    table(
        "prices_set_aside",
        ascii_("id", 40, primary_key=True),
        *(column(name, sa.String(64)) for name in words),
        ascii_("source", 32),
        ascii_("reason", 32),
        when("seen_at"),
    )
    index("ix_prices_set_aside_seen_at_reason", "prices_set_aside", "seen_at", "reason")


def _tiers() -> None:
    table(
        "price_series",
        column("id", sa.Integer(), primary_key=True),
        ascii_("region", 32),
        ascii_("zone", 32),
        ascii_("instance_type", 32),
        column("version", sa.Integer()),
        when("sealed_until", nullable=True),
        when("tail_at", nullable=True),
        column("tail_usd", sa.Numeric(12, 6), nullable=True),
        ascii_("tail_source", 32),
        when("tail_last_at", nullable=True),
        ascii_("tail_last_source", 32),
    )
    index("uq_price_series_pool", "price_series", "zone", "instance_type", unique=True)
    index("ix_price_series_region_zone_instance_type", "price_series", "region", "zone", "instance_type")
    table(
        "prices_consolidated",
        column("series_id", sa.Integer(), primary_key=True, autoincrement=False),
        when("minute", primary_key=True),
        when("at"),
        column("usd_per_hour", sa.Numeric(12, 6)),
        ascii_("source", 32),
        when("last_at"),
        ascii_("last_source", 32),
    )
    table(
        "prices_canonical",
        column("series_id", sa.Integer(), primary_key=True, autoincrement=False),
        when("from_at", primary_key=True),
        when("until_at", nullable=True),
        column("usd_per_hour", sa.Numeric(12, 6)),
        ascii_("kind", 16),
        column("confidence", sa.Numeric(5, 4)),
        when("confirmed_at"),
        ascii_("source", 32),
    )


def _corrections() -> None:
    table(
        "price_corrections",
        column("id", sa.BigInteger(), primary_key=True),
        ascii_("region", 32),
        ascii_("zone", 32),
        ascii_("instance_type", 32),
        when("from_at"),
        when("until_at", nullable=True),
        when("recorded_at"),
        when("settled_at", nullable=True),
    )
    index("ix_price_corrections_settled_at_id", "price_corrections", "settled_at", "id")
    table("price_collections", ascii_("name", 128, primary_key=True), when("until_at"))


def _beliefs() -> None:
    table(
        "on_demand_prices",
        ascii_("region", 32, primary_key=True),
        ascii_("instance_type", 32, primary_key=True),
        ascii_("platform", 64, primary_key=True),
        when("valid_from", primary_key=True),
        ascii_("source", 32, primary_key=True),
        column("usd_per_hour", sa.Numeric(12, 6)),
        when("seen_at"),
    )
    index("ix_on_demand_prices_region_seen_at", "on_demand_prices", "region", "seen_at")
    table(
        "placement_scores",
        ascii_("region", 32, primary_key=True),
        ascii_("zone", 32, primary_key=True),
        ascii_("types_key", 191, primary_key=True),
        when("at", primary_key=True),
        column("score", sa.Integer()),
    )
    index("ix_placement_scores_region_at", "placement_scores", "region", "at")
    table(
        "advisor_bands",
        ascii_("region", 32, primary_key=True),
        ascii_("instance_type", 32, primary_key=True),
        when("as_of", primary_key=True),
        column("band", sa.Integer()),
    )
    table(
        "pool_facts",
        ascii_("fact_id", 191, primary_key=True),
        ascii_("region", 32),
        ascii_("pool", 128),
        ascii_("kind", 32),
        when("at"),
        column("seconds", sa.Numeric(16, 6), nullable=True),
    )
    index("ix_pool_facts_region_at", "pool_facts", "region", "at")


def _partitioned() -> bool:
    found = sa.text(
        "SELECT COUNT(*) FROM information_schema.partitions WHERE table_schema = DATABASE()"
        " AND table_name = 'price_observations' AND partition_name IS NOT NULL"
    )
    return bool(op.get_bind().scalar(found))


def _drop_index(name: str) -> None:
    there = {found["name"] for found in sa.inspect(op.get_bind()).get_indexes("price_observations")}
    if name in there:
        op.drop_index(name, "price_observations")
