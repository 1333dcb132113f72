"""Rules, what they found, who was told and what is traded on paper; an epoch for each role."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rules",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("deleted_ms", sa.BigInteger),
    )
    op.create_table(
        "rule_versions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("rule_id", sa.Integer, sa.ForeignKey("rules.id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("born_ms", sa.BigInteger, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("symbol_a", sa.String(40)),
        sa.Column("symbol_b", sa.String(40)),
        sa.Column("timeframe", sa.String(4)),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("rule_id", "version", name="rule_versions_once"),
    )
    op.create_table(
        "rule_states",
        sa.Column(
            "rule_id", sa.Integer, sa.ForeignKey("rules.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("born_ms", sa.BigInteger, nullable=False),
        sa.Column("judged_ms", sa.BigInteger),
        sa.Column("judged_at_ms", sa.BigInteger, nullable=False),
        sa.Column("shown", sa.String(12), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_table(
        "episodes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("rule_id", sa.Integer, sa.ForeignKey("rules.id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("direction", sa.String(60), nullable=False),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("end_ms", sa.BigInteger),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("value_at_start", sa.Float),
        sa.Column("value_peak", sa.Float),
        sa.Column("value_at_end", sa.Float),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("values_at_start", sa.Text, nullable=False),
        sa.Column("told_ms", sa.BigInteger),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("revised", sa.Boolean, nullable=False),
        sa.Column("acknowledged_by", sa.String(80)),
        sa.Column("acknowledged_ms", sa.BigInteger),
        sa.UniqueConstraint("rule_id", "version", "direction", "start_ms", name="episodes_once"),
        sa.Index("episodes_by_start", "start_ms"),
        sa.Index("episodes_by_state", "state"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("episode_id", sa.Integer, sa.ForeignKey("episodes.id"), nullable=False),
        sa.Column("channel", sa.String(40), nullable=False),
        sa.Column("event", sa.String(12), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_ms", sa.BigInteger, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.Column("delivered_ms", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("episode_id", "channel", "event", name="deliveries_once"),
        sa.Index("deliveries_by_state_next", "state", "next_ms"),
    )
    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("rule_id", sa.Integer, sa.ForeignKey("rules.id"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("open_time_ms", sa.BigInteger, nullable=False),
        sa.Column("shown", sa.String(12), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("judged_values", sa.Text, nullable=False),
        sa.Column("eventful", sa.Boolean, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.UniqueConstraint("rule_id", "open_time_ms", "version", name="decisions_once"),
    )
    op.create_table(
        "paper_states",
        sa.Column(
            "rule_id", sa.Integer, sa.ForeignKey("rules.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("born_ms", sa.BigInteger, nullable=False),
        sa.Column("as_of_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_table(
        "paper_trips",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("rule_id", sa.Integer, sa.ForeignKey("rules.id"), nullable=False),
        sa.Column("born_ms", sa.BigInteger, nullable=False),
        sa.Column("side", sa.String(12), nullable=False),
        sa.Column("entry_ms", sa.BigInteger, nullable=False),
        sa.Column("entry_z", sa.Float),
        sa.Column("hedge_ratio", sa.Float, nullable=False),
        sa.Column("entry_price_a", sa.Float, nullable=False),
        sa.Column("entry_price_b", sa.Float, nullable=False),
        sa.Column("quantity_a", sa.Float, nullable=False),
        sa.Column("quantity_b", sa.Float, nullable=False),
        sa.Column("costs", sa.Float, nullable=False),
        sa.Column("exit_ms", sa.BigInteger),
        sa.Column("exit_z", sa.Float),
        sa.Column("exit_price_a", sa.Float),
        sa.Column("exit_price_b", sa.Float),
        sa.Column("pnl", sa.Float),
        sa.Column("price_pnl", sa.Float),
        sa.Column("drift_pnl", sa.Float),
        sa.Column("bars", sa.Integer),
        sa.Column("exit_reason", sa.String(12)),
        sa.Column("revised", sa.Boolean, nullable=False),
        sa.UniqueConstraint("rule_id", "born_ms", "entry_ms", name="paper_trips_once"),
    )
    op.create_table(
        "paper_marks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("rule_id", sa.Integer, sa.ForeignKey("rules.id"), nullable=False),
        sa.Column("born_ms", sa.BigInteger, nullable=False),
        sa.Column("open_time_ms", sa.BigInteger, nullable=False),
        sa.Column("equity", sa.Float, nullable=False),
        sa.UniqueConstraint("rule_id", "born_ms", "open_time_ms", name="paper_marks_once"),
    )
    op.execute("UPDATE meta SET key = 'epoch.worker' WHERE key = 'epoch'")


def downgrade() -> None:
    op.execute("DELETE FROM meta WHERE key = 'epoch.analyst'")
    op.execute("UPDATE meta SET key = 'epoch' WHERE key = 'epoch.worker'")
    for table in (
        "paper_marks",
        "paper_trips",
        "paper_states",
        "decisions",
        "deliveries",
        "episodes",
        "rule_states",
        "rule_versions",
        "rules",
    ):
        op.drop_table(table)
