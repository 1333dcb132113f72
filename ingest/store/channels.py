"""Trying a channel: asked for by its name alone, sent by the analyst, its answer kept."""

from ingest.store.transaction import Transaction


def ask_test(tx: Transaction, channel: str, now_ms: int) -> None:
    """Have a message sent that only tries a channel; what an earlier one found gives way."""
    tx.run(
        "INSERT INTO channel_tests (channel, asked_ms) VALUES (?, ?) ON CONFLICT (channel)"
        " DO UPDATE SET asked_ms = excluded.asked_ms, tried_ms = NULL, error = NULL",
        channel,
        int(now_ms),
    )


def tests_due(tx: Transaction) -> list[str]:
    """The channels that are to be tried."""
    rows = tx.run("SELECT channel FROM channel_tests WHERE tried_ms IS NULL ORDER BY asked_ms")
    return [row[0] for row in rows]


def tested(tx: Transaction, channel: str, error: str | None, now_ms: int) -> None:
    """Keep what came of a try. Where it arrived, what waits for that channel goes at once."""
    tx.run(
        "UPDATE channel_tests SET tried_ms = ?, error = ? WHERE channel = ? AND tried_ms IS NULL",
        int(now_ms),
        error,
        channel,
    )
    if error is None:
        tx.run(
            "UPDATE deliveries SET next_ms = ? WHERE channel = ? AND state = 'pending'"
            " AND attempts > 0",
            int(now_ms),
            channel,
        )
