"""Create every table of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String(40), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "worker_status",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("heartbeat_ms", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_table(
        "symbols",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("symbol", sa.String(40), nullable=False, unique=True),
        sa.Column("base", sa.String(20), nullable=False),
        sa.Column("quote", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("subscribed", sa.Boolean, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cursors",
        sa.Column(
            "symbol_id",
            sa.Integer,
            sa.ForeignKey("symbols.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("last_price", sa.Float, nullable=False),
        sa.Column("last_event_time_ms", sa.BigInteger, nullable=False),
        sa.Column("whole_from_ms", sa.BigInteger, nullable=False),
        sa.Column("closed_until_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "trades",
        sa.Column(
            "symbol_id",
            sa.Integer,
            sa.ForeignKey("symbols.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("trade_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("price", sa.Float, nullable=False),
        sa.Column("quantity", sa.Float, nullable=False),
        sa.Column("trade_time_ms", sa.BigInteger, nullable=False),
        sa.Column("first_id", sa.BigInteger, nullable=False),
        sa.Column("last_id", sa.BigInteger, nullable=False),
        sa.Column("buyer_is_maker", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bars",
        sa.Column(
            "symbol_id",
            sa.Integer,
            sa.ForeignKey("symbols.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("timeframe_ms", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("open_time_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("open", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("close", sa.Float, nullable=False),
        sa.Column("volume", sa.Float, nullable=False),
        sa.Column("quote_volume", sa.Float, nullable=False),
        sa.Column("trade_count", sa.BigInteger, nullable=False),
        sa.Column("taker_buy_volume", sa.Float, nullable=False),
        sa.Column("complete", sa.Boolean, nullable=False),
        sa.Column("origin", sa.SmallInteger, nullable=False),
        sa.Column("imported", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gaps",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("symbol_id", sa.Integer, sa.ForeignKey("symbols.id"), nullable=False),
        sa.Column("from_id", sa.BigInteger, nullable=False),
        sa.Column("to_id", sa.BigInteger, nullable=False),
        sa.Column("from_ms", sa.BigInteger, nullable=False),
        sa.Column("to_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("opened_ms", sa.BigInteger, nullable=False),
        sa.Column("closed_ms", sa.BigInteger),
        sa.Index("gaps_by_symbol_state", "symbol_id", "state"),
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("symbol_id", sa.Integer, sa.ForeignKey("symbols.id"), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("timeframe_ms", sa.Integer),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("end_ms", sa.BigInteger, nullable=False),
        sa.Column("first_id", sa.BigInteger),
        sa.Column("last_id", sa.BigInteger),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("imported_ms", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    for table in (
        "imports",
        "gaps",
        "bars",
        "trades",
        "cursors",
        "symbols",
        "worker_status",
        "meta",
    ):
        op.drop_table(table)
