"""Tables of the store; `migrations/` creates them, one module a subject writes them.

Times are UTC epoch milliseconds, prices and quantities floats, ids integers.

Each table says whose it is. After damage the market's is fetched again, the user's is copied row
by row with what it refers to, and a process starts anew: salvage goes by that, not by a list. The
large tables are WITHOUT ROWID; no user's table is, for salvage finds its rows by number.
"""

from typing import Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

Owner = Literal["market", "user", "process"]

MARKET: dict[str, Owner] = {"owner": "market"}
USER: dict[str, Owner] = {"owner": "user"}
PROCESS: dict[str, Owner] = {"owner": "process"}

metadata = MetaData()

# One row a key: source, source_reason.
meta = Table(
    "meta",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
    info=PROCESS,
)

# One row a role, written every second by the one process that has it; `payload` is what it
# reports of itself, a JSON object.
process_status = Table(
    "process_status",
    metadata,
    Column("role", String(20), primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("heartbeat_ms", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    info=PROCESS,
)

# What each role said of itself in the last day, a row each five minutes.
process_samples = Table(
    "process_samples",
    metadata,
    Column("role", String(20), primary_key=True),
    Column("time_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("payload", Text, nullable=False),
    info=PROCESS,
)

symbols = Table(
    "symbols",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("symbol", String(40), nullable=False, unique=True),
    Column("base", String(20), nullable=False, default=""),
    Column("quote", String(20), nullable=False, default=""),
    Column("status", String(20), nullable=False, default="TRADING"),
    # Of its prices, as the exchange quotes them; null while it has not said.
    Column("price_decimals", SmallInteger),
    # True while the worker streams it; an imported or dropped symbol keeps its bars.
    Column("subscribed", Boolean, nullable=False, default=False),
    # Rises in the transaction that rewrites or imports bars: whoever caches by it sees the change.
    Column("revision", BigInteger, nullable=False, default=0),
    info=MARKET,
)

# Where the live feed of a symbol stands, written in the transaction of its trades.
cursors = Table(
    "cursors",
    metadata,
    Column("symbol_id", ForeignKey("symbols.id"), primary_key=True, autoincrement=False),
    Column("last_id", BigInteger, nullable=False),
    Column("last_price", Float, nullable=False),
    Column("last_event_time_ms", BigInteger, nullable=False),
    # Ids are whole from the first trade at or after this time on, open gaps aside.
    Column("whole_from_ms", BigInteger, nullable=False),
    # 1s bars are closed up to here (exclusive).
    Column("closed_until_ms", BigInteger, nullable=False),
    info=MARKET,
)

trades = Table(
    "trades",
    metadata,
    Column("symbol_id", ForeignKey("symbols.id"), primary_key=True, autoincrement=False),
    Column("trade_id", BigInteger, primary_key=True, autoincrement=False),
    Column("price", Float, nullable=False),
    Column("quantity", Float, nullable=False),
    Column("trade_time_ms", BigInteger, nullable=False),
    Column("first_id", BigInteger, nullable=False),
    Column("last_id", BigInteger, nullable=False),
    Column("buyer_is_maker", Boolean, nullable=False),
    sqlite_with_rowid=False,
    info=MARKET,
)

bars = Table(
    "bars",
    metadata,
    Column("symbol_id", ForeignKey("symbols.id"), primary_key=True, autoincrement=False),
    Column("timeframe_ms", Integer, primary_key=True, autoincrement=False),
    Column("open_time_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("open", Float, nullable=False),
    Column("high", Float, nullable=False),
    Column("low", Float, nullable=False),
    Column("close", Float, nullable=False),
    Column("volume", Float, nullable=False),
    Column("quote_volume", Float, nullable=False),
    Column("trade_count", BigInteger, nullable=False),
    Column("taker_buy_volume", Float, nullable=False),
    Column("complete", Boolean, nullable=False),
    # core.types.Origin: the higher one wins.
    Column("origin", SmallInteger, nullable=False),
    Column("imported", Boolean, nullable=False, default=False),
    sqlite_with_rowid=False,
    info=MARKET,
)

# Ids that the live feed missed, both ends inclusive.
gaps = Table(
    "gaps",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("symbol_id", ForeignKey("symbols.id"), nullable=False),
    Column("from_id", BigInteger, nullable=False),
    Column("to_id", BigInteger, nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("to_ms", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),  # open, filled, unfillable
    Column("reason", Text, nullable=False),
    Column("opened_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger),
    Index("gaps_by_symbol_state", "symbol_id", "state"),
    info=MARKET,
)

# Islands loaded from dump files: neither repair nor pruning touches them. Their bars and trades
# stand among the market's and are as much the user's as these rows.
imports = Table(
    "imports",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("symbol_id", ForeignKey("symbols.id"), nullable=False),
    Column("kind", String(12), nullable=False),  # klines, aggTrades
    Column("timeframe_ms", Integer),  # null for aggTrades
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("first_id", BigInteger),
    Column("last_id", BigInteger),
    Column("file", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("imported_ms", BigInteger, nullable=False),
    info=USER,
)

# What the user wants to be watched; a deleted rule keeps its record.
rules = Table(
    "rules",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("version", Integer, nullable=False),  # the one in force
    Column("deleted_ms", BigInteger),
    info=USER,
)

rule_versions = Table(
    "rule_versions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rule_id", ForeignKey("rules.id"), nullable=False),
    Column("version", Integer, nullable=False),
    # Open time of the bar that signal and paper begin at, flat.
    Column("born_ms", BigInteger, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("symbol_a", String(40)),
    Column("symbol_b", String(40)),
    Column("timeframe", String(4)),
    Column("enabled", Boolean, nullable=False),
    Column("body", Text, nullable=False),  # every parameter, a JSON object
    UniqueConstraint("rule_id", "version", name="rule_versions_once"),
    info=USER,
)

# Where each rule stands after the last bar judged.
rule_states = Table(
    "rule_states",
    metadata,
    Column("rule_id", ForeignKey("rules.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("born_ms", BigInteger, nullable=False),
    Column("judged_ms", BigInteger),  # open time of that bar
    Column("judged_at_ms", BigInteger, nullable=False),
    Column("shown", String(12), nullable=False),
    Column("words", Text, nullable=False),
    Column("state", Text, nullable=False),  # core.episodes.RuleState, JSON
    info=USER,
)

# The record of what fired, each once however often it is judged again.
episodes = Table(
    "episodes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rule_id", ForeignKey("rules.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("direction", String(60), nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger),
    Column("state", String(12), nullable=False),  # firing, recovering, resolved
    Column("outcome", String(12), nullable=False),
    Column("value_at_start", Float),
    Column("value_peak", Float),
    Column("value_at_end", Float),
    Column("words", Text, nullable=False),
    Column("values_at_start", Text, nullable=False),  # JSON
    Column("told_ms", BigInteger),
    Column("late", Boolean, nullable=False),
    Column("revised", Boolean, nullable=False),
    Column("acknowledged_by", String(80)),
    Column("acknowledged_ms", BigInteger),
    UniqueConstraint("rule_id", "version", "direction", "start_ms", name="episodes_once"),
    Index("episodes_by_start", "start_ms"),
    Index("episodes_by_state", "state"),
    info=USER,
)

# The outbox: one row a message and channel, written with the episode and sent until it arrives.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("episode_id", ForeignKey("episodes.id"), nullable=False),
    Column("channel", String(40), nullable=False),
    Column("event", String(12), nullable=False),  # fired, resolved
    Column("state", String(12), nullable=False),  # pending, delivered
    Column("attempts", Integer, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("delivered_ms", BigInteger),
    Column("error", Text),
    UniqueConstraint("episode_id", "channel", "event", name="deliveries_once"),
    Index("deliveries_by_state_next", "state", "next_ms"),
    info=USER,
)

# A message that only tries a channel, one a name; it is not tried again by itself.
channel_tests = Table(
    "channel_tests",
    metadata,
    Column("channel", String(40), primary_key=True),
    Column("asked_ms", BigInteger, nullable=False),
    Column("tried_ms", BigInteger),  # null until it was sent
    Column("error", Text),  # null where it has arrived
    info=PROCESS,
)

# What each bar was judged on, and why it did or did not fire.
decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rule_id", ForeignKey("rules.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("open_time_ms", BigInteger, nullable=False),
    Column("shown", String(12), nullable=False),
    Column("words", Text, nullable=False),
    Column("judged_values", Text, nullable=False),  # JSON
    Column("eventful", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    UniqueConstraint("rule_id", "open_time_ms", "version", name="decisions_once"),
    info=USER,
)

# Paper goes on over edits that change nothing of what trades: its record goes by its birth.
paper_states = Table(
    "paper_states",
    metadata,
    Column("rule_id", ForeignKey("rules.id"), primary_key=True, autoincrement=False),
    Column("born_ms", BigInteger, nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),  # open time of the last bar marked
    Column("state", Text, nullable=False),  # core.paper.PaperState, JSON
    info=USER,
)

# A row a trip: its two entry fills, and once it was left its two exit fills.
paper_trips = Table(
    "paper_trips",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rule_id", ForeignKey("rules.id"), nullable=False),
    Column("born_ms", BigInteger, nullable=False),
    Column("side", String(12), nullable=False),
    Column("entry_ms", BigInteger, nullable=False),
    Column("entry_z", Float),
    Column("hedge_ratio", Float, nullable=False),
    Column("entry_price_a", Float, nullable=False),
    Column("entry_price_b", Float, nullable=False),
    Column("quantity_a", Float, nullable=False),
    Column("quantity_b", Float, nullable=False),
    Column("costs", Float, nullable=False),  # of the fills so far
    Column("exit_ms", BigInteger),
    Column("exit_z", Float),
    Column("exit_price_a", Float),
    Column("exit_price_b", Float),
    Column("pnl", Float),
    Column("price_pnl", Float),
    Column("drift_pnl", Float),
    Column("bars", Integer),
    Column("exit_reason", String(12)),
    Column("revised", Boolean, nullable=False),
    UniqueConstraint("rule_id", "born_ms", "entry_ms", name="paper_trips_once"),
    info=USER,
)

# Equity at the close of each bar.
paper_marks = Table(
    "paper_marks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("rule_id", ForeignKey("rules.id"), nullable=False),
    Column("born_ms", BigInteger, nullable=False),
    Column("open_time_ms", BigInteger, nullable=False),
    Column("equity", Float, nullable=False),
    UniqueConstraint("rule_id", "born_ms", "open_time_ms", name="paper_marks_once"),
    info=USER,
)

# Long work that somebody asked for; the analyst has it done, one child process a job.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(20), nullable=False),
    Column("spec", Text, nullable=False),  # core.job_spec.JobSpec, a JSON object
    Column("asked_by", String(80), nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("state", String(12), nullable=False),  # queued, running, done, failed, cancelled
    # Of the child processes that were started for it; what an earlier one says counts no more.
    Column("tries", Integer, nullable=False),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("progress", Float, nullable=False),  # from 0 to 1
    Column("message", Text, nullable=False),
    Index("jobs_by_state", "state"),
    info=USER,
)

job_results = Table(
    "job_results",
    metadata,
    Column("job_id", ForeignKey("jobs.id"), primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),  # JSON
    info=USER,
)

# A scan of every pair, known by timeframe and last bar. What it found can be found again from the
# bars, so it is a process's: only while the bars last, but nobody typed it.
scans = Table(
    "scans",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("timeframe", String(4), nullable=False),
    Column("bars", Integer, nullable=False),
    Column("as_of_ms", BigInteger, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Column("is_whole", Boolean, nullable=False),  # false while its parts are being written
    Column("pairs", Integer, nullable=False),
    Column("head", Text, nullable=False),  # ingest.store.scans.ScanHead, JSON
    Index("scans_by_timeframe", "timeframe", "as_of_ms"),
    info=PROCESS,
)

# All that the newest scan of a timeframe found: an array a column of its table.
scan_columns = Table(
    "scan_columns",
    metadata,
    Column("scan_id", ForeignKey("scans.id"), primary_key=True, autoincrement=False),
    Column("name", String(30), primary_key=True),
    Column("cells", LargeBinary, nullable=False),
    info=PROCESS,
)

# What is kept of a scan for longer: of each symbol the pairs with those after it.
scan_history = Table(
    "scan_history",
    metadata,
    Column("scan_id", ForeignKey("scans.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("cells", LargeBinary, nullable=False),  # float32
    info=PROCESS,
)


def tables_of(owner: Owner) -> list[Table]:
    """Every table of an owner, those that others refer to first."""
    return [table for table in metadata.sorted_tables if table.info["owner"] == owner]


def is_large(table: Table) -> bool:
    """Whether a table may have millions of rows."""
    return not table.dialect_options["sqlite"]["with_rowid"]
